"""`make bench`: every figure beside its peer, measured in one run, as ratios; writes bench/results.json.

`make bench ARGS="scoring"` measures only the parts named. The machine is noisy, so absolute figures are printed for
orientation only and the ratios are what counts.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from bench import accuracy, cached, passthrough, scoring, verification
from bench.tools import Row, need_programs

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS = ("verification", "passthrough", "cached", "scoring", "accuracy")


def main() -> None:
    options = parse()
    rows = [row for part in options.parts for row in measure(part, whole=options.all, quick=options.quick)]
    print_table(rows)
    results = Path(__file__).with_name("results.json")
    results.write_text(json.dumps([row.as_json() for row in rows], indent=2) + "\n")
    print(f"\nwritten to {results.relative_to(Path.cwd()) if results.is_relative_to(Path.cwd()) else results}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", type=known_part, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--all", action="store_true", help="accuracy on all rated photos instead of on a sample")
    parser.add_argument("--quick", action="store_true", help="pass-through in one short round: whether it runs at all")
    return parser.parse_args()


def known_part(name: str) -> str:
    if name not in PARTS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(PARTS)}")
    return name


def measure(part: str, *, whole: bool, quick: bool) -> Sequence[Row]:
    match part:
        case "verification":
            return verification.rows()
        case "passthrough":
            need_programs({"nginx": "nginx-light", "wrk": "wrk"})
            return passthrough.rows(1, 1) if quick else passthrough.rows()
        case "cached":
            need_programs({"nginx": "nginx-light", "wrk": "wrk"})
            return cached.rows()
        case "scoring":
            return scoring.rows()
        case _:
            return accuracy.rows(whole=whole)


def print_table(rows: list[Row]) -> None:
    widths = [
        max(len(text) for text in column) for column in zip(*((r.what, r.subject, r.beside) for r in rows), strict=True)
    ]
    print()
    for row in rows:
        texts = (row.what, row.subject, row.beside)
        what, subject, beside = (f"{text:{width}}" for text, width in zip(texts, widths, strict=True))
        figure = "-" if row.figure is None else f"{row.figure:.2f} {row.unit}" if row.unit else f"{row.figure:.3f}"
        print(f"{what}  {subject}  {beside}  {figure:>9}  {row.bar}".rstrip())


if __name__ == "__main__":
    main()
