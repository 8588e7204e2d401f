"""What every benchmark needs: programs, a table row, medians of interleaved runs."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Row:
    """One line of the table: `ratio` is the subject's figure divided by its peer's, as `what` says."""

    what: str
    subject: str
    beside: str
    ratio: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


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


def interleaved(measures: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Run all measures in turn, `rounds` times, so that a noisy moment hits all of them; return their medians."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}
