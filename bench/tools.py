"""What every benchmark needs: programs, a table row, medians of interleaved runs, a process of one thread."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.processes import fork

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ONE_THREAD = dict.fromkeys(
    ("VIPS_CONCURRENCY", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1"
)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    `figure` is what `what` says: mostly the subject's figure divided by its peer's (unit "x"), None where the
    subject did not run. `at_most` and `at_least` are the project's own bars.
    """

    what: str
    subject: str
    beside: str
    figure: float | None
    unit: str = "x"
    at_most: float | None = None
    at_least: float | None = None
    columns: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # by whose they are: more for the record

    @property
    def has_bar(self) -> bool:
        return self.at_most is not None or self.at_least is not None

    @property
    def bar(self) -> str:
        """The bar in words, with an exclamation mark where it is missed; empty where there is none."""
        if self.at_most is not None:
            missed = self.figure is None or self.figure > self.at_most
            return f"<= {self.at_most:g}{' !' if missed else ''}"
        if self.at_least is not None:
            missed = self.figure is None or self.figure < self.at_least
            return f">= {self.at_least:g}{' !' if missed else ''}"
        return ""

    @property
    def told(self) -> str:
        """The figure in words; a dash where there is none."""
        if self.figure is None:
            return "-"
        return f"{self.figure:.2f} {self.unit}" if self.unit else f"{self.figure:.3f}"


def need_programs(packages: dict[str, str]) -> None:
    """Install the Debian packages of missing programs where that is possible, else say what to install and end."""
    missing = sorted({package for program, package in packages.items() if not shutil.which(program)})
    if not missing:
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {' '.join(missing)} ...", file=sys.stderr)
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        subprocess.run(
            command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        )
        return
    sys.exit(f"make bench needs: apt-get install {' '.join(missing)}")


def interleaved(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Run all measures in turn, `rounds` times, so that a noisy moment hits all of them; return their medians."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}


def in_processes(count: int, serve: Callable[[], None]) -> None:
    """Run a server in so many processes, of which the others end with the first one."""

    def served() -> int:
        serve()
        return 0

    for _ in range(count - 1):
        fork(served)
    serve()


class FailedError(Exception):
    """A process that measures ended without a figure; the text is its last line."""


def alone(module: str, *arguments: str) -> dict[str, float]:
    """Run a module as a program of its own, one thread each by its environment; return the figures it prints."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, env=os.environ | _ONE_THREAD, capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedError(done.stderr.strip().rpartition("\n")[2])
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
