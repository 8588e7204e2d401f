from __future__ import annotations

import numpy as np
import pytest
import pyvips

from gateway.imaging.decode import Picture
from gateway.imaging.views import cells, halved, look, to_luma
from tests.imaging.pictures import photo_like


def picture(width: int, height: int, factor: int = 1) -> Picture:
    image = pyvips.Image.new_from_array(np.asarray(photo_like(width, height))).copy(interpretation="srgb")
    return Picture(image, width * factor, height * factor, factor)


@pytest.mark.parametrize("size", [(1, 1), (40, 300), (512, 512), (768, 512), (1280, 700), (2559, 1900), (2000, 30)])
def test_views_have_a_bounded_size_for_any_picture(size: tuple[int, int]) -> None:
    views = look(picture(*size))
    assert max(views.whole.shape[:2]) <= 512
    assert views.luma.shape == views.whole.shape[:2]
    assert views.detail.size <= 300_000
    assert views.stored.size <= 300_000
    assert min(views.luma.shape) >= 1
    for plane in (views.luma, views.detail, views.stored):
        assert plane.dtype == np.float32
        assert plane.min() >= 0
        assert plane.max() <= 1.000001


def test_a_picture_at_detail_scale_is_not_resampled() -> None:
    source = to_luma(np.asarray(photo_like(1280, 900)))
    views = look(picture(1280, 900))
    crop = views.detail[0]
    places = [(top, left) for top in range(0, 709, 8) for left in range(0, 1089, 8)]
    assert any(np.array_equal(source[top : top + 192, left : left + 192], crop) for top, left in places)


def test_crops_run_from_the_most_to_the_least_detailed_cell() -> None:
    pixels = np.full((1000, 1200, 3), 120, np.uint8)
    pixels[100:300, 800:1000] = np.random.default_rng(1).integers(0, 256, (200, 200, 3))
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    spreads = look(Picture(image, 1200, 1000, 1)).detail.std(axis=(1, 2))
    assert spreads[0] == spreads.max() > 0.1
    assert spreads[-1] < 1e-6


@pytest.mark.parametrize(("factor", "grid"), [(1, 8), (2, 4), (4, 0)])
def test_the_grid_shrinks_with_the_picture_until_it_cannot_be_seen(factor: int, grid: int) -> None:
    assert look(picture(300, 200, factor)).grid == grid


def test_a_grey_picture_is_seen_in_three_channels() -> None:
    grey = pyvips.Image.new_from_array(np.asarray(photo_like(90, 80).convert("L"))).copy(interpretation="b-w")
    assert look(Picture(grey, 90, 80, 1)).whole.shape == (80, 90, 3)


def test_luma_of_white_is_one_and_of_black_nothing() -> None:
    assert to_luma(np.array([[255, 255, 255], [0, 0, 0]], np.uint8)) == pytest.approx([1, 0], abs=1e-6)


def test_halving_takes_means_and_leaves_odd_lines_out() -> None:
    plane = np.arange(15, dtype=np.float32).reshape(3, 5)
    assert halved(plane).tolist() == [[3.0, 5.0]]


def test_cells_are_means() -> None:
    plane = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert cells(plane, 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]
