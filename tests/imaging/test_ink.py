from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageDraw

from gateway.imaging.ink import Ink, colour_depth, count_depths, find_ink, ink_depth, tone_depth
from gateway.imaging.strips import strips
from tests.imaging.flag_pictures import lines

if TYPE_CHECKING:
    from collections.abc import Callable

WHITE = np.array([255, 255, 255], np.uint8)


def ink_of(image: Image.Image) -> Ink:
    held = pyvips.Image.new_from_array(np.asarray(image.convert("RGB")))
    depth = partial(tone_depth, ground=WHITE)
    counts = count_depths(strips(held), depth)
    return find_ink(strips(held, lead=1), depth, counts, ink_depth(counts, 32))


def sheet(draw_on: Callable[[ImageDraw.ImageDraw], object]) -> Image.Image:
    image = Image.new("RGB", (900, 700), (255, 255, 255))
    draw_on(ImageDraw.Draw(image))
    return image


def discs(draw: ImageDraw.ImageDraw) -> None:
    for left in range(50, 850, 100):
        draw.ellipse((left, 300, left + 40, 340), fill=0)


def rings(draw: ImageDraw.ImageDraw) -> None:
    for left in range(50, 850, 100):
        draw.ellipse((left, 300, left + 40, 340), outline=0, width=4)


def test_depth_is_the_distance_from_the_ground_in_luma_or_in_the_farthest_band() -> None:
    pixels = np.array([[[255, 255, 255], [0, 0, 0], [255, 255, 15]]], np.uint8)
    assert tone_depth(pixels, WHITE).tolist() == [[0, 255, 30]]
    assert colour_depth(pixels, WHITE).tolist() == [[0, 255, 240]]
    assert tone_depth(pixels[..., :1], WHITE[:1]).tolist() == [[0, 255, 0]]


def test_the_ink_is_as_deep_as_most_of_what_stands_out() -> None:
    counts = np.zeros(256, np.int64)
    counts[[0, 10, 60, 200, 250]] = 10_000, 500, 10, 85, 5
    assert ink_depth(counts, 32) == 200
    counts[33:] = 0
    assert ink_depth(counts, 32) == 0


def test_discs_in_a_line_are_round_and_cross_each_column_once() -> None:
    ink = ink_of(sheet(discs))
    assert ink.shapes == 8
    assert ink.roundness == pytest.approx(np.pi / 4, abs=0.02)
    assert ink.strokes == pytest.approx((1, 8))
    assert (ink.spread, ink.edge_width) == (0, 0)


def test_holes_count_against_shapes() -> None:
    ink = ink_of(sheet(rings))
    assert ink.shapes == 0
    assert ink.roundness < 0.05
    assert ink.strokes[0] > 1.5


def test_shading_shows_as_wide_edges_and_many_tones() -> None:
    image = sheet(discs)
    sharp, soft = ink_of(image), ink_of(image.resize((90, 70)).resize((900, 700), Image.Resampling.BILINEAR))
    assert sharp.edge_width < 0.1
    assert soft.edge_width > 4
    assert soft.spread > 0.02 * soft.depth


@pytest.mark.parametrize("width", [480, 1500, 2551])
def test_turning_changes_nothing_but_the_first_row(width: int) -> None:
    page = lines((30,), side=(width, 500))
    found = [ink_of(page.transpose(turn)) for turn in Image.Transpose]
    upright = ink_of(page)
    for ink in found:
        assert ink.pixels == upright.pixels
        assert sorted(ink.runs) == sorted(upright.runs)
        assert sorted(ink.lines) == sorted(upright.lines)
        assert (ink.shapes, ink.strokes, ink.edge_width) == (upright.shapes, upright.strokes, upright.edge_width)
