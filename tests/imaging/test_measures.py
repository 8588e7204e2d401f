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


def crops(seed: int = 1) -> Plane:
    pixels = np.asarray(photo_like(768, 192, seed))
    return np.stack([to_luma(pixels[:, at : at + 192]) for at in (0, 192, 384, 576)])


def blurred(planes: Plane, times: int) -> Plane:
    for _ in range(times):
        for axis in (1, 2):
            total = np.roll(planes, 1, axis) + 2 * planes + np.roll(planes, -1, axis)
            planes = (total / 4).astype(np.float32)
    return planes


def blocky(planes: Plane, strength: float, left: int = 0) -> Plane:
    ramp = np.arange(192)
    steps = ((ramp + left) // 8 % 2) * strength
    return np.asarray(planes + steps[None, None, :] + steps[None, :, None], np.float32)


def solid(level: int) -> Pixels:
    return np.full((64, 64, 3), level, np.uint8)


def test_edges_lose_their_steepness_ratio_with_every_step_of_blur() -> None:
    ratios = [measures.edge_ratios(blurred(crops(), times)) for times in (0, 1, 2, 4, 8, 16, 32)]
    for axis in (0, 1):
        values = [ratio[axis] for ratio in ratios]
        assert values == sorted(values, reverse=True)
    assert ratios[0][0] > 0.9
    assert ratios[-1][0] < 0.65
    assert ratios[-1][1] < 0.4


@pytest.mark.parametrize("contrast", [0.3, 0.6])
def test_edge_ratios_do_not_depend_on_contrast_or_brightness(contrast: float) -> None:
    planes = blurred(crops(), 2)
    changed = (0.1 + contrast * planes).astype(np.float32)
    assert measures.edge_ratios(changed) == pytest.approx(measures.edge_ratios(planes), rel=0.05)


def test_a_blurred_background_is_no_fault() -> None:
    sharp = (RNG.uniform(0, 1, (4, 24, 24)) > 0.5).astype(np.float32).repeat(8, axis=1).repeat(8, axis=2)
    planes = blurred(sharp, 16)
    assert measures.edge_ratios(planes)[0] < 0.7
    planes[1] = sharp[1]
    assert measures.edge_ratios(planes)[0] > 0.9


def test_motion_along_one_axis_counts() -> None:
    planes = crops()
    moved = np.asarray(np.mean([np.roll(planes, shift, axis=2) for shift in range(9)], axis=0), np.float32)
    assert measures.edge_ratios(moved)[0] < 0.75 * measures.edge_ratios(planes)[0]


@pytest.mark.parametrize("sigma", [1.0, 5.0, 20.0])
def test_noise_is_measured_in_grey_levels(sigma: float) -> None:
    planes = (0.5 + RNG.normal(0, sigma / 255, (4, 192, 192))).astype(np.float32)
    assert measures.noise_sigma(planes) == pytest.approx(sigma, rel=0.2)


def test_ramps_are_not_noise() -> None:
    ramp = np.broadcast_to(np.linspace(0.1, 0.9, 192, dtype=np.float32), (4, 192, 192))
    assert measures.noise_sigma(ramp) < 0.01


@pytest.mark.parametrize("left", range(8))
def test_blockiness_rises_with_the_steps_at_every_phase_of_the_grid(left: int) -> None:
    texture = crops() + RNG.normal(0, 0.01, (4, 192, 192)).astype(np.float32)
    values = [measures.blockiness(blocky(texture, strength, left), 8) for strength in (0, 0.01, 0.02, 0.04)]
    assert values == sorted(values)
    assert values[0] < 0.05
    assert values[-1] > 0.2


def test_a_single_edge_is_no_block() -> None:
    planes = np.full((4, 192, 192), 0.3, np.float32)
    planes[:, :, 64:] = 0.7
    assert measures.blockiness(planes, 8) == 0


def test_clipped_shares_count_plain_black_and_white() -> None:
    luma = to_luma(np.concatenate([solid(8), solid(9), solid(246), solid(247)]))
    assert measures.clipped_shares(luma) == (0.25, 0.25)


def test_quantiles_agree_with_numpy() -> None:
    values = RNG.beta(2, 5, (200, 300)).astype(np.float32)
    shares = (0.01, 0.05, 0.5, 0.95, 0.99)
    assert measures.quantiles(values, shares) == pytest.approx(tuple(np.quantile(values, shares)), abs=0.001)


def test_colourfulness_is_zero_for_grey_and_rises_with_saturation() -> None:
    pixels = np.asarray(photo_like(200, 100)).astype(np.float32)
    grey = pixels.mean(axis=2, keepdims=True)
    values = [measures.colourfulness((grey + (pixels - grey) * share).astype(np.uint8)) for share in (0, 0.3, 0.6, 1)]
    assert values[0] == 0
    assert values == sorted(values)
    assert values[-1] > 45


def test_light_imbalance_is_zero_for_even_light_and_rises_with_a_shadow() -> None:
    luma = np.full((100, 100), 0.8, np.float32)
    values = []
    for level in (0.8, 0.5, 0.1):
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
