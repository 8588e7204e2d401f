from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from gateway.errors import IMAGE_DAMAGED, ApiError
from gateway.imaging.decode import MIN_LONG_SIDE, load, shrink_factor, to_srgb
from tests.imaging.pictures import encode, exif, photo_like, probe

if TYPE_CHECKING:
    from gateway.imaging.decode import Picture
    from gateway.imaging.facts import Facts


def loaded(data: bytes, facts: Facts | None = None) -> Picture:
    descriptor = os.memfd_create("picture")
    try:
        os.write(descriptor, data)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return load(descriptor, facts or probe(data), max_pixels=10**9)
    finally:
        os.close(descriptor)


def pixels(picture: Picture) -> Any:
    return to_srgb(picture.image).numpy().astype(int)


@pytest.mark.parametrize("side", [1, 1280, 2559, 2560, 4000, 5119, 5120, 65_535])
def test_the_long_side_lands_between_one_and_two_times_the_least(side: int) -> None:
    shrunk = side / shrink_factor(side)
    assert shrunk < 2 * MIN_LONG_SIDE
    assert shrunk >= MIN_LONG_SIDE or shrunk == side


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_large_pictures_are_shrunk_while_decoding(kind: str) -> None:
    picture = loaded(encode(photo_like(5201, 333), kind))
    assert (picture.width, picture.height, picture.factor) == (5201, 333, 4)
    assert abs(picture.image.width - 5201 / 4) <= 1
    assert abs(picture.image.height - 333 / 4) <= 1


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_orientation_is_applied_and_swaps_the_sides(orientation: int) -> None:
    image = photo_like(300, 200)
    picture = loaded(encode(image, "PNG", exif=exif(orientation)))
    turned = np.rot90(np.asarray(image), {3: 2, 6: 3, 8: 1}[orientation])
    assert (picture.height, picture.width) == turned.shape[:2]
    assert np.array_equal(pixels(picture), turned)


def test_alpha_is_laid_over_white() -> None:
    image = Image.new("RGBA", (70, 70), (0, 0, 0, 0))
    assert pixels(loaded(encode(image, "PNG"))).min() == 255
    half = pixels(loaded(encode(Image.new("RGBA", (70, 70), (0, 0, 0, 128)), "PNG")))
    assert abs(half - 127).max() <= 1


def test_sixteen_bits_become_eight() -> None:
    grey = np.asarray(photo_like(90, 70).convert("L"))
    data = encode(Image.fromarray(grey.astype(np.uint16) * 257), "PNG")
    assert probe(data).bits == 16
    assert np.array_equal(pixels(loaded(data))[..., 0], grey)


def test_cmyk_becomes_rgb_with_white_paper() -> None:
    picture = loaded(encode(Image.new("CMYK", (70, 70), (0, 0, 0, 0)), "JPEG"))
    assert picture.image.bands in (1, 3)
    assert pixels(picture).min() >= 250
    red = pixels(loaded(encode(Image.new("CMYK", (70, 70), (0, 255, 255, 0)), "JPEG", quality=95)))[0, 0]
    assert red[0] > red[1] + 80
    assert red[0] > red[2] + 80


def test_a_colour_profile_is_applied_and_a_broken_one_ignored() -> None:
    image = Image.new("RGB", (70, 70), (200, 100, 50))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    assert abs(pixels(loaded(encode(image, "PNG", icc_profile=b"no profile at all")))[0, 0] - [200, 100, 50]).max() == 0
    same = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert abs(pixels(loaded(encode(image, "PNG", icc_profile=same)))[0, 0] - [200, 100, 50]).max() <= 2
    assert pixels(loaded(encode(image, "PNG", icc_profile=profile))).shape == (70, 70, 3)


def test_only_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (80, 60), colour) for colour in ("red", "lime", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        picture = loaded(encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=50))
        assert (picture.width, picture.height) == (80, 60)
        assert pixels(picture)[30, 40].tolist() == pytest.approx([255, 0, 0], abs=4)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("kept", [0.4, 0.9])
def test_a_truncated_file_is_damaged(kind: str, kept: float) -> None:
    data = encode(photo_like(800, 600), kind)
    with pytest.raises(ApiError) as caught:
        loaded(data[: int(len(data) * kept)])
    assert caught.value.kind is IMAGE_DAMAGED


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_decoder_that_disagrees_with_the_header_is_not_believed(kind: str) -> None:
    data = encode(photo_like(80, 60), kind)
    with pytest.raises(ApiError) as caught:
        loaded(data, replace(probe(data), height=100))
    assert caught.value.kind is IMAGE_DAMAGED


def test_a_format_is_never_guessed_by_the_decoder() -> None:
    with pytest.raises(ApiError) as caught:
        loaded(encode(photo_like(80, 60), "PNG"), probe(encode(photo_like(80, 60), "JPEG")))
    assert caught.value.kind is IMAGE_DAMAGED
