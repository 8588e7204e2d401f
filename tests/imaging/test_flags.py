from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.imaging.pictures import encode, exif, from_array, photo_like, score, text

if TYPE_CHECKING:
    import numpy.typing as npt

    from gateway.report import Flags

FORMATS: list[tuple[str, dict[str, Any]]] = [("PNG", {}), ("JPEG", {}), ("WEBP", {}), ("GIF", {})]
SIDEWAYS = 6  # EXIF orientation


def flags(image: Image.Image, kind: str = "PNG", **options: Any) -> Flags:
    return score(encode(image, kind, **options)).flags


def each_format(image: Image.Image) -> list[Flags]:
    """Return the flags in all formats, and of copies that EXIF turns sideways."""
    upright = [flags(image, kind, **options) for kind, options in FORMATS]
    return upright + [flags(image, kind, exif=exif(SIDEWAYS)) for kind in ("PNG", "JPEG", "WEBP")]


def noise(shape: tuple[int, int], sigma: float, mean: float) -> npt.NDArray[np.float64]:
    return np.random.default_rng(5).normal(mean, sigma, (*shape, 3))


def sky_with_a_bird() -> Image.Image:
    down = np.linspace(0, 1, 600)[:, None, None]
    image = from_array(np.broadcast_to(np.array([120, 170, 215]) + down * np.array([60, 45, 20]), (600, 800, 3)))
    ImageDraw.Draw(image).polygon([(400, 300), (415, 310), (430, 298), (418, 318), (412, 318)], fill=(20, 20, 25))
    return image


def night_with_lamps() -> Image.Image:
    rng = np.random.default_rng(2)
    y, x = np.mgrid[0:600, 0:800]
    light = noise((600, 800), 2, 4)
    for _ in range(25):
        distance = (x - rng.integers(0, 800)) ** 2 + (y - rng.integers(0, 600)) ** 2
        glow = 255 * np.exp(-distance / (2 * rng.uniform(3, 12) ** 2))
        light += glow[..., None] * np.array([1, 0.9, 0.6])
    return from_array(light)


def grey_photo() -> Image.Image:
    return photo_like(400, 300).convert("L").convert("RGB")


def tinted(photo: Image.Image, red: float, blue: float) -> Image.Image:
    return from_array(np.asarray(photo).astype(float) * np.array([red, 1, blue]))


def desaturated(photo: Image.Image, share: float) -> Image.Image:
    grey = np.asarray(photo.convert("L")).astype(float)[..., None]
    return from_array(grey + (np.asarray(photo) - grey) * share)


def with_patch(photo: Image.Image) -> Image.Image:
    ImageDraw.Draw(photo).rectangle((200, 150, 212, 162), fill=(200, 40, 40))
    return photo


@pytest.mark.parametrize(
    ("size", "long_image"), [((900, 300), True), ((300, 900), True), ((899, 300), False), ((300, 899), False)]
)
def test_long_from_a_ratio_of_three(size: tuple[int, int], *, long_image: bool) -> None:
    assert {found.long_image for found in each_format(photo_like(*size))} == {long_image}


@pytest.mark.parametrize(
    ("size", "small", "long_image"), [((178, 178), True, False), ((179, 179), False, False), ((179, 1), False, True)]
)
def test_small_below_179_pixels(size: tuple[int, int], *, small: bool, long_image: bool) -> None:
    found = {(each.small_image, each.long_image) for each in each_format(photo_like(*size))}
    assert found == {(small, long_image)}


@pytest.mark.parametrize(("size", "big"), [((1001, 1001), True), ((1000, 4000), False), ((1000, 1000), False)])
def test_big_above_1000_pixels_on_the_short_side(size: tuple[int, int], *, big: bool) -> None:
    assert {found.big_image for found in each_format(photo_like(*size))} == {big}


def test_equal_channels_are_black_and_white_in_every_format() -> None:
    assert {found.black_and_white for found in each_format(grey_photo())} == {True}
    assert flags(grey_photo(), "JPEG", quality=30, subsampling=2).black_and_white


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16"])
def test_pictures_without_colour_channels_are_black_and_white(mode: str) -> None:
    grey = photo_like(400, 300).convert("L")
    image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    assert flags(image).black_and_white


def test_cmyk_printed_in_black_alone_is_black_and_white() -> None:
    empty = Image.new("L", (400, 300))
    ink = Image.merge("CMYK", (empty, empty, empty, photo_like(400, 300).convert("L")))
    assert flags(ink, "JPEG", quality=90).black_and_white
    assert not flags(photo_like(400, 300).convert("CMYK"), "JPEG", quality=90).black_and_white


@pytest.mark.parametrize(
    "image",
    [tinted(grey_photo(), 1.1, 0.7), tinted(grey_photo(), 1, 1.1), desaturated(photo_like(400, 300), 0.1),
     with_patch(grey_photo()), photo_like(400, 300)],
    ids=["sepia", "tint", "desaturated", "patch", "photo"],
)  # fmt: skip
def test_visually_grey_is_not_black_and_white(image: Image.Image) -> None:
    assert {found.black_and_white for found in each_format(image)} == {False}


@pytest.mark.parametrize(
    "image",
    [Image.new("RGB", (400, 300), (120, 130, 140)), from_array(noise((300, 400), 3, 200)),
     from_array(noise((600, 400), 2, 246)), text(12), text(24), text(60), text(110),
     text(24, (10, 20, 60), (250, 240, 230))],
    ids=["solid", "faint-noise", "empty-scan", "text-12", "text-24", "text-60", "text-110", "light-on-dark"],
)  # fmt: skip
def test_one_colour_and_plain_text_are_pure(image: Image.Image) -> None:
    assert {found.pure_image for found in each_format(image)} == {True}


def test_a_transparent_picture_is_pure() -> None:
    image = photo_like(400, 300).convert("RGBA")
    image.putalpha(0)
    assert flags(image).pure_image
    assert flags(image, "WEBP", lossless=True, exact=True).pure_image


@pytest.mark.parametrize(
    "image",
    [photo_like(400, 300), from_array(118 + np.asarray(photo_like(400, 300)) * 0.14), sky_with_a_bird(),
     night_with_lamps()],
    ids=["photo", "low-contrast", "sky", "night"],
)  # fmt: skip
def test_photos_are_not_pure(image: Image.Image) -> None:
    assert {found.pure_image for found in each_format(image)} == {False}
