"""The fault table of `docs/operations.md`, as what its tests expect."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENT = (ROOT / "docs" / "operations.md").read_text()
MADE_TO_HAPPEN: set[str] = set()
CUT = (0, b"cut")


def rows_of(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading, without its head."""
    below = DOCUMENT.partition(f"\n## {heading}\n")[2]
    lines = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert lines, f"no table below {heading}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()[2:]]


def spans(cell: str) -> list[str]:
    """Return what stands in code spans."""
    return re.findall(r"`([^`]+)`", cell)


@dataclass(frozen=True)
class Fault:
    """One row: what clients get, which metric rises, what the log says."""

    name: str
    answers: tuple[str, ...]
    metric: str
    logged: tuple[str, ...]

    def check(self, answers: list[tuple[int, bytes]], before: str, after: str, log: str) -> None:
        """Fail unless it went as the row says; `answers` are (status, body), `before` and `after` pages of metrics."""
        for expected, (status, body) in zip(self.answers, answers, strict=True):
            if expected == "cut":
                assert (status, body) == CUT
            else:
                number, _, words = expected.partition(" ")
                assert (status, words.encode() in body) == (int(number), True), (expected, status, body[:500])
        if self.metric:
            assert figure(after, self.metric) > figure(before, self.metric), self.metric
        for words in self.logged:
            assert words in log, log[-3000:]


def faults() -> dict[str, Fault]:
    """Return the rows by name."""
    found = {}
    for name, answer, metric, log in rows_of("What happens when something breaks"):
        rising = [each for each in spans(metric) if not each.startswith("/")]
        found[name] = Fault(name, tuple(spans(answer)), rising[0] if rising else "", tuple(spans(log)))
    return found


TABLE = faults()


def happens(*names: str) -> Callable[[Any], Any]:
    """Mark a test as the one that makes these faults happen; it gets each row as `fault`."""
    MADE_TO_HAPPEN.update(names)
    return pytest.mark.parametrize("fault", [TABLE[name] for name in names], ids=names)


def figure(page: str, metric: str) -> float:
    """Add up the samples of a metric that have the given labels among theirs."""
    name, _, labels = metric.rstrip("}").partition("{")
    wanted = set(re.findall(r'\w+="[^"]*"', labels))
    total = 0.0
    for told, value in re.findall(rf"^{name}(\{{.*\}})? (\S+)$", page, re.MULTILINE):
        total += float(value) if wanted <= set(re.findall(r'\w+="[^"]*"', told)) else 0
    return total
