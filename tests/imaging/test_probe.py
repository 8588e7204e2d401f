from __future__ import annotations

import io
import json
import random
import struct
from typing import Any

import pytest
from PIL import Image

from gateway.errors import IMAGE_DAMAGED, NOT_AN_IMAGE, ApiError, ErrorKind
from gateway.imaging.facts import from_json, to_json
from gateway.imaging.probe import MAX_HEADER_BYTES, Probe
from tests.imaging.pictures import encode, exif, jpeg_header, photo_like, png_chunk, png_header, probe, segment

SIZES = [(1, 1), (3, 2), (17, 65), (640, 480), (1024, 7)]
ENCODINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {}),
    "jpeg-progressive": ("JPEG", {"progressive": True, "quality": 30}),
    "jpeg-444": ("JPEG", {"subsampling": 0}),
    "jpeg-422": ("JPEG", {"subsampling": 1}),
    "jpeg-profile": ("JPEG", {"icc_profile": bytes(200_000)}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"quality": 60}),
    "webp-lossless": ("WEBP", {"lossless": True}),
    "webp-profile": ("WEBP", {"icc_profile": bytes(3001)}),
    "gif": ("GIF", {}),
}
SAMPLES = {name: encode(photo_like(61, 43), kind, **options) for name, (kind, options) in ENCODINGS.items()}


def refusal(data: bytes) -> ApiError:
    with pytest.raises(ApiError) as caught:
        probe(data)
    return caught.value


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", ENCODINGS)
def test_size_and_format_agree_with_pillow(name: str, size: tuple[int, int]) -> None:
    kind, options = ENCODINGS[name]
    facts = probe(encode(photo_like(*size), kind, **options))
    assert (facts.format, facts.width, facts.height) == (kind.lower(), *size)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_facts_do_not_depend_on_how_the_bytes_are_split(name: str) -> None:
    data = SAMPLES[name]
    whole = probe(data)
    chance = random.Random(4)  # noqa: S311 - repeatable splits, no secret
    for _ in range(20):
        parser, at, found = Probe(), 0, None
        while found is None:
            step = chance.choice((1, 2, 7, 100, 5000))
            found = parser.feed(data[at : at + step])
            at += step
        assert found == whole


@pytest.mark.parametrize("name", SAMPLES)
def test_a_header_fed_byte_by_byte_is_complete_at_its_last_byte(name: str) -> None:
    data = SAMPLES[name]
    end = probe(data).header_bytes
    parser = Probe()
    answers = [parser.feed(data[i : i + 1]) for i in range(end)]
    assert answers[:-1] == [None] * (end - 1)
    assert answers[-1] == probe(data)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_truncated_header_is_refused(name: str) -> None:
    data = SAMPLES[name]
    ends = range(3, probe(data).header_bytes) if len(data) < 5000 else (3, 20, 600, 5000, 66_000)
    for end in ends:
        parser = Probe()
        assert parser.feed(data[:end]) is None
        with pytest.raises(ApiError) as caught:
            parser.finish()
        assert caught.value.kind in (IMAGE_DAMAGED, NOT_AN_IMAGE)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_corrupt_header_is_refused_or_read_but_never_breaks_the_parser(name: str) -> None:
    chance = random.Random(5)  # noqa: S311 - repeatable corruption, no secret
    outcomes = set()
    for _ in range(300):
        data = bytearray(SAMPLES[name][:2000])
        for _ in range(3):
            data[chance.randrange(min(len(data), 200))] = chance.randrange(256)
        try:
            facts = probe(bytes(data))
        except ApiError as error:
            outcomes.add(error.kind)
        else:
            assert facts.pixels > 0
    assert outcomes
    assert outcomes <= {IMAGE_DAMAGED, NOT_AN_IMAGE}


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_quantisation_tables_agree_with_pillow(quality: int) -> None:
    data = encode(photo_like(40, 40), "JPEG", quality=quality)
    facts = probe(data)
    with Image.open(io.BytesIO(data)) as image:
        # Pillow gives natural order; the sums and the first step do not depend on it
        expected = image.quantization  # type: ignore[attr-defined]
    assert [sorted(table) for table in facts.quantisation] == [sorted(expected[0]), sorted(expected[1])]
    assert facts.quantisation[0][0] == expected[0][0]


@pytest.mark.parametrize(("subsampling", "expected"), [(0, (1, 1)), (1, (2, 1)), (2, (2, 2))])
def test_chroma_sampling_is_read(subsampling: int, expected: tuple[int, int]) -> None:
    assert probe(encode(photo_like(40, 40), "JPEG", subsampling=subsampling)).sampling == expected


def test_a_grey_jpeg_has_one_table_and_full_chroma() -> None:
    facts = probe(encode(photo_like(40, 40).convert("L"), "JPEG"))
    assert (facts.bands, len(facts.quantisation), facts.sampling) == (1, 1, (1, 1))


def test_a_cmyk_jpeg_has_four_bands() -> None:
    assert probe(encode(photo_like(40, 40).convert("CMYK"), "JPEG")).bands == 4


def test_progressive_jpeg_and_interlaced_png_are_recognised() -> None:
    assert probe(SAMPLES["jpeg-progressive"]).interlaced
    assert not probe(SAMPLES["jpeg"]).interlaced
    assert probe(png_header(5, 5, interlace=1)).interlaced


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_read_from_jpeg_and_png(orientation: int) -> None:
    image = photo_like(30, 20)
    for kind in ("JPEG", "PNG"):
        facts = probe(encode(image, kind, exif=exif(orientation)))
        assert (facts.orientation, facts.width, facts.height) == (orientation, 30, 20)


def test_a_coarser_webp_has_a_higher_quantiser_and_lossless_has_none() -> None:
    image = photo_like(300, 200)
    found = [probe(encode(image, "WEBP", quality=quality)).quantiser for quality in (95, 75, 50, 25, 5, 0)]
    figures = [value for value in found if value is not None]
    assert len(figures) == 6
    assert figures == sorted(figures)
    assert 0 <= figures[0] < figures[-1] <= 127
    lossless = probe(SAMPLES["webp-lossless"])
    assert (lossless.quantiser, lossless.lossless) == (None, True)


def test_an_animation_is_known_by_its_frames() -> None:
    frames = [photo_like(30, 20, seed) for seed in range(3)]
    assert probe(encode(frames[0], "PNG", save_all=True, append_images=frames[1:])).frames == 3
    facts = probe(encode(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    assert (facts.frames, facts.width, facts.height) == (2, 30, 20)


def test_a_large_camera_header_is_skipped() -> None:
    metadata = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + bytes(65_000)) * 100
    facts = probe(jpeg_header(4000, 3000, before=metadata))
    assert (facts.width, facts.height) == (4000, 3000)
    assert facts.header_bytes > 6_500_000


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + segment(0xE2, bytes(65_533)) * (MAX_HEADER_BYTES // 65_537 + 1),
        b"\xff\xd8" + segment(0xE2, b"") * 100_000,
        b"\xff\xd8\xff\xe0\0\x02" + bytes(100_000),
        b"\x89PNG\r\n\x1a\n" + png_header(5, 5)[8:33] + struct.pack(">I", 2**31) + b"zTXt" + bytes(1000),
        b"\x89PNG\r\n\x1a\n" + png_header(5, 5)[8:33] + png_chunk(b"tEXt", b"") * 10_000,
        b"RIFF\xff\xff\xff\xffWEBP" + b"JUNK\0\0\0\0" * 10_000,
    ],
    ids=["endless", "tiny-segments", "rubbish", "huge-chunk", "tiny-chunks", "tiny-riff-chunks"],
)
def test_a_header_without_an_end_is_given_up(data: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        Probe().feed(data)
    assert caught.value.kind is IMAGE_DAMAGED


@pytest.mark.parametrize(
    "data",
    [
        jpeg_header(0, 10),
        jpeg_header(10, 0),
        png_header(0, 10),
        png_header(10, 0),
        png_header(2**32 - 1, 2),
        b"GIF89a" + bytes(7),
        b"RIFF\x20\0\0\0WEBPVP8 \x20\0\0\0\x10\0\0\x9d\x01\x2a" + bytes(40),
    ],
)
def test_a_header_that_declares_no_or_impossible_pixels_is_refused(data: bytes) -> None:
    assert refusal(data).kind is IMAGE_DAMAGED


def test_a_png_header_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(png_header(10, 10))
    data[19] ^= 1
    assert refusal(bytes(data)).kind is IMAGE_DAMAGED


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (jpeg_header(10, 10, bits=12), "12 bits"),
        (jpeg_header(10, 10, frame=0xC9), "arithmetic"),
        (jpeg_header(10, 10, frame=0xC3), "lossless"),
        (jpeg_header(10, 10, frame=0xC5), "hierarchical"),
        (encode(photo_like(9, 9), "TIFF"), "TIFF"),
        (encode(photo_like(9, 9), "BMP"), "BMP"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
        (b"\0\0\0\x18ftypavif" + bytes(40), "AVIF"),
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"%PDF-1.7" + bytes(40), "PDF"),
        (b"8BPS" + bytes(40), "PSD"),
    ],
)
def test_what_cannot_be_decoded_is_refused_by_its_name(data: bytes, words: str) -> None:
    error = refusal(data)
    assert error.kind is NOT_AN_IMAGE
    assert words in error.message
    assert "JPEG, PNG, WebP and GIF" in error.message


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", NOT_AN_IMAGE),
        (b"hi", NOT_AN_IMAGE),
        (b"just a text file", NOT_AN_IMAGE),
        (b"\xff\xd8\xff\xe0", IMAGE_DAMAGED),
    ],
)
def test_short_objects_are_refused_when_they_end(data: bytes, kind: ErrorKind) -> None:
    assert refusal(data).kind is kind


def test_facts_survive_json() -> None:
    for data in SAMPLES.values():
        facts = probe(data)
        assert from_json(json.loads(json.dumps(to_json(facts)))) == facts
