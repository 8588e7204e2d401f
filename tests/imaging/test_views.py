from __future__ import annotations

import numpy as np
import pytest
import pyvips

from gateway.imaging.decode import Picture
from gateway.imaging.views import cells, halved, look, to_luma
from tests.imaging.files import loaded
from tests.imaging.pictures import encode, exif, photo_like


def picture(width: int, height: int, factor: int = 1) -> Picture:
    image = pyvips.Image.new_from_array(np.asarray(photo_like(width, height))).copy(interpretation="srgb")
    return Picture(image, width * factor, height * factor, factor)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_picture_that_is_turned_is_looked_at_as_if_it_were_stored_upright(orientation: int) -> None:
    turned = loaded(encode(photo_like(1700, 1100), "JPEG", exif=exif(orientation)))
    upright = pyvips.Image.new_from_array(turned.image.numpy()).copy(interpretation="srgb")
    seen, expected = (look(each) for each in (turned, Picture(upright, turned.width, turned.height, turned.factor)))
    assert np.array_equal(seen.whole, expected.whole)
    assert np.array_equal(seen.detail, expected.detail)


@pytest.mark.parametrize("size", [(1, 1), (40, 300), (512, 512), (768, 512), (1280, 700), (2559, 1900), (2000, 30)])
def test_views_have_a_bounded_size_for_any_picture(size: tuple[int, int]) -> None:
    views = look(picture(*size))
    assert max(views.whole.shape[:2]) <= 512
    assert views.luma.shape == views.whole.shape[:2]
    assert min(views.luma.shape) >= 1
    for plane in (views.seen, views.detail, views.stored):
        assert plane.shape[0] == 9
        assert 0 < plane[0].size <= 152**2
    for plane in (views.luma, views.seen, views.detail, views.stored):
        assert plane.dtype == np.float32
        assert plane.min() >= 0
        assert plane.max() <= 255.001


def test_a_picture_at_detail_scale_is_not_resampled() -> None:
    source = to_luma(np.asarray(photo_like(1280, 900)))
    views = look(picture(1280, 900))
    crop = views.detail[0]
    places = [(top, left) for top in range(0, 757, 8) for left in range(0, 1137, 8)]
    assert any(np.array_equal(source[top : top + 144, left : left + 144], crop) for top, left in places)
    assert views.stored is views.detail


def test_a_small_picture_is_its_own_detail() -> None:
    views = look(picture(500, 400))
    assert views.detail is views.seen is views.stored


def test_the_stored_scale_is_that_of_the_loaded_picture() -> None:
    source = to_luma(np.asarray(photo_like(2000, 1500)))
    crop = look(picture(2000, 1500)).stored[4]
    places = [(top, left) for top in range(0, 1357, 8) for left in range(0, 1857, 8)]
    assert any(np.allclose(source[top : top + 144, left : left + 144], crop, atol=0.01) for top, left in places)


def test_crops_are_spread_over_the_picture_and_lie_in_mirrored_places() -> None:
    pixels = np.asarray(photo_like(1200, 1000))
    first = look(Picture(pyvips.Image.new_from_array(pixels).copy(interpretation="srgb"), 1200, 1000, 1)).detail
    turned = np.ascontiguousarray(pixels[:, ::-1])
    second = look(Picture(pyvips.Image.new_from_array(turned).copy(interpretation="srgb"), 1200, 1000, 1)).detail
    assert len({crop.tobytes() for crop in first}) == 9
    assert np.allclose(first[4].mean(), second[4].mean(), atol=3)


def test_a_grey_picture_is_seen_in_three_channels() -> None:
    grey = pyvips.Image.new_from_array(np.asarray(photo_like(190, 180).convert("L"))).copy(interpretation="b-w")
    assert look(Picture(grey, 190, 180, 1)).whole.shape == (180, 190, 3)


def test_luma_of_white_is_255_and_of_black_nothing() -> None:
    assert to_luma(np.array([[255, 255, 255], [0, 0, 0]], np.uint8)) == pytest.approx([255, 0], abs=1e-3)


def test_halving_takes_means_and_leaves_odd_lines_out() -> None:
    plane = np.arange(15, dtype=np.float32).reshape(3, 5)
    assert halved(plane).tolist() == [[3.0, 5.0]]


def test_cells_are_means() -> None:
    plane = np.arange(16, dtype=np.float32).reshape(4, 4)
    assert cells(plane, 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]
