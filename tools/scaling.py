"""How many pods a load needs, and what becomes of scores when there are too few: `python -m tools.scaling`.

Writes docs/scaling.md from the costs in bench/results.json, as `make bench` does at its end. The simulation is of one
pod, whose scorers share one bounded queue: pods share nothing, so a thousand of them behave like one under a thousandth
of the load. Arrivals are Poisson's; what a picture costs is drawn from a mix.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import results

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.results import Section

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
TEXT = Path(__file__).with_suffix(".md")
# What share of the pictures is of which kind.
MIX = {"0.25 MP JPEG": 0.40, "2 MP JPEG": 0.30, "12 MP JPEG": 0.25, "12 MP PNG": 0.05}
USED = 0.7  # of a CPU: what is planned for
PEAK = 3.0  # the busiest minute beside the day's mean
LOADS = (0.5, 0.7, 0.8, 0.9, 1.0, 1.2)  # of what the scorers can do at most
REQUESTS = 200_000


@dataclass(frozen=True)
class Outcome:
    """What became of the requests: shares of all, and the wait in front of a scorer in seconds."""

    refused: float
    median_wait_s: float
    p99_wait_s: float


@dataclass(frozen=True)
class Costs:
    """Milliseconds of CPU time, rounded up.

    Of a gateway process: for any request, for each MB that passes beside that, and for a score that is known. Of a
    scorer: for a picture, by its kind.
    """

    request: float
    mb: float
    known: float
    pictures: Mapping[str, float]

    @property
    def mean_s(self) -> float:
        """Return what a picture of the mix costs on average, in CPU seconds."""
        return sum(self.pictures[kind] * share for kind, share in MIX.items()) / 1000


def costs(sections: Mapping[str, Section]) -> Costs:
    """Take the costs from what was measured; raises LookupError naming the part that has to be measured first."""
    small, large = (
        _of(sections, "passthrough", f"{size} GET, one core", "gateway", "cpu_s") for size in ("10KB", "1MB")
    )
    known = _of(sections, "cached", "  CPU time of the gateway process", "score", "cpu_us") / 1000
    kinds = (*MIX, "12 MP progressive JPEG", "48 MP JPEG", "12 MP WebP")
    pictures = {kind: _of(sections, "scoring", f"score {kind},", "score", "cpu_s") * 1000 for kind in kinds}
    per_mb = max(large - small, 0) / 2**20 * 1e6
    return Costs(
        _up(small, 0.05), _up(per_mb, 0.1), _up(known, 0.05), {kind: _up(ms, 1) for kind, ms in pictures.items()}
    )


def _of(sections: Mapping[str, Section], part: str, what: str, whose: str, which: str) -> float:
    for row in sections[part].rows if part in sections else ():
        if row.what.startswith(what) and whose in row.columns:
            return row.columns[whose][which]
    raise LookupError(f"make bench ARGS={part}")


def _up(ms: float, step: float) -> float:
    return round(math.ceil(ms / step) * step, 2)


def simulate(cost: Costs, load: float, scorers: int, queue: int, requests: int = REQUESTS, seed: int = 1) -> Outcome:
    """Let requests come at `load` times the scorers' capacity; whoever finds the queue full is refused at once."""
    random_ = random.Random(seed)  # noqa: S311 # a simulation
    each_s = [cost.pictures[kind] / 1000 for kind in MIX]
    rate = load * scorers / cost.mean_s
    free_at = [0.0] * scorers  # heap: when each scorer has done all that it was given
    starts: list[float] = []  # heap: when those that wait will begin
    now, refused, waits = 0.0, 0, []
    for picture_s in random_.choices(each_s, [*MIX.values()], k=requests):
        now += random_.expovariate(rate)
        while starts and starts[0] <= now:
            heapq.heappop(starts)
        if len(starts) >= queue:
            refused += 1
            continue
        begin = max(now, free_at[0])
        heapq.heapreplace(free_at, begin + picture_s)
        if begin > now:
            heapq.heappush(starts, begin)
        waits.append(begin - now)
    waits.sort()
    return Outcome(refused / requests, waits[len(waits) // 2], waits[len(waits) * 99 // 100])


def pods(cost: Costs, per_day: float, mb: float, new_scores: float, cpus: int = 4) -> int:
    """Return how many pods carry the peak, one of them being lost; `new_scores` is a share of the requests."""
    gateway, scoring = peak_cpus(cost, per_day, mb, new_scores)
    return max(1, math.ceil((gateway + scoring) / USED / cpus)) + 1


def peak_cpus(cost: Costs, per_day: float, mb: float, new_scores: float) -> tuple[float, float]:
    """Return the CPUs that gateway processes and scorers are busy with in the busiest minute."""
    per_second = per_day / 86_400 * PEAK
    return per_second * (cost.request + mb * cost.mb) / 1000, per_second * new_scores * cost.mean_s


def pods_table(cost: Costs, mb: float = 0.2, new_scores: float = 0.02) -> str:
    """Return the rows of the last table."""
    rows = []
    for per_day in (1e6, 1e7, 1e8, 1e9):
        per_second = per_day / 86_400 * PEAK
        gbit = per_second * mb * 8 / 1000
        count = pods(cost, per_day, mb, new_scores)
        rows.append(f"| {per_day:,.0f} | {per_second:,.0f} | {per_second * new_scores:,.1f} | {gbit:.1f} | {count} |")
    return "\n".join(rows)


def waits_table(cost: Costs, requests: int, scorers: int = 4, queue: int = 32) -> str:
    """Return the rows of the table of waits: four scorers, as a pod of four CPUs has."""
    rows = []
    for load in LOADS:
        seen = simulate(cost, load, scorers, queue, requests)
        waits = f"{seen.median_wait_s * 1000:.0f} ms | {seen.p99_wait_s * 1000:.0f} ms"
        rows.append(f"| {load:.0%} | {load * scorers / cost.mean_s:.0f} | {waits} | {seen.refused:.2%} |")
    return "\n".join(rows)


def page(cost: Costs, requests: int = REQUESTS) -> str:
    """Return the page: its text, with the figures in their places; `requests` is how many are simulated for a load."""
    per_day, mb, new_scores, cpus = 1e8, 0.2, 0.02, 4
    gateway, scoring = peak_cpus(cost, per_day, mb, new_scores)
    count = pods(cost, per_day, mb, new_scores, cpus)
    usual = sorted(cost.pictures[kind] for kind in MIX if kind.endswith("JPEG"))
    figures = {
        "request": f"{cost.request:g} ms",
        "per_mb": f"{cost.mb:g} ms",
        "megabyte": f"{_up(cost.request + cost.mb, 0.1):g} ms",
        "known": f"{cost.known:g} ms",
        **{kind: f"{ms:.0f} ms" for kind, ms in cost.pictures.items()},
        "small_rate": f"{1000 / cost.request:,.0f}",
        "mb_rate": f"{1000 / (cost.request + cost.mb):,.0f}",
        "picture_rates": f"{1000 / usual[-1]:.0f} to {1000 / usual[0]:.0f}",
        "mean": f"{cost.mean_s * 1000:.0f} ms",
        "worked_request": f"{cost.request + mb * cost.mb:.2f} ms",
        "worked_gateway": f"{gateway:.1f}",
        "worked_scorers": f"{scoring:.1f}",
        "worked_cpus": f"{gateway + scoring:.1f}",
        "worked_exact": f"{(gateway + scoring) / USED / cpus:.1f}",
        "worked_pods": f"{count - 1}",
        "worked_count": f"{count}",
        "peak": f"{PEAK:g}",
        "waits": waits_table(cost, requests),
        "pods": pods_table(cost),
    }
    text = TEXT.read_text()
    for name, figure in figures.items():
        text = text.replace("{{" + name + "}}", figure)
    return text


def write() -> None:
    """Write the page from what was measured."""
    PAGE.write_text(page(costs(results.read())))


if __name__ == "__main__":
    write()
