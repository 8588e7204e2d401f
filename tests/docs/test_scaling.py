"""The figures in docs/scaling.md are those of tools/scaling.py."""

from __future__ import annotations

from tests.conftest import ROOT
from tools.scaling import PEAK, mean_s, pods, pods_table, simulate, table

_PAGE = (ROOT / "docs" / "scaling.md").read_text()


def test_the_tables_of_the_page_are_what_the_tool_prints() -> None:
    assert [row for row in (*table().splitlines(), *pods_table().splitlines()) if row not in _PAGE] == []


def test_the_worked_example_is_the_formula() -> None:
    assert f"{pods(1e8, 0.2, 0.02)} pods" in _PAGE
    assert f"{mean_s() * 1000:.0f} ms" in _PAGE
    assert f"{PEAK:g} times" in _PAGE


def test_an_idle_pod_lets_nobody_wait_and_one_with_twice_its_load_refuses_half() -> None:
    idle, overrun = simulate(0.05, 4, 32, requests=20_000), simulate(2.0, 4, 32, requests=20_000)
    assert (idle.refused, idle.median_wait_s) == (0, 0)
    assert abs(overrun.refused - 0.5) < 0.02
    assert overrun.p99_wait_s < 32 * mean_s(), "a bounded queue bounds the wait"
