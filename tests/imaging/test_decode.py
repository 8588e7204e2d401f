from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import pyvips
from PIL import Image, ImageCms

from gateway.errors import IMAGE_DAMAGED, IMAGE_TOO_LARGE, NOT_AN_IMAGE, ApiError
from gateway.imaging.decode import MIN_LONG_SIDE, load, shrink_factor, to_srgb
from tests.imaging.files import HEIC, loaded, plain_tags, streamed, tiff
from tests.imaging.pictures import encode, exif, from_array, photo_like, png_chunk, probe, segment

if TYPE_CHECKING:
    from gateway.imaging.decode import Picture

EVERY_KIND = ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"]


def grained(width: int, height: int) -> Image.Image:
    """Return a picture whose every block has something to say, so that damage anywhere shows."""
    pixels = np.asarray(photo_like(width, height)).astype(int)
    return from_array(pixels + np.random.default_rng(1).integers(-20, 20, pixels.shape))


def refusal(data: bytes) -> ApiError:
    with pytest.raises(ApiError) as caught:
        loaded(data)
    return caught.value


def pixels(picture: Picture) -> Any:
    return to_srgb(picture.image).numpy().astype(int)


@pytest.mark.parametrize("side", [1, 1280, 2559, 2560, 4000, 5119, 5120, 65_535])
def test_the_long_side_lands_between_one_and_two_times_the_least(side: int) -> None:
    shrunk = side / shrink_factor(side)
    assert shrunk < 2 * MIN_LONG_SIDE
    assert shrunk >= MIN_LONG_SIDE or shrunk == side


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_large_pictures_are_shrunk_while_decoding(kind: str) -> None:
    picture = loaded(encode(photo_like(5201, 333), kind))
    assert (picture.width, picture.height, picture.factor) == (5201, 333, 4)
    assert abs(picture.image.width - 5201 / 4) <= 1
    assert abs(picture.image.height - 333 / 4) <= 1


def test_a_gif_that_outgrows_its_screen_is_shrunk_as_what_it_is() -> None:
    data = encode(Image.new("RGB", (5201, 333)), "GIF")
    picture = loaded(data[:6] + b"\x10\0\x10\0" + data[10:])
    assert (picture.width, picture.height, picture.factor) == (5201, 333, 4)
    assert abs(picture.image.width - 5201 / 4) < 2


@pytest.mark.parametrize("size", [(5121, 1), (1, 7115), (12_000, 3)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_thread_of_a_picture_keeps_its_width(kind: str, size: tuple[int, int]) -> None:
    picture = loaded(encode(Image.new("RGB", size), kind))
    assert (picture.width, picture.height) == size
    assert min(picture.image.width, picture.image.height) == 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_picture_looks_the_same_just_below_and_just_above_a_shrink_step(kind: str) -> None:
    seen = []
    for side, factor in ((2559, 1), (2561, 2)):
        picture = loaded(encode(photo_like(2600, 600).resize((side, 590)), kind, quality=90))
        assert picture.factor == factor
        seen.append(to_srgb(picture.image).thumbnail_image(512, height=118, size="force").numpy().astype(int))
    assert np.abs(seen[0] - seen[1]).mean() < 1


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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_a_decoder_that_disagrees_with_the_header_is_not_believed(kind: str) -> None:
    data = encode(photo_like(80, 60), kind)
    with pytest.raises(ApiError) as caught:
        loaded(data, replace(probe(data), height=100))
    assert caught.value.kind is IMAGE_DAMAGED


@pytest.mark.parametrize("kind", ["GIF", "AVIF"])
def test_where_only_the_decoder_knows_the_sides_it_is_held_to_the_limit(kind: str) -> None:
    data = encode(photo_like(80, 60), kind)
    facts = replace(probe(data), width=8, height=6)
    picture = loaded(data, facts)
    assert (picture.width, picture.height) == (80, 60)
    with streamed(data) as descriptor, pytest.raises(ApiError) as caught:
        load(descriptor, facts, max_pixels=4799)
    assert caught.value.kind is IMAGE_TOO_LARGE
    assert "4,800" in caught.value.message


def test_a_tiff_whose_directory_the_header_does_not_reach_is_sized_by_its_decoder() -> None:
    image = photo_like(2600, 1200)
    data = tiff({**plain_tags(2600, 1200), 274: (3, (6,))}, np.asarray(image).tobytes())
    facts = probe(data)
    assert facts.width == 0
    picture = loaded(data, facts)
    assert (picture.width, picture.height, picture.factor) == (1200, 2600, 2)
    assert (picture.image.width, picture.image.height) == (600, 1300)
    with streamed(data) as descriptor, pytest.raises(ApiError) as caught:
        load(descriptor, facts, max_pixels=3_000_000)
    assert caught.value.kind is IMAGE_TOO_LARGE


@pytest.mark.parametrize("claimed", EVERY_KIND)
@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_format_is_never_guessed_by_the_decoder(kind: str, claimed: str) -> None:
    if kind == claimed:
        return
    with pytest.raises(ApiError) as caught:
        loaded(encode(photo_like(80, 60), kind), probe(encode(photo_like(80, 60), claimed)))
    assert caught.value.kind in (IMAGE_DAMAGED, NOT_AN_IMAGE)


JPEG = encode(grained(400, 300), "JPEG", quality=85)
SCAN = JPEG.index(b"\xff\xda")
MARKED = encode(grained(400, 300), "JPEG", quality=85, restart_marker_blocks=8)
THIRD_MARK = MARKED.index(b"\xff\xd3", MARKED.index(b"\xff\xda"))


@pytest.mark.parametrize(
    "data",
    [
        JPEG[: len(JPEG) // 2] + JPEG[len(JPEG) // 2 + 500 :],
        MARKED[:THIRD_MARK] + b"\xff\xd5" + MARKED[THIRD_MARK + 2 :],
        MARKED[: THIRD_MARK - 40] + bytes(40) + MARKED[THIRD_MARK:],
        MARKED[:THIRD_MARK] + bytes(100) + MARKED[THIRD_MARK:],
        JPEG[:-2],
    ],
    ids=["bytes-missing", "wrong-restart-marker", "zeros", "bytes-too-many", "no-end"],
)
def test_a_jpeg_whose_scan_is_broken_is_damaged(data: bytes) -> None:
    assert refusal(data).kind is IMAGE_DAMAGED


@pytest.mark.parametrize(
    "data",
    [
        JPEG[:SCAN] + bytes(3) + JPEG[SCAN:],
        JPEG[:SCAN] + b"\xff\xff\xff" + JPEG[SCAN:],
        JPEG[:2] + segment(0xE0, b"JFIF\0\7\7\1\0\0\0\0\0\0") + JPEG[2:],
        JPEG[:2] + segment(0xEE, b"Adobe\0\x64\0\0\0\0\x07") + JPEG[2:],
        JPEG[:2] + segment(0xE1, b"Exif\0\0nothing that makes sense") + JPEG[2:],
        JPEG[:2] + segment(0xE1, b"Exif\0\0" + exif(1)[:11]) + JPEG[2:],
        JPEG[:2] + segment(0xE2, b"ICC_PROFILE\0\2\3half a profile") + JPEG[2:],
        JPEG[: SCAN + 11] + b"\0\0\0" + JPEG[SCAN + 14 :],
        JPEG[:-2] + bytes(9) + JPEG[-2:],
        JPEG + bytes(999),
        JPEG + JPEG,
    ],
    ids=[
        *(
            "stray-bytes",
            "fill-bytes",
            "odd-jfif",
            "odd-adobe",
            "odd-exif",
            "short-exif",
            "odd-profile",
            "odd-scan-header",
        ),
        *("bytes-before-end", "bytes-after-end", "second-picture"),
    ],
)
def test_a_jpeg_whose_header_is_odd_is_still_the_same_picture(data: bytes) -> None:
    assert np.array_equal(pixels(loaded(data)), pixels(loaded(JPEG)))


PNG = encode(photo_like(80, 60), "PNG")


@pytest.mark.parametrize(
    "chunk",
    [png_chunk(b"iCCP", b"x\0\0junk"), png_chunk(b"eXIf", b"junk"), png_chunk(b"tEXt", b"a\0b")[:-1] + b"\0"],
    ids=["profile", "exif", "checksum"],
)
def test_a_png_whose_extras_are_broken_is_still_the_same_picture(chunk: bytes) -> None:
    assert np.array_equal(pixels(loaded(PNG[:33] + chunk + PNG[33:])), pixels(loaded(PNG)))


def test_a_png_whose_pixels_have_a_wrong_checksum_is_damaged() -> None:
    data = bytearray(PNG)
    data[PNG.index(b"IEND") - 5] ^= 1
    assert refusal(bytes(data)).kind is IMAGE_DAMAGED


def test_what_this_build_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyvips, "type_find", lambda _base, _name: 0)
    for data, words in (
        (HEIC, "no HEVC decoder"),
        (encode(photo_like(9, 9), "AVIF"), "no AV1 decoder"),
        (PNG, "a PNG file"),
    ):
        error = refusal(data)
        assert error.kind is NOT_AN_IMAGE
        assert words in error.message
