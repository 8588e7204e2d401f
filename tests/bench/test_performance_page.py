"""docs/performance.md says what bench/results.json says."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from bench import results
from bench.__main__ import PARTS, print_table
from bench.clients import Held
from bench.clients import told as clients_told
from bench.growth import CONNECTIONS, READERS, SIZE, SIZES
from bench.growth import told as growth_told
from bench.load import Measured
from bench.passthrough import Comparison
from bench.passthrough import told as passthrough_told
from bench.performance_page import files, write
from bench.results import Section
from bench.tools import Row
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NGINX, OURS = Measured(1000, 1048, 0.5, 1, 4, 12), Measured(900, 943, 1.0, 2, 8, 80)
PASSED = Section(
    "2026-01-01", 90, (*passthrough_told(Comparison("one core", "1MB", {"nginx": NGINX, "gateway": OURS})),)
)
CACHED = Section("2026-01-02", 30, (Row("known score / plain GET", "score 9/s", "plain 10/s", 0.9, at_least=0.8),))


def memory() -> Section:
    return Section(
        "2026-01-03", 600, tuple(clients_told(Held(50, 60, {second + 1.0: 100.0 + second for second in range(40)}, 7)))
    )


def growth() -> Section:
    found = {(SIZE, count): OURS for count in CONNECTIONS} | {(size, READERS): OURS for size in SIZES.values()}
    return Section("2026-01-04", 200, tuple(growth_told(found)))


def test_what_was_kept_is_read_as_it_was_and_a_part_replaces_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    assert results.read(path) == {}
    results.keep("passthrough", CACHED, path)
    results.keep("cached", CACHED, path)
    results.keep("passthrough", PASSED, path)
    assert results.read(path) == {"passthrough": PASSED, "cached": CACHED}


def test_each_bar_is_told_at_the_top_with_what_was_reached_and_where_it_comes_from() -> None:
    page = files({"passthrough": PASSED, "cached": CACHED, "memory-clients": memory()})["performance.md"]
    top = page.partition("## Pass-through")[0]
    assert "| 1MB GET, one core / nginx | 0.90 x | ≥ 1 ! | [pass-through](#pass-through) |" in top
    assert "| 1MB GET, one core / nginx: CPU time of one, the same | 2.00 x | ≤ 1.3 ! | [pass-through]" in top
    assert "| known score / plain GET | 0.90 x | ≥ 0.8 | [known scores](#known-scores) |" in top
    assert "| 139.00 MB | ≤ 300 | [memory](#memory) |" in top


def test_what_was_not_measured_says_so_at_the_top_and_in_its_place() -> None:
    page = files({"cached": CACHED})["performance.md"]
    assert "| not measured yet |  |  | [saturated scorers](#saturated-scorers) |" in page
    unmeasured = {part for part in PARTS if f"Not measured yet: `make bench ARGS={part}` does it." in page}
    assert unmeasured == set(PARTS) - {"cached"}


def test_the_charts_are_drawings_with_every_point(tmp_path: Path) -> None:
    write({"passthrough": PASSED, "memory-clients": memory(), "growth": growth()}, tmp_path)
    texts = {
        path.name: [each.text for each in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 # ours
        for path in tmp_path.glob("*.svg")
    }
    assert "1MB GET, one core / nginx" in texts["performance.svg"]
    assert {*map(str, CONNECTIONS), *SIZES} <= {*texts["performance-growth.svg"]}
    assert {"20 s", "40 s"} <= {*texts["performance-memory-clients.svg"]}


def test_the_page_and_its_charts_are_what_the_results_make_of_them() -> None:
    drawn = files(results.read())
    assert {name for name, text in drawn.items() if (ROOT / "docs" / name).read_text() != text} == set()


def test_a_row_is_printed_with_its_figure_and_its_bar(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([*CACHED.rows, Row("a peer", "did not run", "why", None)])
    printed = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()) for line in printed if line] == [
        "known score / plain GET score 9/s plain 10/s 0.90 x >= 0.8",
        "a peer did not run why -",
    ]
