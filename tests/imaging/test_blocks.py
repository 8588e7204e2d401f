from __future__ import annotations

import cv2
import numpy as np
import pytest
import pyvips

from gateway.imaging.blocks import CHANNELS, block_energies, cell_vectors
from gateway.imaging.composition import composition
from gateway.imaging.decode import Picture
from gateway.imaging.measures import look_at
from gateway.imaging.statistics import statistics
from gateway.imaging.views import Views, look
from tests.imaging.pictures import photo_like

RNG = np.random.default_rng(4)


def views(width: int, height: int, *, mirrored: bool = False) -> Views:
    pixels = np.asarray(photo_like(width, height))
    pixels = np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels
    return look(Picture(pyvips.Image.new_from_array(pixels).copy(interpretation="srgb"), width, height, 1))


def test_energies_are_those_of_the_cosine_transform() -> None:
    plane = RNG.uniform(0, 255, (16, 24)).astype(np.float32)
    energies, means = block_energies(plane)
    spectrum = cv2.dct(plane[8:16, 16:24]) ** 2
    order = np.add.outer(np.arange(8), np.arange(8))
    assert means[1, 2] == pytest.approx(plane[8:16, 16:24].mean(), rel=1e-5)
    assert energies[1, 2, 3] == pytest.approx(np.log2(spectrum[(order >= 5) & (order <= 6)].mean() + 0.25), rel=1e-4)
    assert energies[1, 2, 6] == pytest.approx(np.log2(spectrum[0, 2:].mean() + 0.25), rel=1e-4)


def test_plain_noise_has_its_variance_in_every_band() -> None:
    energies, _ = block_energies((128 + RNG.normal(0, 8, (256, 256))).astype(np.float32))
    assert 2 ** energies.mean(axis=(0, 1)) == pytest.approx(np.full(9, 64), rel=0.5)


@pytest.mark.parametrize("size", [(5000, 3), (1, 1), (3, 2000)])
def test_thin_pictures_have_statistics_too(size: tuple[int, int]) -> None:
    seen = views(*size)
    found = statistics(cell_vectors(seen), look_at(seen, seen.seen, seen.seen))
    assert np.isfinite(found).all()


@pytest.mark.parametrize("size", [(128, 128), (512, 341), (333, 500)])
def test_every_cell_of_the_whole_view_has_its_vector(size: tuple[int, int]) -> None:
    found = cell_vectors(views(*size))
    assert found.shape == (size[1] // 32 * 2, size[0] // 32 * 2, CHANNELS)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()


def test_a_mirror_only_turns_the_cells_around() -> None:
    assert np.allclose(cell_vectors(views(512, 320)), cell_vectors(views(512, 320, mirrored=True))[:, ::-1], atol=1e-3)


def test_statistics_have_one_length_and_forget_left_and_right() -> None:
    one, other, small = views(512, 320), views(512, 320, mirrored=True), views(200, 160)
    found = [statistics(cell_vectors(each), look_at(each, each.seen, each.seen)) for each in (one, other, small)]
    assert found[0].shape == found[2].shape
    assert found[0].dtype == np.float32
    assert all(np.isfinite(each).all() for each in found)
    assert np.abs(found[0] - found[1]).max() < 0.05


def detail_at(places: list[tuple[int, int]]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    vectors = np.full((20, 30, CHANNELS), -2, np.float32)
    for y, x in places:
        vectors[y, x] = 10
    return vectors


def test_composition_prefers_details_at_the_thirds_to_details_in_a_corner() -> None:
    third, corner = composition(detail_at([(6, 10), (7, 10)])), composition(detail_at([(0, 0), (0, 1)]))
    assert third["balance"] > 0.8 > corner["balance"]
    assert third["concentration"] == 1
    assert third["coverage"] == pytest.approx(2 / 600)


def test_an_even_texture_is_not_concentrated_and_a_plain_picture_shows_nothing() -> None:
    even = composition(np.full((20, 30, CHANNELS), 9, np.float32))
    assert (even["concentration"], even["coverage"]) == (0.25, 1)
    assert set(composition(np.full((20, 30, CHANNELS), -2, np.float32)).values()) == {0}
