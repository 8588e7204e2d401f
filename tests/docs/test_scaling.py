"""docs/scaling.md is what tools/scaling.py makes of bench/results.json."""

from __future__ import annotations

import pytest

from bench import results
from tests.conftest import ROOT
from tools.scaling import MIX, Costs, costs, page, peak_cpus, pods, simulate

COSTS = Costs(0.9, 1.5, 0.95, dict.fromkeys((*MIX, "12 MP progressive JPEG", "48 MP JPEG", "12 MP WebP"), 40.0))


def test_the_page_is_what_the_results_make_of_it() -> None:
    assert (ROOT / "docs" / "scaling.md").read_text() == page(costs(results.read()))


def test_every_figure_of_the_page_has_its_place() -> None:
    made = page(COSTS, requests=2000)
    assert "{{" not in made
    assert "| passed on, 1 MB | 2.4 ms | |" in made
    assert "Gateway 3,472 x 1.20 ms = 4.2 CPUs, scorers 69 x 40 ms = 2.8 CPUs; 6.9 / 0.7 / 4 =\n2.5, so" in made
    assert f"{pods(COSTS, 1e8, 0.2, 0.02)} pods" in made


def test_a_part_that_was_not_measured_is_named() -> None:
    with pytest.raises(LookupError, match="make bench ARGS=passthrough"):
        costs({})


def test_the_busiest_minute_is_what_counts() -> None:
    assert peak_cpus(COSTS, 86_400 / 3, mb=1, new_scores=0.5) == pytest.approx((2.4e-3, 20e-3))


def test_an_idle_pod_lets_nobody_wait_and_one_with_twice_its_load_refuses_half() -> None:
    idle, overrun = simulate(COSTS, 0.05, 4, 32, requests=20_000), simulate(COSTS, 2.0, 4, 32, requests=20_000)
    assert (idle.refused, idle.median_wait_s) == (0, 0)
    assert abs(overrun.refused - 0.5) < 0.02
    assert overrun.p99_wait_s < 32 * COSTS.mean_s, "a bounded queue bounds the wait"
