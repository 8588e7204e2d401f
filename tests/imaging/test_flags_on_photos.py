"""The flags of real photos, as they are and distorted, where the rated sets lie beside the project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import pyvips

from gateway.imaging.decode import Picture
from gateway.imaging.facts import Facts
from gateway.imaging.flags import find_flags
from tests.imaging.flag_copies import find
from tests.imaging.pictures import IQA
from tests.imaging.recipe import KINDS, LEVELS, pixels_of, recipe

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from gateway.report import Flags

pytestmark = pytest.mark.skipif(not IQA.exists(), reason="the rated photos are not beside the project")

STRONGEST = LEVELS - 1
_EVERY = 20
# Taken for text once: dark with a white caption, snow, wires, lamps over a bay, fireworks, a crane before the sky.
HARD = (
    *("biq/ss01_482.jpg", "biq/ss01_567.jpg", "biq/ss01_578.jpg", "biq/ss01_734.jpg", "biq/ss01_741.jpg"),
    *("biq/ss01_844.jpg", "biq/ss03_4766.jpg", "biq/ss03_7091.jpg", "biq/ss03_7665.jpg", "biq/ss03_2901.jpg"),
    *("biq/ss03_4546.jpg", "biq/ss03_7919.jpg", "clive/843.jpg", "clive/888.jpg"),
)
GREY = ("biq/ss03_1154.jpg", "biq/ss03_5834.jpg", "biq/ss03_6181.jpg", "biq/ss03_7891.jpg")  # all 4:2:0 JPEG


def of_pixels(pixels: npt.NDArray[Any]) -> Flags:
    image = pyvips.Image.new_from_array(pixels)
    return find_flags(Picture(image, image.width, image.height, 1), Facts("png", 1, 1, lossless=True))


def pristine() -> list[npt.NDArray[Any]]:
    return [pixels_of(path) for path in sorted((IQA / "pristine").glob("*.png"))]


@pytest.mark.parametrize("kind", KINDS)
def test_a_distorted_photo_is_not_pure_nor_black_and_white_unless_its_colour_is_gone(kind: str) -> None:
    for pixels in pristine():
        for level in (2, STRONGEST):
            found = of_pixels(recipe()[kind](pixels, level))
            assert not found.pure_image
            assert found.black_and_white is ((kind, level) == ("desat", STRONGEST))


def test_over_exposure_never_makes_text_of_a_photo() -> None:
    for pixels in pristine():
        for level in range(LEVELS):
            assert not of_pixels(recipe()["over"](pixels, level)).pure_image


@pytest.mark.parametrize("name", HARD)
def test_photos_that_are_nearly_a_plain_ground_are_not_pure(name: str) -> None:
    path = IQA / name
    assert not find(path.read_bytes()).pure_image
    assert not of_pixels(np.rot90(pixels_of(path))).pure_image


@pytest.mark.parametrize("name", GREY)
def test_grey_photos_are_black_and_white(name: str) -> None:
    assert find((IQA / name).read_bytes()).black_and_white


def test_rated_photos_are_not_pure() -> None:
    assert [path.name for path in sampled() if find(path.read_bytes()).pure_image] == []


@pytest.mark.parametrize("change", ["over", "under", "lowcon", "nearly black"])
def test_rated_photos_are_not_pure_after_a_strong_change_of_light_unless_nothing_is_left_to_see(change: str) -> None:
    for path in sampled()[::2]:
        pixels = pixels_of(path)
        changed = pixels // 20 if change == "nearly black" else recipe()[change](pixels, STRONGEST)
        assert not of_pixels(changed).pure_image or is_one_colour(changed), path.name


def sampled() -> list[Path]:
    paths = (path for folder in ("biq", "clive") for path in (IQA / folder).glob("*.*") if path.suffix != ".txt")
    return sorted(paths)[::_EVERY]


def is_one_colour(pixels: npt.NDArray[np.uint8]) -> bool:
    """Tell whether 99 of 100 values are off by no more than about 1 %, which no display shows."""
    off = np.abs(pixels - np.median(pixels, axis=(0, 1)))
    return bool((off <= 3).mean() >= 0.99)
