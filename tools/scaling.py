"""How many pods a load needs, and what becomes of scores when there are too few: `python -m tools.scaling`.

Prints the tables of docs/scaling.md from the measured costs below. The simulation is of one pod, whose scorers share
one bounded queue: pods share nothing, so a thousand of them behave like one under a thousandth of the load. Arrivals
are Poisson's; what a picture costs is drawn from a mix.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# CPU seconds of a scorer for one picture, and the share of such pictures: measured, see docs/scaling.md.
MIX: tuple[tuple[float, float], ...] = ((0.023, 0.40), (0.029, 0.30), (0.059, 0.25), (0.215, 0.05))
# CPU seconds of a gateway process: for any request, and beside that for each MB that passes.
REQUEST_S, MB_S = 0.9e-3, 1.5e-3
USED = 0.7  # of a CPU: what is planned for
PEAK = 3.0  # the busiest minute beside the day's mean
LOADS = (0.5, 0.7, 0.8, 0.9, 1.0, 1.2)  # of what the scorers can do at most
_REQUESTS = 200_000


@dataclass(frozen=True)
class Outcome:
    """What became of the requests: shares of all, and the wait in front of a scorer in seconds."""

    refused: float
    median_wait_s: float
    p99_wait_s: float


def mean_s(mix: Sequence[tuple[float, float]] = MIX) -> float:
    """Return what a picture costs on average, in CPU seconds."""
    return sum(cost * share for cost, share in mix)


def simulate(load: float, scorers: int, queue: int, requests: int = _REQUESTS, seed: int = 1) -> Outcome:
    """Let requests come at `load` times the scorers' capacity; whoever finds the queue full is refused at once."""
    random_ = random.Random(seed)  # noqa: S311 # a simulation
    costs, shares = zip(*MIX, strict=True)
    rate = load * scorers / mean_s()
    free_at = [0.0] * scorers  # heap: when each scorer has done all that it was given
    starts: list[float] = []  # heap: when those that wait will begin
    now, refused, waits = 0.0, 0, []
    for cost in random_.choices(costs, shares, k=requests):
        now += random_.expovariate(rate)
        while starts and starts[0] <= now:
            heapq.heappop(starts)
        if len(starts) >= queue:
            refused += 1
            continue
        begin = max(now, free_at[0])
        heapq.heapreplace(free_at, begin + cost)
        if begin > now:
            heapq.heappush(starts, begin)
        waits.append(begin - now)
    waits.sort()
    return Outcome(refused / requests, waits[len(waits) // 2], waits[len(waits) * 99 // 100])


def pods(per_day: float, mb: float, new_scores: float, cpus: int = 4) -> int:
    """Return how many pods carry the peak, one of them being lost; `new_scores` is a share of the requests."""
    per_second = per_day / 86_400 * PEAK
    gateway = per_second * (REQUEST_S + mb * MB_S)
    scoring = per_second * new_scores * mean_s()
    return max(1, math.ceil((gateway + scoring) / USED / cpus)) + 1


def pods_table(mb: float = 0.2, new_scores: float = 0.02) -> str:
    """Return the rows of the second table."""
    rows = []
    for per_day in (1e6, 1e7, 1e8, 1e9):
        per_second = per_day / 86_400 * PEAK
        gbit = per_second * mb * 8 / 1000
        count = pods(per_day, mb, new_scores)
        rows.append(f"| {per_day:,.0f} | {per_second:,.0f} | {per_second * new_scores:,.1f} | {gbit:.1f} | {count} |")
    return "\n".join(rows)


def table(scorers: int = 4, queue: int = 32) -> str:
    """Return the rows of the first table: four scorers, as a pod of four CPUs has."""
    rows = []
    for load in LOADS:
        seen = simulate(load, scorers, queue)
        waits = f"{seen.median_wait_s * 1000:.0f} ms | {seen.p99_wait_s * 1000:.0f} ms"
        rows.append(f"| {load:.0%} | {load * scorers / mean_s():.0f} | {waits} | {seen.refused:.2%} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(), pods_table(), sep="\n\n")
