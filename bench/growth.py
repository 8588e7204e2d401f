"""Whether work grows as what is asked for: requests a second by connections, bytes a second by the object's size.

One worker on a core of its own, origin and load on the other. Each point is compared with what lies between its
neighbours (on powers, both ways), the last one with the one before it: a cliff is a point far below.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from math import exp, log
from typing import TYPE_CHECKING

from bench.load import CORES, Measured, Server, load, medians
from bench.passthrough import scratch
from bench.servers import signed, start_gateway, start_origin
from bench.tools import Row
from gateway.credentials import Secret
from gateway.stores.embedded import StoreAccess

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS, SECONDS = 5, 2
CONNECTIONS = (1, 4, 16, 64, 256)
SIZE = 10 * 1024  # by connections
SIZES = {
    f"{4**power} {unit}": 4**power * factor for unit, factor in (("KB", 2**10), ("MB", 2**20)) for power in range(5)
}
SIZES["1 GB"] = 2**30
READERS = 4  # connections by size
CLIFF = 0.5


def rows(rounds: int = ROUNDS, seconds: int = SECONDS) -> list[Row]:
    proxy_core, other_core = (CORES[-1], CORES[0]) if len(CORES) > 1 else (None, None)
    with ExitStack() as stack, scratch() as folder:
        files = {str(size): size for size in (SIZE, *SIZES.values())}
        origin = start_origin(stack, folder, files, other_core)
        access = StoreAccess(f"http://{origin}", "us-east-1", "any", Secret("any"))  # nginx checks none
        gateway = start_gateway(stack, folder / "gateway", access, core=proxy_core)
        # Connecting counts, so what is asked over many connections has twice the time.
        points = {(SIZE, count): 2 * seconds for count in CONNECTIONS}
        points |= dict.fromkeys(((size, READERS) for size in SIZES.values()), seconds)
        found: dict[tuple[int, int], list[Measured]] = {point: [] for point in points}
        for _ in range(rounds):
            for (size, count), long_s in points.items():
                server = Server("gateway", signed(gateway.authority, f"/bench/{size}"), gateway.pid)
                found[size, count].append(load(server, size, long_s, count, other_core))
    return told({point: medians(each) for point, each in found.items()})


def told(found: dict[tuple[int, int], Measured]) -> list[Row]:
    by_connections = {count: found[SIZE, count] for count in CONNECTIONS}
    by_size = {size: found[size, READERS] for size in SIZES.values()}
    of_requests = against_neighbours([(count, each.requests_per_s) for count, each in by_connections.items()])
    of_bytes = against_neighbours([(size, each.mb_per_s) for size, each in by_size.items()])
    by_count = [
        Row(f"10 KB over {count} connections", rate(each), cpu(each), share, columns=column(each, connections=count))
        for (count, each), share in zip(by_connections.items(), of_requests, strict=True)
    ]
    sizes = [
        Row(f"{name} over {READERS} connections", speed(each), cpu(each), share, columns=column(each, bytes=size))
        for name, (size, each), share in zip(SIZES, by_size.items(), of_bytes, strict=True)
    ]
    return [*by_count, worst("requests/s by connections", by_count), *sizes, worst("bytes/s by size", sizes)]


def against_neighbours(points: Sequence[tuple[float, float]]) -> list[float]:
    """Divide each y by what the neighbours give for its x; 1 for the first point, which has none before it."""
    shares = [1.0]
    for (x0, y0), (x, y), (x1, y1) in zip(points, points[1:], points[2:], strict=False):
        part = (log(x) - log(x0)) / (log(x1) - log(x0))
        shares.append(y / exp(log(y0) + part * (log(y1) - log(y0))))
    return [*shares, points[-1][1] / points[-2][1]]


def worst(what: str, rows: Sequence[Row]) -> Row:
    lowest = min(rows, key=lambda row: row.figure or 0)
    what = f"{what}: least / what its neighbours give"
    return Row(what, lowest.what, f"{len(rows)} points", lowest.figure, at_least=CLIFF)


def column(each: Measured, **point: float) -> dict[str, dict[str, float]]:
    return {"gateway": {**asdict(each), **point}}


def rate(each: Measured) -> str:
    return f"gateway {each.requests_per_s:.0f}/s"


def speed(each: Measured) -> str:
    return f"gateway {each.mb_per_s:.{0 if each.mb_per_s >= 100 else 1}f} MB/s"


def cpu(each: Measured) -> str:
    return f"CPU {each.cpu_s:.2f} ms each"
