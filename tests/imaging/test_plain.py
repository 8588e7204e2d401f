from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import pyvips
from PIL import Image

from gateway.imaging.plain import is_plain
from gateway.imaging.render import sample
from tests.imaging.flag_copies import find, of_copies, wrong
from tests.imaging.flag_pictures import (
    BLACK,
    WHITE,
    dark_scene_with_a_caption,
    exposed,
    joined_strokes,
    lines,
    mirrored_script,
    night_with_lamps,
    noisy,
    one_word,
    scanned,
    scenery,
    sky_with_a_bird,
    square_strokes,
    written,
)
from tests.imaging.pictures import encode, from_array, photo_like

BLANK = {
    "white": Image.new("RGB", (400, 300), WHITE),
    "black": Image.new("RGB", (300, 900), BLACK),
    "a colour": Image.new("RGB", (400, 300), (120, 130, 140)),
    "not whole blocks": Image.new("RGB", (401, 303), (30, 60, 120)),
    "one pixel": Image.new("RGB", (1, 1), (200, 90, 90)),
    "faint noise": noisy(200.0, 3),
    "faint noise on a dark colour": noisy(np.array([20.0, 60.0, 30.0]), 3),
    "empty scan": scanned(Image.new("RGB", (400, 300), (250, 248, 244))),
    "empty scan, falling light": scanned(Image.new("RGB", (300, 400), (240, 240, 240)), 0.08),
}
TEXT = {
    **{f"{size} pixels": lines((size,)) for size in (12, 16, 24, 40, 80)},
    "several sizes": lines((40, 12, 16, 24)),
    "on grey": lines((18,), (200, 200, 200)),
    "on a colour": lines((18,), (180, 210, 240), (20, 40, 120)),
    "on dark": lines((24,), (10, 20, 60), (250, 240, 230)),
    "white on black": lines((14,), BLACK, WHITE),
    "dense white on blue, whose blue is then full": written(square_strokes(3), 12, ground=(10, 60, 160), ink=WHITE),
    "pale": lines((24,), WHITE, (120, 120, 120)),
    "in a colour as light as the ground": lines((40,), (200, 200, 200), (60, 230, 255)),
    "a strip": lines((30,), side=(480, 60)),
    "one word": one_word(40),
    "a short word": one_word(24, word="Hi"),
    "a word in a corner": one_word(16, (800, 600)),
    "a page from a scanner": scanned(lines((20,))),
    "mirrored letters": mirrored_script(20),
    **{f"square strokes, {size} pixels": written(square_strokes(1), size) for size in (14, 24, 60)},
    "square strokes on dark": written(square_strokes(2), 24, ground=(20, 60, 30), ink=(240, 230, 200)),
    **{f"joined strokes, {size} pixels": written(joined_strokes(1), size) for size in (20, 40)},
}
SCENES = {
    "shapes": photo_like(400, 300),
    "scenery": scenery(),
    "low contrast": exposed(scenery(), 0.14, 110),
    "fog": exposed(scenery(), 0.15, 200),
    "under-exposed": exposed(scenery(), 0.09),
    "over-exposed": exposed(scenery(), 2.4),
    "over-exposed, mostly white": exposed(scenery(), 4.5, -200),
    "a bird in a smooth sky": sky_with_a_bird(60),
    "a bird in an even sky": sky_with_a_bird(0),
    "lamps at night": night_with_lamps(),
    "lamps in a line": night_with_lamps(in_line=True),
    "crisp lamps": night_with_lamps(crisp=True),
    "crisp lamps in a line": night_with_lamps(in_line=True, crisp=True),
    "a dark scene with a caption": dark_scene_with_a_caption(),
}


@pytest.mark.parametrize("name", BLANK)
def test_one_colour_is_pure(name: str) -> None:
    assert wrong(of_copies(BLANK[name]), "pure_image", expected=True) == []


@pytest.mark.parametrize("name", TEXT)
def test_text_on_a_plain_ground_is_pure(name: str) -> None:
    assert wrong(of_copies(TEXT[name]), "pure_image", expected=True) == []


@pytest.mark.parametrize("name", SCENES)
def test_scenes_are_not_pure(name: str) -> None:
    assert wrong(of_copies(SCENES[name]), "pure_image", expected=False) == []


def test_a_transparent_picture_is_pure() -> None:
    """JPEG has no alpha, and GIF no colours behind it; WebP keeps those only when it is told so."""
    image = photo_like(400, 300).convert("RGBA")
    image.putalpha(0)
    assert wrong(of_copies(image, ["PNG"]), "pure_image", expected=True) == []
    assert find(encode(image, "WEBP", lossless=True, exact=True)).pure_image


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_text_is_pure_in_few_bits_and_bands(mode: str) -> None:
    assert find(encode(lines((24,)).convert("L").convert(mode), "PNG")).pure_image


def test_text_is_pure_in_sixteen_bits() -> None:
    deep = np.asarray(lines((24,)).convert("L")).astype(np.uint16) * 257
    assert find(encode(Image.fromarray(deep), "PNG")).pure_image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_large_page_is_pure_although_it_is_shrunk_while_decoding(kind: str) -> None:
    page = lines((90, 40), side=(3000, 2100))
    assert find(encode(page, kind, **({"compress_level": 1} if kind == "PNG" else {}))).pure_image


@pytest.mark.parametrize("quality", [40, 60, 75, 95])
def test_text_is_pure_at_any_usual_quality(quality: int) -> None:
    for page in (lines((14,)), lines((40,)), written(square_strokes(1), 24)):
        assert find(encode(page, "JPEG", quality=quality, subsampling=2)).pure_image
        assert find(encode(page, "WEBP", quality=quality)).pure_image


@pytest.mark.parametrize("place", [(0, 0), (396, 297), (201, 150)])
def test_a_dark_speck_anywhere_makes_a_blank_sheet_not_pure(place: tuple[int, int]) -> None:
    sheet = Image.new("RGB", (401, 303), WHITE)
    sheet.paste((90, 90, 90), (*place, place[0] + 3, place[1] + 3))
    assert not find(encode(sheet, "PNG")).pure_image


def test_a_faint_bird_is_seen_in_an_even_sky() -> None:
    sky = np.full((600, 800, 3), (150, 180, 220), np.uint8)
    sky[200:216, 300:330] -= 12
    assert not find(encode(from_array(sky), "PNG")).pure_image


@pytest.mark.parametrize("page", [scanned(Image.new("RGB", (2551, 2555), WHITE)), lines((40,), side=(2551, 2555))])
def test_a_large_plain_picture_is_looked_at_in_little_memory(page: Image.Image) -> None:
    image = pyvips.Image.new_from_array(np.asarray(page))
    dots = sample(image, 64)
    tracemalloc.start()
    try:
        assert is_plain(image, dots)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()
