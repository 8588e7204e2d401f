from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import pyvips
from PIL import Image

from tests.imaging.flag_copies import find, of_copies, wrong
from tests.imaging.flag_pictures import desaturated, grey_photo, tinted, with_patch
from tests.imaging.pictures import encode, exif, photo_like, score

if TYPE_CHECKING:
    from collections.abc import Iterable

SIDEWAYS = 6  # EXIF orientation


@pytest.mark.parametrize(
    ("size", "long_image"), [((900, 300), True), ((300, 900), True), ((899, 300), False), ((300, 899), False)]
)
def test_long_from_a_ratio_of_three(size: tuple[int, int], *, long_image: bool) -> None:
    assert wrong(of_copies(photo_like(*size)), "long_image", expected=long_image) == []


@pytest.mark.parametrize(
    ("size", "small", "long_image"), [((178, 178), True, False), ((179, 179), False, False), ((179, 1), False, True)]
)
def test_small_below_179_pixels(size: tuple[int, int], *, small: bool, long_image: bool) -> None:
    found = of_copies(photo_like(*size))
    assert wrong(found, "small_image", expected=small) == []
    assert wrong(found, "long_image", expected=long_image) == []


@pytest.mark.parametrize(("size", "big"), [((1001, 1001), True), ((1000, 4000), False), ((1000, 1000), False)])
def test_big_above_1000_pixels_on_the_short_side(size: tuple[int, int], *, big: bool) -> None:
    assert wrong(of_copies(Image.new("RGB", size, (90, 120, 60))), "big_image", expected=big) == []


def test_flags_reach_the_report() -> None:
    report = score(encode(grey_photo(), "PNG"))
    assert report.flags == find(encode(grey_photo(), "PNG"))
    assert report.flags.black_and_white


# JPEG and GIF have no alpha of more than one bit; only PNG has 16 bits (of these four); only JPEG has CMYK.
@pytest.mark.parametrize(
    ("mode", "formats"),
    [("RGB", ("PNG", "JPEG", "WEBP", "GIF")), ("L", ("PNG", "JPEG", "WEBP", "GIF")), ("LA", ("PNG", "WEBP")),
     ("1", ("PNG", "JPEG", "WEBP", "GIF")), ("P", ("PNG", "GIF")), ("I;16", ("PNG",)), ("CMYK", ("JPEG",))],
)  # fmt: skip
def test_equal_channels_are_black_and_white(mode: str, formats: Iterable[str]) -> None:
    found = of_copies(in_mode(grey_photo().convert("L"), mode), formats)
    assert wrong(found, "black_and_white", expected=True) == []


def in_mode(grey: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(grey).astype(np.uint16) * 257 - 7)
    if mode == "CMYK":  # printed in black alone
        empty = Image.new("L", grey.size)
        return Image.merge("CMYK", (empty, empty, empty, grey))
    if mode == "LA":
        return Image.merge("LA", (grey, grey.point(lambda level: 255 - level // 2)))
    return grey.convert(mode)


def test_sixteen_bit_rgb_counts_too() -> None:
    grey = np.asarray(grey_photo()).astype(np.uint16) * 257
    blueish = grey - np.array([0, 0, 2 * 257], np.uint16) * (grey > 1000)
    for pixels, expected in ((grey, True), (blueish, False)):
        image = pyvips.Image.new_from_array(pixels).copy(interpretation="rgb16")
        assert find(image.pngsave_buffer()).black_and_white is expected


@pytest.mark.parametrize("quality", [10, 30, 60, 75, 90, 100])
def test_grey_through_a_lossy_encoder_stays_black_and_white(quality: int) -> None:
    for image in (grey_photo(), Image.new("RGB", (64, 64), (3, 3, 3))):
        assert find(encode(image, "JPEG", quality=quality, subsampling=2)).black_and_white
        assert find(encode(image, "WEBP", quality=quality)).black_and_white


@pytest.mark.parametrize(("error", "grey"), [(2, True), (-2, True), (3, False), (-3, False)])
def test_a_lossy_encoder_may_be_wrong_by_two_in_chroma(error: int, *, grey: bool) -> None:
    luma = grey_photo().convert("L").point(lambda level: 40 + level * 2 // 3)
    chroma = Image.new("L", luma.size, 128 + error)
    neutral = Image.new("L", luma.size, 128)
    for planes in ((luma, chroma, neutral), (luma, neutral, chroma)):
        image = Image.merge("YCbCr", planes)
        found = of_jpeg(image, quality=100, subsampling=0)
        assert found is grey
        assert find(encode(image.convert("RGB"), "PNG")).black_and_white is False


def of_jpeg(image: Image.Image, **options: Any) -> bool:
    return find(encode(image, "JPEG", **options)).black_and_white


def test_colour_ink_in_cmyk_is_colour() -> None:
    image = photo_like(320, 240).convert("CMYK")
    assert not of_jpeg(image, quality=90)
    assert not of_jpeg(image, quality=90, exif=exif(SIDEWAYS))


@pytest.mark.parametrize(
    "image",
    [tinted(grey_photo(), 1.1, 0.7), tinted(grey_photo(), 1, 1.06), desaturated(photo_like(320, 240), 0.1),
     with_patch(grey_photo()), photo_like(320, 240)],
    ids=["sepia", "tint", "desaturated", "patch", "photo"],
)  # fmt: skip
def test_visually_grey_is_not_black_and_white(image: Image.Image) -> None:
    assert wrong(of_copies(image), "black_and_white", expected=False) == []


@pytest.mark.parametrize("place", [(0, 0), (1599, 1199), (801, 600), (0, 1199)])
def test_one_coloured_pixel_anywhere_is_colour(place: tuple[int, int]) -> None:
    image = grey_photo().resize((1600, 1200))
    image.putpixel(place, (100, 100, 101))
    assert not find(encode(image, "PNG", compress_level=1)).black_and_white


def test_a_colour_patch_survives_the_shrinking_of_a_large_picture() -> None:
    image = Image.new("RGB", (5200, 3900), (120, 120, 120))
    assert find(encode(image, "JPEG")).black_and_white
    image.paste((160, 110, 110), (2600, 1000, 2624, 1024))
    assert not find(encode(image, "JPEG")).black_and_white
