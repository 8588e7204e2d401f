"""Fits gateway/imaging/network.npz to the rated photos, and writes model_report.json beside it.

    make fit ARGS="[--photos ../shared/iqa] [--processes 2] [--epochs 40]"

The network learns three things at once: what people said of the rated photos (error and correlation, for each set by
itself, since their scales differ), that a spoiled photo is worth less than a less spoiled one, for fifteen kinds at
drawn strengths on the rated photos themselves, and that a slightly changed copy is worth the same. The penalties of
gateway/imaging/score.py, which no fit touches, are added to its opinion while it learns, so that it learns what they
leave over. The same seed, threads and library versions give the same file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.stats
import torch

from gateway.imaging.network import BOUND
from gateway.imaging.score import penalty
from tools.quality_data import Photo, Rated, Sample, collect, read_list
from tools.quality_net import MEMBERS, QualityNet, export

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Indices = npt.NDArray[np.intp]

SEED = 20
FOLDS = 5
RATED_BATCH = 256
SERIES_BATCH = 128
_EPOCH_UNIT = 64  # photos; an epoch makes one step for each so many of them
LIVE_WEIGHT = 5.0  # a LIVE photo has 175 ratings, a BIQ photo 30, and there are four times as many of those
MARGIN = 0.02  # logits that one more third of a kind's strength shall cost at least
RANK_WEIGHT = 0.8
RANK_OFTEN = {"over": 4.0, "desaturated": 3.0, "under": 3.0, "low_contrast": 2.0}  # what opinions contradict most
# A poor photo that is too dark may well gain by more light: rank pairs count little below the first opinion, fully
# above the second, since it is good photos that a change can only spoil.
POOR, GOOD, LEAST_RANK = 0.35, 0.65, 0.1
ALIKE_WEIGHT = 0.05
WINDOW_WEIGHT = 0.5
MIX_SHAPE = 1.0  # of the beta distribution that draws how two photos are mixed: uniformly
PEAK_RATE = 4e-3
DECAY = 0.1
TARGET = Path(__file__).parent.parent / "gateway" / "imaging"


class Tensors(NamedTuple):
    """All samples in one row: standardised statistics (N, features), and the penalties (N,)."""

    statistics: torch.Tensor
    penalties: torch.Tensor


class Data(NamedTuple):
    """The samples, and where each photo's lie among them."""

    tensors: Tensors
    copies: Indices  # (photos, 1 + copies)
    windows: Indices  # (photos, windows)
    series: Indices  # (photos * kinds, 1 + levels): the untouched one, then from mild to worst
    kinds: list[str]  # of each row of series
    owners: Indices  # of each row of series: the photo
    means: npt.NDArray[np.float32]
    scales: npt.NDArray[np.float32]


def main() -> None:
    """Measure, cross-validate, fit, and write the network and its report."""
    options = _arguments()
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    rated = read_list(options.photos)
    data = arrange(collect(options.photos, rated.files, SEED, options.processes))
    folds = np.random.default_rng(SEED).permutation(len(rated.files)) % FOLDS
    net = fit(data, rated, np.arange(len(rated.files)), options.epochs)
    size = export(net, data.means, data.scales, TARGET / "network.npz")
    held_out, shares = cross_validate(data, rated, folds, options.epochs)
    report = {
        "data_sha256": rated.digest,
        "seed": SEED,
        "libraries": {"torch": torch.__version__, "numpy": np.__version__},
        "network_bytes": size,
        "cross_validation": {
            name: measures(held_out[members], rated.opinions[members])
            for name, members in (("biq", rated.is_biq), ("clive", ~rated.is_biq))
        },
        "monotone_share": shares,
    }
    (TARGET / "model_report.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fit the score to rated photos.")
    parser.add_argument("--photos", type=Path, default=Path(__file__).parent.parent.parent / "shared" / "iqa")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=40)
    return parser.parse_args()


def arrange(photos: Sequence[Photo]) -> Data:
    """Put all samples into one row; standardise by the untouched photos, which says nothing of opinions."""
    samples: list[Sample] = []
    copies, windows, series, kinds, owners = [], [], [], [], []
    for number, photo in enumerate(photos):
        first = len(samples)
        samples += photo.copies
        copies.append(range(first, len(samples)))
        samples += photo.windows
        windows.append(range(len(samples) - len(photo.windows), len(samples)))
        for kind, spoiled in photo.spoiled:
            series.append([first, *range(len(samples), len(samples) + len(spoiled))])
            samples += spoiled
            kinds.append(kind)
            owners.append(number)
    rows = np.stack([sample.statistics for sample in samples])
    untouched = rows[[row[0] for row in copies]]
    means = untouched.mean(axis=0)
    scales = 1 / (untouched.std(axis=0) + np.float32(1e-3))
    standard = torch.from_numpy(np.clip((rows - means) * scales, -BOUND, BOUND))
    penalties = torch.tensor([penalty(sample.figures) for sample in samples], dtype=torch.float32)
    tensors = Tensors(standard, penalties)
    places = (np.array(rows, np.intp) for rows in (copies, windows, series))
    return Data(tensors, *places, kinds, np.array(owners), means, scales)


def cross_validate(
    data: Data, rated: Rated, folds: Indices, epochs: int
) -> tuple[npt.NDArray[np.float64], dict[str, float]]:
    """Return each photo's score by a network that never saw it, and the share of monotone series by kind."""
    scores = np.zeros(len(rated.files))
    monotone: dict[str, list[bool]] = {}
    for fold in range(FOLDS):
        net = fit(data, rated, np.flatnonzero(folds != fold), epochs)
        members = np.flatnonzero(folds == fold)
        scores[members] = predict(net, data.tensors, data.copies[members, 0])
        for row in np.flatnonzero(folds[data.owners] == fold):
            falling = np.diff(predict(net, data.tensors, data.series[row])) < 0
            monotone.setdefault(data.kinds[row], []).append(bool(falling.all()))
        for name, chosen in (("biq", rated.is_biq[members]), ("clive", ~rated.is_biq[members])):
            print(fold, name, measures(scores[members][chosen], rated.opinions[members][chosen]), flush=True)
        print(fold, {kind: round(float(np.mean(found)), 3) for kind, found in monotone.items()}, flush=True)
    return scores, {kind: round(float(np.mean(monotone[kind])), 3) for kind in sorted(monotone)}


def fit(data: Data, rated: Rated, members: Indices, epochs: int) -> QualityNet:
    """Fit a network to the photos whose numbers are `members`."""
    rng = np.random.default_rng(SEED)
    net = QualityNet(len(data.means))
    steps = epochs * (len(members) // _EPOCH_UNIT)
    optimiser = torch.optim.AdamW(net.parameters(), weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=steps, pct_start=0.15)
    chances = np.where(rated.is_biq[members], 1.0, LIVE_WEIGHT)
    chances /= chances.sum()
    rows = np.flatnonzero(np.isin(data.owners, members))
    started = perf_counter()
    for step in range(steps):
        chosen = rng.choice(members, RATED_BATCH, p=chances)
        spoiled = rng.choice(rows, SERIES_BATCH, replace=False)
        loss = _loss(net, data, rated, chosen, spoiled, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 500 == 499:
            print(f"  step {step + 1} of {steps}, loss {loss.item():.3f}, {perf_counter() - started:.0f} s", flush=True)
    return net.eval()


def _loss(
    net: QualityNet, data: Data, rated: Rated, chosen: Indices, rows: Indices, rng: np.random.Generator
) -> torch.Tensor:
    series = data.series[rows]
    often = np.array([RANK_OFTEN.get(data.kinds[row], 1.0) for row in rows])
    sure = np.clip((rated.opinions[data.owners[rows]] - POOR) / (GOOD - POOR), LEAST_RANK, 1)
    weights = torch.tensor(often * sure, dtype=torch.float32)
    one = data.copies[chosen, rng.integers(0, data.copies.shape[1], len(chosen))]
    other = data.copies[chosen, rng.integers(0, data.copies.shape[1], len(chosen))]
    within = data.windows[chosen, rng.integers(0, data.windows.shape[1], len(chosen))]
    places = np.concatenate([one, other, within, series.ravel()])
    net.train()
    totals = net(data.tensors.statistics[places]) + data.tensors.penalties[places][:, None]
    first, second, part, spoiled = totals.split([len(one), len(other), len(within), series.size])
    opinions, is_biq = torch.from_numpy(rated.opinions[chosen]), torch.from_numpy(rated.is_biq[chosen])
    loss = opinion_loss(first, opinions, is_biq) + WINDOW_WEIGHT * opinion_loss(part, opinions, is_biq)
    loss = loss + _mixed_loss(net, data.tensors, one, opinions, rng)
    loss = loss + RANK_WEIGHT * rank_loss(spoiled.reshape(*series.shape, MEMBERS), weights)
    return loss + ALIKE_WEIGHT * ((first - second) ** 2).mean()


def _mixed_loss(
    net: QualityNet, tensors: Tensors, places: Indices, opinions: torch.Tensor, rng: np.random.Generator
) -> torch.Tensor:
    """Squared error on mixtures of two photos: between two photos the opinion shall lie between theirs.

    Source: Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", section 2.
    """
    share = torch.from_numpy(rng.beta(MIX_SHAPE, MIX_SHAPE, (len(places), 1)).astype(np.float32))
    other = rng.permutation(len(places))
    statistics, penalties = tensors.statistics[places], tensors.penalties[places][:, None]
    mixed = net(share * statistics + (1 - share) * statistics[other])
    totals = mixed + share * penalties + (1 - share) * penalties[other]
    told = share * opinions[:, None] + (1 - share) * opinions[other][:, None]
    return 4 * ((torch.sigmoid(totals) - told) ** 2).mean()


def opinion_loss(totals: torch.Tensor, opinions: torch.Tensor, is_biq: torch.Tensor) -> torch.Tensor:
    """Squared error of the scores, and one minus their correlation with the opinions in each set by itself."""
    scores = torch.sigmoid(totals)
    loss = 4 * ((scores - opinions[:, None]) ** 2).mean()
    for chosen in (is_biq, ~is_biq):
        if chosen.sum() > 8:
            found, told = scores[chosen], opinions[chosen]
            found, told = found - found.mean(0), (told - told.mean())[:, None]
            correlation = (found * told).sum(0) / (found.norm(dim=0) * told.norm() + 1e-6)
            loss = loss + 0.15 * (1 - correlation).mean()
    return loss


def rank_loss(totals: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Take the part by which the members' mean misses falling by the margin at each step, (S, 1 + levels, members)."""
    means = totals.mean(dim=2)
    return (weights[:, None] * torch.relu(MARGIN - (means[:, :-1] - means[:, 1:]))).mean()


def predict(net: QualityNet, tensors: Tensors, places: Indices) -> npt.NDArray[np.float64]:
    """Return the scores of the samples at these places."""
    with torch.no_grad():
        totals = net(tensors.statistics[places]).mean(dim=1) + tensors.penalties[places]
        return np.asarray(torch.sigmoid(totals).double().numpy())


def measures(scores: npt.NDArray[np.float64], opinions: npt.NDArray[np.float32]) -> dict[str, float]:
    """Return rank and linear correlation and the root mean squared error, without any refit."""
    figures: tuple[tuple[str, Callable[..., Any]], ...] = (
        ("srcc", lambda: scipy.stats.spearmanr(scores, opinions).statistic),
        ("plcc", lambda: scipy.stats.pearsonr(scores, opinions).statistic),
        ("rmse", lambda: np.sqrt(np.mean((scores - opinions) ** 2))),
    )
    return {name: round(float(figure()), 4) for name, figure in figures}


if __name__ == "__main__":
    main()
