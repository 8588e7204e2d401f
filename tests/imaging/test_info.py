from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from gateway.errors import IMAGE_DAMAGED, NOT_AN_IMAGE, NOT_IMPLEMENTED, UPSTREAM_BROKEN, ApiError
from gateway.imaging.facts import Facts
from gateway.imaging.info import process
from gateway.imaging.limits import Limits
from gateway.imaging.pool import ScorerClient
from gateway.report import ImageInfo
from tests.imaging.fuzz import mutant
from tests.imaging.pictures import encode, photo_like, probe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def info(data: bytes, file_bytes: int | None = None) -> ImageInfo:
    return process(probe(data), data, file_bytes or len(data))


def frames(count: int) -> dict[str, Any]:
    return {"save_all": True, "append_images": [Image.new("RGB", (60, 40), (i, i, 9)) for i in range(1, count)]}


def test_a_jpeg_without_exif_tells_what_jfif_says_about_resolution() -> None:
    data = encode(photo_like(60, 40), "JPEG", dpi=(72, 72))
    resolution = {"ResolutionUnit": "2", "XResolution": "72/1", "YResolution": "72/1"}
    assert info(data) == ImageInfo("jpeg", 60, 40, len(data), 1, resolution)


def test_exif_stands_in_a_jpeg_and_the_sides_are_as_stored() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x0131] = 6, "Some Software 1.0"
    found = info(encode(photo_like(60, 40), "JPEG", exif=exif))
    assert (found.width, found.height) == (60, 40)
    assert (found.tags["Orientation"], found.tags["Software"]) == ("6", "Some Software 1.0")


def test_a_tiff_file_is_itself_such_a_block() -> None:
    found = info(encode(photo_like(60, 40), "TIFF"))
    assert (found.format, found.tags["ImageLength"], found.tags["Compression"]) == ("tiff", "40", "1")


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("PNG", {}, 1),
        ("PNG", frames(3), 3),
        ("BMP", {}, 1),
        ("WEBP", {}, 1),
        ("WEBP", frames(3), None),
        ("GIF", {}, None),
        ("GIF", frames(3), None),
        ("TIFF", frames(2), None),
    ],
)
def test_frames_are_counted_only_where_the_header_tells(
    kind: str, options: dict[str, Any], expected: int | None
) -> None:
    assert info(encode(photo_like(60, 40), kind, **options)).frames == expected


def test_a_size_that_the_header_does_not_tell_is_not_invented() -> None:
    with pytest.raises(ApiError) as caught:
        process(Facts("tiff", 0, 0), b"II*\0", 9)
    assert caught.value.kind is NOT_IMPLEMENTED


async def pieces(data: bytes, size: int, taken: list[int]) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        taken.append(size)
        yield data[at : at + size]


async def asked(data: bytes, limits: Limits | None = None, declared: int | None = None) -> tuple[Any, int]:
    taken: list[int] = []
    client = ScorerClient("/nonexistent", limits or Limits())
    result = await client.process("info", pieces(data, 512, taken), declared_bytes=declared or len(data))
    return result, sum(taken)


async def test_the_header_is_read_without_a_scorer_and_nothing_behind_it() -> None:
    data = encode(photo_like(600, 400), "JPEG", quality=95)
    found, read = await asked(data)
    assert found == info(data)
    assert read <= probe(data).header_bytes + 512 < len(data)


async def test_a_picture_that_is_too_large_to_decode_still_tells_its_size() -> None:
    data = encode(photo_like(60, 40), "PNG")
    found, _ = await asked(data, Limits(max_pixels=100, max_bytes=10**4), declared=10**9)
    assert (found.width, found.height, found.file_bytes) == (60, 40, 10**9)


async def test_formats_that_are_not_accepted_and_broken_headers_are_refused() -> None:
    data = encode(photo_like(60, 40), "PNG")
    with pytest.raises(ApiError) as refused:
        await asked(data, Limits(formats=("jpeg",)))
    with pytest.raises(ApiError) as broken:
        await asked(data[:20], declared=len(data))
    with pytest.raises(ApiError) as text:
        await asked(b"these are not pixels")
    assert (refused.value.kind, broken.value.kind, text.value.kind) == (NOT_AN_IMAGE, UPSTREAM_BROKEN, NOT_AN_IMAGE)


async def outcome(data: bytes) -> object:
    try:
        return (await asked(data))[0]
    except ApiError as error:
        return error.kind


@pytest.mark.parametrize("number", range(200))
async def test_a_damaged_picture_gives_information_or_a_refusal(number: int) -> None:
    found = await outcome(mutant(number))
    refused = found in (NOT_AN_IMAGE, IMAGE_DAMAGED, NOT_IMPLEMENTED)
    assert refused or (isinstance(found, ImageInfo) and min(found.width, found.height) > 0)
