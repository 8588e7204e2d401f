from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from gateway.imaging import measures
from gateway.imaging.views import to_luma
from tests.imaging.pictures import encode, photo_like, probe

if TYPE_CHECKING:
    from gateway.imaging.views import Pixels, Plane

RNG = np.random.default_rng(8)
SIDE = 144


def crops(seed: int = 1) -> Plane:
    pixels = np.asarray(photo_like(4 * SIDE, SIDE, seed))
    return np.stack([to_luma(pixels[:, at : at + SIDE]) for at in range(0, 4 * SIDE, SIDE)])


def blurred(planes: Plane, times: int) -> Plane:
    for _ in range(times):
        for axis in (1, 2):
            total = np.roll(planes, 1, axis) + 2 * planes + np.roll(planes, -1, axis)
            planes = (total / 4).astype(np.float32)
    return planes


def blocky(planes: Plane, strength: float, left: int = 0) -> Plane:
    steps = ((np.arange(SIDE) + left) // 8 % 2) * strength
    return np.asarray(planes + steps[None, None, :] + steps[None, :, None], np.float32)


def squares(planes: Plane, side: int) -> Plane:
    rows, columns = planes.shape[1] // side * side, planes.shape[2] // side * side
    small = planes[:, :rows:side, :columns:side]
    return small.repeat(side, axis=1).repeat(side, axis=2)


def solid(level: int) -> Pixels:
    return np.full((64, 64, 3), level, np.uint8)


def test_edges_lose_steepness_and_ratio_with_every_step_of_blur() -> None:
    found = [measures.sharpest_edges(blurred(crops(), times)) for times in (0, 1, 2, 4, 8, 16, 32)]
    for values in ([edges.steepness for edges in found], [edges.ratio for edges in found]):
        assert values == sorted(set(values), reverse=True)
    assert found[0].ratio > 0.8
    assert found[-1].ratio < 0.4


@pytest.mark.parametrize("contrast", [0.3, 0.6])
def test_the_edge_ratio_does_not_depend_on_contrast_or_brightness(contrast: float) -> None:
    planes = blurred(crops(), 2)
    changed = (25 + contrast * planes).astype(np.float32)
    assert measures.sharpest_edges(changed).ratio == pytest.approx(measures.sharpest_edges(planes).ratio, rel=0.05)


def test_a_blurred_background_is_no_fault() -> None:
    sharp = ((RNG.uniform(0, 1, (4, 18, 18)) > 0.5) * 255).astype(np.float32).repeat(8, axis=1).repeat(8, axis=2)
    planes = blurred(sharp, 16)
    blur = measures.sharpest_edges(planes).ratio
    planes[1] = sharp[1]
    assert measures.sharpest_edges(planes).ratio > 2 * blur


def test_motion_along_one_axis_counts_and_is_told_from_blur() -> None:
    planes = crops()
    moved = np.asarray(np.mean([np.roll(planes, shift, axis=2) for shift in range(9)], axis=0), np.float32)
    found, still = measures.sharpest_edges(moved), measures.sharpest_edges(planes)
    assert found.ratio < 0.75 * still.ratio
    assert found.direction < 0.5 < still.direction


@pytest.mark.parametrize("sigma", [1.0, 5.0, 20.0])
def test_noise_is_measured_in_grey_levels(sigma: float) -> None:
    planes = (128 + RNG.normal(0, sigma, (4, SIDE, SIDE))).astype(np.float32)
    assert measures.noise_sigma(planes) == pytest.approx(sigma, rel=0.25)


def test_ramps_are_not_noise() -> None:
    ramp = np.broadcast_to(np.linspace(25, 230, SIDE, dtype=np.float32), (4, SIDE, SIDE))
    assert measures.noise_sigma(ramp) < 0.2


def test_specks_are_counted_and_edges_are_not() -> None:
    planes = np.full((4, SIDE, SIDE), 100, np.float32)
    planes[:, :, 70:] = 200
    assert measures.speck_share(planes) == 0
    planes[:, 10:130:20, 10:60:10] = 255
    assert measures.speck_share(planes) == pytest.approx(4 * 6 * 5 / (4 * (SIDE - 2) ** 2))


@pytest.mark.parametrize("left", range(8))
def test_stairs_rise_with_the_steps_at_every_phase_of_the_grid(left: int) -> None:
    texture = 60 + RNG.normal(0, 3, (4, SIDE, SIDE)).cumsum(axis=2).astype(np.float32)
    values = [measures.stairs(blocky(texture, strength, left)) for strength in (0, 3, 6, 12)]
    assert values == sorted(set(values))
    assert values[0] < 0.05
    assert values[-1] > 0.2


def test_squares_of_n_pixels_have_stairs_of_about_n_less_one() -> None:
    texture = (128 + RNG.normal(0, 4, (9, SIDE, SIDE))).astype(np.float32)
    values = [measures.stairs(squares(texture, side)) for side in (2, 3, 4, 6, 8, 12)]
    assert values == sorted(values)
    assert values[:4] == pytest.approx([1, 2, 3, 5], rel=0.4)


def test_a_single_edge_is_no_stair() -> None:
    planes = np.full((4, SIDE, SIDE), 80, np.float32)
    planes[:, :, 64:] = 180
    assert measures.stairs(planes) == pytest.approx(0, abs=1e-9)


def test_shadows_and_highlights_are_shares_of_the_pixels() -> None:
    tone = measures.Tone.of(to_luma(np.concatenate([solid(8), solid(9), solid(200), solid(247)])))
    assert (tone.shadows_share, tone.highlights_share) == (0.25, 0.25)
    assert (tone.p5, tone.top) == pytest.approx((7.7, 247.5), abs=1)


def test_a_clipped_plateau_stays_one_when_the_picture_gets_darker() -> None:
    pixels = np.minimum(np.asarray(photo_like(200, 200)).astype(np.float32) * 2, 255)
    shares = [measures.Tone.of(to_luma((pixels * gain).astype(np.uint8))).highlights_share for gain in (1, 0.7, 0.4)]
    assert shares[0] > 0.1
    assert shares == pytest.approx([shares[0]] * 3, abs=0.03)


def test_colourfulness_is_zero_for_grey_and_rises_with_saturation() -> None:
    pixels = np.asarray(photo_like(200, 100)).astype(np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    values = [measures.colourfulness((grey + (pixels - grey) * share).astype(np.uint8)) for share in (0, 0.3, 0.6, 1)]
    assert values[0] == 0
    assert values == sorted(values)
    assert values[-1] > 40


def test_light_imbalance_is_zero_for_even_light_and_rises_with_a_shadow() -> None:
    luma = np.full((100, 100), 200, np.float32)
    values = []
    for level in (200, 130, 30):
        luma[:, :40] = level
        values.append(measures.light_imbalance(luma))
    assert values[0] == pytest.approx(0, abs=1e-6)
    assert values == sorted(values)


@pytest.mark.parametrize("quality", [5, 10, 28, 50, 75, 90, 95])
def test_jpeg_quality_is_that_of_the_encoder(quality: int) -> None:
    tables = probe(encode(photo_like(40, 40), "JPEG", quality=quality)).quantisation
    assert measures.jpeg_quality(tables[0]) == pytest.approx(quality, abs=1.5)


def test_jpeg_quality_stays_in_its_range() -> None:
    assert measures.jpeg_quality((1,) * 64) > 98
    assert measures.jpeg_quality((65_535,) * 64) == 1
