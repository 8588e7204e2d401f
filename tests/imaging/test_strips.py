from __future__ import annotations

import numpy as np
import pytest
import pyvips

from gateway.imaging.render import sample
from gateway.imaging.strips import BLOCK, strips

SIZES = [(1, 1), (3, 2), (500, 500), (2551, 67), (2559, 1201), (1, 70_000)]


def held(width: int, height: int, bands: int = 3) -> tuple[pyvips.Image, np.ndarray]:
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, bands), dtype=np.uint8)
    return pyvips.Image.new_from_array(pixels), pixels


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("bands", [1, 3])
def test_strips_are_the_picture(size: tuple[int, int], bands: int) -> None:
    image, pixels = held(*size, bands)
    found = list(strips(image))
    assert np.array_equal(np.concatenate(found), pixels)
    assert all(strip.shape[0] % BLOCK == 0 for strip in found[:-1])


@pytest.mark.parametrize("size", SIZES)
def test_a_lead_is_the_row_above(size: tuple[int, int]) -> None:
    image, pixels = held(*size)
    first, *others = strips(image, lead=1)
    top = first.shape[0]
    assert np.array_equal(first, pixels[:top])
    for strip in others:
        assert np.array_equal(strip, pixels[top - 1 : top - 1 + strip.shape[0]])
        top += strip.shape[0] - 1
    assert top == pixels.shape[0]


@pytest.mark.parametrize("size", SIZES)
def test_every_eighth_strip_is_an_eighth_of_them_but_at_least_one(size: tuple[int, int]) -> None:
    image, _ = held(*size)
    count = len(list(strips(image)))
    found = list(strips(image, every=8))
    assert max(1, count // 8) <= len(found) <= count // 8 + 1


@pytest.mark.parametrize("size", SIZES)
def test_a_sample_is_spread_over_the_picture_and_no_longer_than_asked(size: tuple[int, int]) -> None:
    image, pixels = held(*size)
    dots = sample(image, 64)
    across, down = -(-size[0] // 64), -(-size[1] // 64)
    assert max(dots.shape[:2]) <= 64
    assert np.array_equal(dots, pixels[::down, ::across][: dots.shape[0], : dots.shape[1]])
    assert dots.shape[0] * down > pixels.shape[0] - down
    assert dots.shape[1] * across > pixels.shape[1] - across
