"""What the fit learns from: statistics of the rated photos, of slightly changed copies and of spoiled versions."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyvips

from gateway.imaging.blocks import cell_vectors
from gateway.imaging.decode import Picture
from gateway.imaging.facts import Facts
from gateway.imaging.measures import measure, seen_figures
from gateway.imaging.probe import Probe
from gateway.imaging.statistics import statistics
from gateway.imaging.views import look
from tools.distortions import KINDS, Distortion, Pixels, to_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

COPIES = 3  # of each photo, which ought to score as it does: cut by up to 4 %, some saved again as JPEG
WINDOWS = 3  # of each photo, cut to 60 to 90 %, which people would judge much the same
KINDS_PER_PHOTO = 3
OFTEN = {"over": 2.0, "desaturated": 2.0, "low_contrast": 1.5}  # what opinions say least of
ALWAYS = ("over", "desaturated", "low_contrast")  # on every photo: opinions contradict them, so they need most examples
LEVELS = 3  # of each kind on each photo, at strengths drawn one from each third of the scale


class Sample(NamedTuple):
    """One picture: its statistics, float32 (features,), and its figures."""

    statistics: npt.NDArray[np.float32]
    figures: dict[str, float]


class Photo(NamedTuple):
    """A rated photo: itself with its copies, its windows, and its spoiled versions as (kind, mildest to worst)."""

    copies: list[Sample]
    windows: list[Sample]
    spoiled: list[tuple[str, list[Sample]]]


@dataclass(frozen=True)
class Rated:
    """The rated photos in the order of the list; `opinions` are mean opinion scores in 0..1."""

    files: list[str]
    opinions: npt.NDArray[np.float32]
    is_biq: npt.NDArray[np.bool_]
    digest: str


def read_list(folder: Path) -> Rated:
    """Read mos.csv, and hash it with all photos that it names."""
    with (folder / "mos.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    files = [row["file"] for row in rows]
    digest = hashlib.sha256((folder / "mos.csv").read_bytes())
    for file in files:
        digest.update((folder / file).read_bytes())
    opinions = np.array([float(row["mos"]) for row in rows], np.float32)
    return Rated(files, opinions, np.array([file.startswith("biq") for file in files]), digest.hexdigest())


def collect(folder: Path, files: Sequence[str], seed: int, processes: int) -> list[Photo]:
    """Measure every photo with its copies and its spoiled versions; the same for the same seed."""
    tasks = [(str(folder / file), seed * 1_000_003 + number) for number, file in enumerate(files)]
    with get_context("spawn").Pool(processes) as pool:
        return pool.starmap(photo, tasks, chunksize=16)


def photo(path: str, seed: int) -> Photo:
    """Measure one photo with its copies and its spoiled versions."""
    rng = np.random.default_rng(seed)
    pixels = read(path)
    copies = [sample(pixels), *(sample(_copy(pixels, rng)) for _ in range(COPIES))]
    windows = [sample(_window(pixels, rng)) for _ in range(WINDOWS)]
    weights = np.array([OFTEN.get(kind, 1.0) for kind in KINDS])
    kinds = rng.choice(list(KINDS), KINDS_PER_PHOTO, replace=False, p=weights / weights.sum())
    drawn = [(str(kind), _series(pixels, str(kind), rng)) for kind in kinds]
    return Photo(copies, windows, [*drawn, *_always(pixels, seed)])


def read(path: str) -> Pixels:
    """Return the pixels of a file, uint8 (H, W, 3)."""
    return _pixels_of(pyvips.Image.new_from_file(path, access="sequential"))


def sample(spoiled: Distortion) -> Sample:
    """Measure pixels or a file as the scorer does."""
    if isinstance(spoiled, tuple):
        data = spoiled[1]
        probe = Probe()
        facts = probe.feed(data) or probe.finish()
        pixels = _pixels_of(pyvips.Image.new_from_buffer(data, ""))
    else:
        pixels = spoiled
        facts = Facts("png", pixels.shape[1], pixels.shape[0], bands=3, lossless=True)
    height, width = pixels.shape[:2]
    views = look(Picture(to_image(pixels), width, height, 1))
    figures = measure(views, facts, width, height)
    return Sample(statistics(cell_vectors(views), seen_figures(views, figures)), figures)


def _pixels_of(image: pyvips.Image) -> Pixels:
    if image.bands == 1:
        image = image.colourspace("srgb")
    return np.asarray(image[:3].numpy(), np.uint8)


def _copy(pixels: Pixels, rng: np.random.Generator) -> Distortion:
    top, left, bottom, right = rng.integers(0, 10, 4)
    cut = pixels[top : pixels.shape[0] - bottom, left : pixels.shape[1] - right]
    if rng.random() < 1 / 3:
        return "jpeg", bytes(to_image(cut).write_to_buffer(".jpg", Q=int(rng.integers(92, 98))))
    return cut[:, ::-1] if rng.random() < 1 / 2 else cut


def _window(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    height, width = (round(side * rng.uniform(0.6, 0.9)) for side in pixels.shape[:2])
    top, left = rng.integers(0, pixels.shape[0] - height + 1), rng.integers(0, pixels.shape[1] - width + 1)
    return pixels[top : top + height, left : left + width]


def _always(pixels: Pixels, seed: int) -> list[tuple[str, list[Sample]]]:
    rng = np.random.default_rng([seed, 1])
    return [(kind, _series(pixels, kind, rng)) for kind in ALWAYS]


def _series(pixels: Pixels, kind: str, rng: np.random.Generator) -> list[Sample]:
    strengths = [(level + rng.random()) / LEVELS for level in range(LEVELS)]
    state = rng.integers(2**32)
    return [sample(KINDS[kind](pixels, strength, np.random.default_rng(state))) for strength in strengths]
