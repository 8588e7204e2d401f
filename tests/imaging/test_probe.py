from __future__ import annotations

import io
import json
import random
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gateway.errors import IMAGE_DAMAGED, NOT_AN_IMAGE, ApiError, ErrorKind
from gateway.imaging.facts import from_json, to_json
from gateway.imaging.probe import Probe
from gateway.imaging.reading import MAX_HEADER_BYTES
from tests.imaging.files import av1c, bmp, box, heif, hvcc, ispe, jxl, os2_bmp, plain_tags, tiff
from tests.imaging.pictures import encode, exif, jpeg_header, photo_like, png_chunk, png_header, probe, segment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.imaging.facts import Facts

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
    "tiff": ("TIFF", {}),
    "tiff-lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "bmp": ("BMP", {}),
    "avif": ("AVIF", {"speed": 10}),
    "avif-profile": ("AVIF", {"speed": 10, "icc_profile": bytes(3001)}),
}
SAMPLES = {name: encode(photo_like(61, 43), kind, **options) for name, (kind, options) in ENCODINGS.items()}

MADE = [
    tiff(plain_tags(9, 9), b"", big=True),
    tiff(plain_tags(9, 9), b"", order=">"),
    os2_bmp(9, 9, 24, b""),
    heif(b"heic", [ispe(9, 9), hvcc()], wide=True),
    jxl(300, 200, orientation=6, contained=True),
]


@contextmanager
def counted_steps(parser: Probe) -> Iterator[list[None]]:
    """Count how often the parser is asked for its next step: that, not the time it takes, must be bounded."""
    steps: list[None] = []
    advance = parser._advance

    def counting() -> None:
        steps.append(None)
        advance()

    with patch.object(parser, "_advance", counting):
        yield steps


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
    length = probe(data).header_bytes
    for end in range(3, length) if length < 700 else (3, 20, 600, 5000, 66_000):
        if end >= length:
            break
        parser = Probe()
        assert parser.feed(data[:end]) is None
        with pytest.raises(ApiError) as caught:
            parser.finish()
        assert caught.value.kind in (IMAGE_DAMAGED, NOT_AN_IMAGE)


@st.composite
def damaged_headers(draw: st.DrawFn) -> bytes:
    """Return a real header with bytes changed, left out, doubled or put in."""
    data = bytearray(draw(st.sampled_from([*SAMPLES.values(), *MADE]))[:3000])
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, min(len(data), 700)))
        length = draw(st.sampled_from((0, 1, 1, 2, 4, 8)))
        data[at : at + length] = draw(st.one_of(st.binary(max_size=8), st.just(bytes(data[at : at + 2 * length]))))
    return bytes(data)


def outcome(data: bytes, splits: list[int]) -> Facts | tuple[ErrorKind, str]:
    """Feed the bytes in pieces; return the facts, or the refusal. Anything but an ApiError escapes."""
    parser, at = Probe(), 0
    with counted_steps(parser) as steps:
        try:
            for end in (*sorted(splits), len(data)):
                if facts := parser.feed(data[at:end]):
                    return facts
                at = max(at, end)
            return parser.finish()
        except ApiError as error:
            return error.kind, error.message
        finally:
            assert len(steps) <= len(data) + 10


@settings(max_examples=300, deadline=None)
@given(damaged_headers(), st.lists(st.integers(0, 3000), max_size=30))
def test_a_corrupt_header_is_refused_or_read_the_same_for_any_chunking(data: bytes, splits: list[int]) -> None:
    whole = outcome(data, [])
    assert not isinstance(whole, tuple) or whole[0] in (IMAGE_DAMAGED, NOT_AN_IMAGE)
    assert outcome(data, splits) == whole
    assert outcome(data, list(range(len(data)))) == whole


@pytest.mark.parametrize(
    "data",
    [
        jpeg_header(40, 30, before=segment(0xE1, bytes(65_000)) * 100),
        tiff(plain_tags(40, 30), bytes(6_000_000)),
        box(b"ftyp", b"avif") + box(b"mdat", bytes(6_000_000)) + heif(b"avif", [ispe(40, 30), av1c()]),
    ],
    ids=["jpeg", "tiff", "avif"],
)
def test_of_a_long_header_only_the_piece_being_read_is_kept(data: bytes) -> None:
    parser, step, kept = Probe(), 10_000, 0
    for at in range(0, len(data), step):
        facts = parser.feed(data[at : at + step])
        kept = max(kept, len(parser._buffer))
    assert facts is not None
    assert (facts.width, facts.height) == (40, 30)
    assert kept < 66_000 + step


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
        b"\xff\xd8" + (b"\xff" * 3000 + segment(0xE2, b"")) * 2000,
        b"\x89PNG\r\n\x1a\n" + png_header(5, 5)[8:33] + struct.pack(">I", 2**31) + b"zTXt" + bytes(1000),
        b"\x89PNG\r\n\x1a\n" + png_header(5, 5)[8:33] + png_chunk(b"tEXt", b"") * 10_000,
        b"RIFF\xff\xff\xff\xffWEBP" + b"JUNK\0\0\0\0" * 10_000,
        box(b"ftyp", b"avif") + box(b"free", b"") * 10_000,
        box(b"ftyp", b"avif") + box(b"meta", bytes(4) + box(b"free", b"") * 10_000),
        box(b"ftyp", b"avif") + b"\0\0\0\1mdat" + b"\x7f" * 8 + bytes(1000),
        box(b"ftyp", b"avif" * 2000),
        heif(b"avif", [ispe(9, 9), box(b"auxC", bytes(70_000))]),
        tiff(dict.fromkeys(range(1000, 6000), (3, (1,))), b""),
        b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"free", b"") * 10_000,
    ],
    ids=[
        *("endless", "tiny-segments", "rubbish", "fill-bytes", "huge-chunk", "tiny-chunks", "tiny-riff-chunks"),
        *("tiny-boxes", "tiny-meta-boxes", "huge-box", "many-brands", "long-property", "many-tags", "tiny-jxl-boxes"),
    ],
)
def test_a_header_without_an_end_is_given_up(data: bytes) -> None:
    parser = Probe()
    with counted_steps(parser) as steps, pytest.raises(ApiError) as caught:
        parser.feed(data)
    assert caught.value.kind is IMAGE_DAMAGED
    assert len(steps) < 20_000


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
        tiff(plain_tags(0, 10), b""),
        tiff({256: (3, (10,))}, b""),
        tiff({}, b"").replace(b"II*\0\x08", b"II*\0\x04"),
        tiff(plain_tags(5, 5), b"", big=True).replace(b"II+\0\x08", b"II+\0\x09"),
        bmp(0, 10, 24, b""),
        bmp(-10, 10, 24, b""),
        bmp(10, 10, 7, b""),
        bmp(10, 10, 24, b"", compression=9),
        os2_bmp(10, 0, 24, b""),
        heif(b"avif", [box(b"av1C", bytes(4))]),
        heif(b"avif", [ispe(0, 9), box(b"av1C", bytes(4))]),
        heif(b"heic", [ispe(9, 9), box(b"hvcC", bytes(9))]),
        b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"jxlc", bytes(30)),
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
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "raw file"),
        (tiff(plain_tags(9, 9, photometric=32803), bytes(243)), "raw file"),
        (tiff({**plain_tags(9, 9), 254: (4, (1,))}, bytes(243)), "preview"),
        (tiff({**plain_tags(9, 9), 50706: (1, (1, 4, 0, 0))}, bytes(243)), "preview"),
        (tiff(plain_tags(9, 9, photometric=8), bytes(243)), "L*a*b*"),
        (tiff(plain_tags(9, 9, photometric=32845), bytes(243)), "LogLuv"),
        (bmp(9, 9, 24, b"", compression=4), "JPEG"),
        (bmp(9, 9, 24, b"", compression=5), "PNG"),
        (box(b"ftyp", b"isom\0\0\0\0mp41") + bytes(40), "video"),
        (heif(b"mif1", [ispe(9, 9), box(b"j2kH", bytes(30))]), "neither AV1 nor HEVC"),
        (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "JPEG 2000"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"%PDF-1.7" + bytes(40), "PDF"),
        (b"8BPS" + bytes(40), "PSD"),
    ],
)
def test_what_cannot_be_decoded_is_refused_by_its_name(data: bytes, words: str) -> None:
    error = refusal(data)
    assert error.kind is NOT_AN_IMAGE
    assert words in error.message
    assert "JPEG, PNG, WebP, GIF, TIFF, BMP and AVIF" in error.message


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
