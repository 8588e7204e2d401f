"""How well scores follow people's: rank correlation with opinion scores, beside simple sharpness measures.

Reads the rated photos beside the project, and judges a seeded sample of each set unless all are asked for. The model
was fitted on these photos, so its row here flatters it; what it does on photos that it has not seen is in the fit's
report (cross-validation), whose figures stand below where there are any.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import peers
from bench.cost import score
from bench.photos import IQA
from bench.tools import Row

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

REPORT = Path(__file__).resolve().parents[1] / "gateway" / "imaging" / "model_report.json"
SAMPLE = 400
_RESAMPLES = 1000
_SETS = {"clive": "LIVE in the Wild", "biq": "BIQ2021"}
_SRCC_BARS = {"clive": 0.69, "biq": 0.73}
_AHEAD_BAR, _RMSE_BAR = 0.12, 0.15
_PEERS: dict[str, Callable[[Path], Callable[[], float]]] = {
    "Laplacian": peers.laplacian,
    "edges": peers.edges,
    "cleanvision blur": peers.cleanvision_blur,
}


def rows(*, whole: bool = False) -> list[Row]:
    """Compare on a sample of each set, or on all of it."""
    if not (IQA / "mos.csv").exists():
        print("accuracy: left out, since the rated photos are not beside the project (../shared/iqa)")
        return []
    with (IQA / "mos.csv").open(newline="") as file:
        rated = {line["file"]: float(line["mos"]) for line in csv.DictReader(file)}
    print("accuracy: in-sample rows flatter the score, whose model was fitted on these photos")
    return [row for name in _SETS for row in (*set_rows(name, rated, whole=whole), *unseen_rows(name))]


def set_rows(name: str, rated: dict[str, float], *, whole: bool) -> list[Row]:
    files = sorted(file for file in rated if file.startswith(f"{name}/"))
    if not whole:
        chosen = np.random.default_rng(7).choice(len(files), min(SAMPLE, len(files)), replace=False)
        files = [files[index] for index in sorted(chosen)]
    opinions = np.array([rated[file] for file in files])
    scores = np.array([score(IQA / file)().score for file in files])
    where = f"{_SETS[name]}, {len(files)} photos, in-sample"
    found = [compare(where, peer, opinions, scores, judge_all(peer, files)) for peer in _PEERS]
    rmse = float(np.sqrt(np.mean((scores - opinions) ** 2)))
    return [*found, Row(f"RMSE without refit, {where}", f"score {rmse:.3f}", "opinions", rmse, "", at_most=_RMSE_BAR)]


def judge_all(peer: str, files: list[str]) -> Floats | str:
    """Return the peer's figures, or why it does not run."""
    try:
        return np.array([_PEERS[peer](IQA / file)() for file in files])
    except ImportError as error:
        return str(error)


def compare(where: str, peer: str, opinions: Floats, scores: Floats, others: Floats | str) -> Row:
    """How far the score's rank correlation lies above the peer's, each with its interval of 95 %."""
    what = f"SRCC - the peer's, {where}"
    ours = with_interval(opinions, lambda chosen: spearman(scores[chosen], opinions[chosen]))
    if isinstance(others, str):
        return Row(what, f"score {ours}", f"{peer} did not run: {others}", None, "")
    theirs = with_interval(opinions, lambda chosen: spearman(others[chosen], opinions[chosen]))
    ahead = spearman(scores, opinions) - spearman(others, opinions)
    bar = _AHEAD_BAR if peer == "Laplacian" else None
    return Row(what, f"score {ours}", f"{peer} {theirs}", ahead, "", at_least=bar)


def unseen_rows(name: str) -> list[Row]:
    """What the fit reports for photos that each fold had not seen."""
    report: dict[str, Any] = json.loads(REPORT.read_text()) if REPORT.exists() else {}
    figures = report.get("cross_validation", {}).get(name)
    if not figures:
        print(f"accuracy: no cross-validated figures for {_SETS[name]}, since there is no fit report with them")
        return []
    where, fit = f"{_SETS[name]}, cross-validated", "the fit's report"
    return [
        Row(f"SRCC, {where}", f"PLCC {figures['plcc']:.3f}", fit, figures["srcc"], "", at_least=_SRCC_BARS[name]),
        Row(f"RMSE without refit, {where}", "score", fit, figures["rmse"], "", at_most=_RMSE_BAR),
    ]


def with_interval(opinions: Floats, statistic: Callable[[NDArray[np.int64]], float]) -> str:
    """Return the statistic of all photos, and its bootstrap interval of 95 % over photos drawn with replacement."""
    count = len(opinions)
    random = np.random.default_rng(7)
    drawn = [statistic(random.integers(0, count, count)) for _ in range(_RESAMPLES)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{statistic(np.arange(count)):.3f} ({low:.3f}-{high:.3f})"


def spearman(left: Floats, right: Floats) -> float:
    """The correlation of ranks, equal values sharing their mean rank."""
    return float(np.corrcoef(ranks(left), ranks(right))[0, 1])


def ranks(values: Floats) -> Floats:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends: Floats = np.cumsum(counts).astype(np.float64)
    mean_ranks: Floats = (ends - (counts - 1) / 2)[place]
    return mean_ranks
