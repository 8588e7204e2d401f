from __future__ import annotations

import pytest

from bench.growth import CLIFF, CONNECTIONS, READERS, SIZE, SIZES, against_neighbours, told
from bench.load import Measured


def test_what_grows_as_a_power_of_what_is_asked_for_has_no_cliff() -> None:
    points = [(4.0**power, 3 * 4.0 ** (power * 0.7)) for power in range(8)]
    assert against_neighbours(points) == pytest.approx([1.0] * 7 + [4**0.7])


def test_a_point_far_below_its_neighbours_is_a_cliff_and_so_is_a_last_one_far_below_the_one_before() -> None:
    assert against_neighbours([(1, 100), (16, 40), (64, 100), (256, 30)]) == pytest.approx(
        [1.0, 0.4, 100 / (40 ** (1 / 2) * 30 ** (1 / 2)), 0.3]
    )
    assert min(against_neighbours([(1, 100), (16, 100), (64, 100)])) > CLIFF


def test_the_worst_point_is_told_by_its_name() -> None:
    def speed(per_s: float, size: int) -> Measured:
        return Measured(per_s, per_s * size / 1e6, 1.0, 1.0, 1.0, 50.0)

    found = {(SIZE, count): speed(20 if count == 64 else 100, SIZE) for count in CONNECTIONS}
    found |= {(size, READERS): speed(1e8 / size, size) for size in SIZES.values()}
    by_connections, by_size = (row for row in told(found) if row.has_bar)
    assert (by_connections.subject, by_connections.bar) == ("10 KB over 64 connections", ">= 0.5 !")
    assert by_size.bar == ">= 0.5"
