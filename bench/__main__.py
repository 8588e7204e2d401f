"""`make bench`: every figure beside its peer, measured in one run, as ratios; writes bench/results.json.

`make bench ARGS="scoring"` measures only the parts named, and leaves what the others have found; `ARGS=page` measures
nothing. Each writes docs/performance.md and docs/scaling.md anew. The machine is noisy, so absolute figures are
printed for orientation only and the ratios are what counts.
"""

from __future__ import annotations

import argparse
import platform
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from bench import (
    accuracy,
    cached,
    clients,
    growth,
    passthrough,
    performance_page,
    results,
    saturated,
    scoring,
    verification,
)
from bench.results import Section
from bench.tools import Row, need_programs
from tools import scaling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# What can be named, and about how many minutes it takes.
PARTS = {
    "verification": 1,
    "passthrough": 8,
    "growth": 4,
    "saturated": 7,
    "cached": 1,
    "scoring": 5,
    "accuracy": 1,
    "memory-clients": 11,
}
_LOADED = ("passthrough", "growth", "saturated", "cached", "memory-clients")  # by wrk or ourselves, with nginx behind
_FAILURES = (SystemExit, OSError, EOFError, subprocess.SubprocessError)
# Rounds and seconds of the short forms.
_QUICK = {"passthrough": (1, 1), "growth": (1, 1), "saturated": (1, 4), "cached": (1,), "memory-clients": (30,)}


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is stopped on the way out
    options = parse()
    failed = []
    for part in options.parts:
        if part == "page":
            continue
        started = time.monotonic()
        try:
            if part in _LOADED:
                need_programs({"nginx": "nginx-light", "wrk": "wrk"})
            rows = measures(options)[part]()
        except _FAILURES as error:  # the others may still tell something
            print(f"{part} failed: {error!r}", file=sys.stderr)
            failed.append(part)
            continue
        print_table(rows)
        if not options.quick:
            today = datetime.now(UTC).date().isoformat()
            results.keep(part, Section(today, time.monotonic() - started, tuple(rows), python()))
    if not options.quick:
        write_pages()
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def python() -> str:
    """Name this Python. Debian's own, which the image has, is a tenth faster than one built without a profile."""
    whose = ", the system's own" if sys.base_prefix == "/usr" else ""
    return f"Python {platform.python_version()}{whose}"


def write_pages() -> None:
    performance_page.write(results.read())
    try:
        scaling.write()
    except LookupError as error:
        print(f"docs/scaling.md stays as it is until {error} has been run", file=sys.stderr)
    print("\nwritten: bench/results.json, docs/performance.md, docs/scaling.md")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    told = ", ".join(f"{name} ({minutes} min)" for name, minutes in PARTS.items())
    parser.add_argument("parts", nargs="*", type=known_part, default=[*PARTS], metavar="PART", help=f"{told}, page")
    parser.add_argument("--all", action="store_true", help="accuracy on all rated photos instead of on a sample")
    parser.add_argument("--quick", action="store_true", help="loads in one short round, kept nowhere: do they run?")
    parser.add_argument("--seconds", type=int, default=clients.SECONDS, help="of memory-clients; default: %(default)s")
    return parser.parse_args()


def known_part(name: str) -> str:
    if name not in (*PARTS, "page"):
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(PARTS)}, page")
    return name


def measures(options: argparse.Namespace) -> dict[str, Callable[[], Sequence[Row]]]:
    def shorter(part: str, whole: Callable[..., Sequence[Row]], *arguments: int) -> Callable[[], Sequence[Row]]:
        return partial(whole, *(_QUICK[part] if options.quick else arguments))

    return {
        "verification": verification.rows,
        "passthrough": shorter("passthrough", passthrough.rows),
        "growth": shorter("growth", growth.rows),
        "saturated": shorter("saturated", saturated.rows),
        "memory-clients": shorter("memory-clients", clients.rows, options.seconds),
        "cached": shorter("cached", cached.rows),
        "scoring": scoring.rows,
        "accuracy": partial(accuracy.rows, whole=options.all),
    }


def print_table(rows: Sequence[Row]) -> None:
    texts = [(row.what, row.subject, row.beside) for row in rows]
    widths = [max(len(text) for text in column) for column in zip(*texts, strict=True)]
    print()
    for row, columns in zip(rows, texts, strict=True):
        what, subject, beside = (f"{text:{width}}" for text, width in zip(columns, widths, strict=True))
        print(f"{what}  {subject}  {beside}  {row.told:>9}  {row.bar}".rstrip(), flush=True)


if __name__ == "__main__":
    main()
