from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageCms

from gateway.imaging.limits import Limits
from gateway.imaging.pool import ScorerClient
from tests.imaging.pictures import encode, exif, photo_like

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.report import QualityReport


async def scored(address: str, data: bytes) -> tuple[QualityReport, bytes]:
    """Score a picture and have its thumbnail made, both by a scorer process."""

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    file = os.memfd_create("thumbnail")
    try:
        report = await ScorerClient(address, Limits()).score(chunks(), declared_bytes=len(data), thumbnail_to=file)
        return report, os.pread(file, 1_000_000, 0)
    finally:
        os.close(file)


async def thumbnail_of(address: str, data: bytes) -> Image.Image:
    thumbnail = Image.open(io.BytesIO((await scored(address, data))[1]))
    assert (thumbnail.format, thumbnail.mode) == ("JPEG", "RGB")
    assert not thumbnail.getexif()
    return thumbnail


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, np.float64) - np.asarray(other.convert("RGB"), np.float64)).mean())


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((2600, 1300), (240, 120)),
        ((300, 600), (120, 240)),
        ((240, 240), (240, 240)),
        ((90, 60), (90, 60)),
        ((3000, 2), (240, 1)),
    ],
)
async def test_the_long_side_is_240_pixels_and_nothing_is_enlarged(
    scorer_address: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert (await thumbnail_of(scorer_address, encode(photo_like(*size), "PNG"))).size == expected


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {"lossless": True}), ("GIF", {})]
)
async def test_it_shows_the_picture_in_every_format(scorer_address: str, kind: str, options: dict[str, int]) -> None:
    picture = photo_like(720, 480)
    thumbnail = await thumbnail_of(scorer_address, encode(picture, kind, **options))
    assert difference(thumbnail, picture.resize((240, 160), Image.Resampling.LANCZOS)) < 8


async def test_it_stands_upright(scorer_address: str) -> None:
    picture = photo_like(600, 400)
    lying = encode(picture.transpose(Image.Transpose.ROTATE_90), "JPEG", quality=95, exif=exif(6))
    thumbnail = await thumbnail_of(scorer_address, lying)
    assert thumbnail.size == (240, 160)
    assert difference(thumbnail, picture.resize((240, 160), Image.Resampling.LANCZOS)) < 8


async def test_colours_of_another_profile_are_those_that_people_see(scorer_address: str) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")  # red means blue
    picture = photo_like(240, 160)
    red, green, blue = picture.split()
    thumbnail = await thumbnail_of(scorer_address, encode(picture, "PNG", icc_profile=swapped))
    assert thumbnail.info.get("icc_profile") is None
    assert difference(thumbnail, Image.merge("RGB", (blue, green, red))) < 8 < difference(thumbnail, picture)


async def test_what_is_transparent_is_white(scorer_address: str) -> None:
    clear = Image.new("RGBA", (240, 160), (255, 0, 0, 0))
    assert (
        difference(await thumbnail_of(scorer_address, encode(clear, "PNG")), Image.new("RGB", (240, 160), "white")) < 1
    )


async def test_the_report_is_the_same_with_a_thumbnail_as_without(scorer_address: str) -> None:
    data = encode(photo_like(1500, 1000), "JPEG", quality=90)

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    alone = await ScorerClient(scorer_address, Limits()).score(chunks(), declared_bytes=None)
    assert (await scored(scorer_address, data))[0] == alone
