"""`make bench`: every figure beside its peer, measured in one run, as ratios; writes bench/results.json.

The machine is noisy, so absolute figures are printed for orientation only and the ratios are what counts.
"""

from __future__ import annotations

import json
from pathlib import Path

from bench import passthrough, scoring, verification
from bench.tools import Row, need_programs


def main() -> None:
    need_programs({"nginx": "nginx-light", "wrk": "wrk"})
    rows = [*verification.rows(), *passthrough.rows(), *scoring.rows()]
    print_table(rows)
    results = Path(__file__).with_name("results.json")
    results.write_text(json.dumps([row.as_json() for row in rows], indent=2) + "\n")
    print(f"\nwritten to {results.relative_to(Path.cwd()) if results.is_relative_to(Path.cwd()) else results}")


def print_table(rows: list[Row]) -> None:
    print(f"\n{'what':44} {'subject':>24} {'beside':>28} {'ratio':>7}")
    for row in rows:
        print(f"{row.what:44} {row.subject:>24} {row.beside:>28} {row.ratio:7.2f}")


if __name__ == "__main__":
    main()
