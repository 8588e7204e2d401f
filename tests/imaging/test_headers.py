"""What the probe reads from TIFF, BMP, HEIF and JPEG XL headers, beyond what Pillow can write."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from gateway.imaging.probe import Probe
from gateway.imaging.reading import MAX_HEADER_BYTES
from tests.imaging.files import av1c, bmp, box, full_box, heif, hvcc, ispe, jxl, os2_bmp, plain_tags, tiff
from tests.imaging.pictures import encode, exif, photo_like, probe

TIFF_MODES = {"1": (1, 1), "L": (1, 8), "LA": (2, 8), "P": (3, 8), "RGB": (3, 0), "RGBA": (4, 0), "CMYK": (4, 0)}


@pytest.mark.parametrize("mode", TIFF_MODES)
def test_channels_and_bits_of_a_tiff_are_read_where_they_stand_in_the_directory(mode: str) -> None:
    facts = probe(encode(photo_like(30, 20).convert(mode), "TIFF"))
    assert (facts.bands, facts.bits) == TIFF_MODES[mode]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_both_byte_orders_and_sizes_of_tiff_are_read(order: str, *, big: bool) -> None:
    tags = {**plain_tags(300, 200, samples=1, photometric=1, bits=16), 274: (3, (6,))}
    facts = probe(tiff(tags, bytes(100), order=order, big=big))
    assert (facts.width, facts.height, facts.orientation, facts.bits, facts.bands) == (300, 200, 6, 16, 1)
    assert facts.lossless


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiffs_orientation_and_sides_agree_with_pillow(orientation: int) -> None:
    data = encode(photo_like(30, 20), "TIFF", tiffinfo={274: orientation})
    facts = probe(data)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif()[0x0112] == facts.orientation == orientation
    assert (facts.width, facts.height) == (30, 20)


def test_a_nonsensical_orientation_of_a_tiff_counts_as_upright() -> None:
    assert probe(tiff({**plain_tags(9, 9), 274: (3, (77,))}, bytes(243))).orientation == 1


def test_only_stated_alpha_counts_as_a_channel_of_a_tiff() -> None:
    for kind, bands in ((0, 3), (1, 4), (2, 4)):
        assert probe(tiff({**plain_tags(9, 9, samples=4), 338: (3, (kind,))}, bytes(324))).bands == bands


def test_several_pages_of_a_tiff_are_known_as_several() -> None:
    assert probe(tiff(plain_tags(9, 9), bytes(243))).frames == 1
    assert probe(tiff(plain_tags(9, 9), bytes(243), next_at=8)).frames == 2


def test_chroma_sampling_of_a_jpeg_in_a_tiff_is_read() -> None:
    tags = plain_tags(9, 9, photometric=6, compression=7)
    assert probe(tiff(tags, b"")).sampling == (2, 2)
    facts = probe(tiff({**tags, 530: (3, (2, 1))}, b""))
    assert (facts.sampling, facts.lossless) == ((2, 1), False)
    assert probe(tiff({**tags, 530: (3, (2, 1, 1))}, b"")).sampling == (1, 1)


def test_a_directory_far_behind_the_pixels_is_left_to_the_decoder() -> None:
    near = tiff(plain_tags(9, 9), bytes(MAX_HEADER_BYTES - 100_000))
    assert probe(near).width == 9
    far = tiff(plain_tags(9, 9), bytes(MAX_HEADER_BYTES + 1000))
    facts = Probe().feed(far[:12])
    assert facts is not None
    assert (facts.width, facts.height, facts.bands, facts.bits, facts.header_bytes) == (0, 0, 0, 0, 8)
    assert facts.held_whole


@pytest.mark.parametrize("height", [200, -200])
def test_a_bitmap_is_as_high_from_the_top_as_from_the_bottom(height: int) -> None:
    facts = probe(bmp(300, height, 24, b""))
    assert (facts.format, facts.width, facts.height, facts.bits) == ("bmp", 300, 200, 8)


def test_an_os2_bitmap_is_read() -> None:
    facts = probe(os2_bmp(300, 60_000, 8, b""))
    assert (facts.width, facts.height) == (300, 60_000)


def test_text_that_begins_like_a_bitmap_is_not_one() -> None:
    parser = Probe()
    with pytest.raises(Exception, match="not an image"):
        parser.feed(b"BMX bikes, and how to ride them")


@pytest.mark.parametrize("wide", [False, True])
def test_the_primary_items_properties_count_in_their_order(*, wide: bool) -> None:
    clap = box(b"clap", b"".join(n.to_bytes(4, "big") for n in (301, 1, 405, 2, 0, 1, 0, 1)))
    properties = [ispe(302, 204), clap, box(b"irot", b"\1"), hvcc(chroma=2, bits=10)]
    facts = probe(heif(b"heic", properties, wide=wide))
    assert (facts.format, facts.width, facts.height) == ("heic", 202, 301)
    assert (facts.sampling, facts.bits, facts.bands, facts.orientation) == ((2, 1), 10, 3, 1)


@pytest.mark.parametrize("angle", range(4))
def test_a_quarter_turn_swaps_the_sides(angle: int) -> None:
    facts = probe(heif(b"avif", [ispe(30, 20), av1c(), box(b"irot", bytes([angle]))]))
    assert (facts.width, facts.height) == ((20, 30) if angle % 2 else (30, 20))


@pytest.mark.parametrize(
    ("codec", "expected"),
    [
        (av1c(), (8, 3, (2, 2))),
        (av1c(chroma=(1, 0)), (8, 3, (2, 1))),
        (av1c(high=True, chroma=(0, 0)), (10, 3, (1, 1))),
        (av1c(high=True, twelve=True), (12, 3, (2, 2))),
        (av1c(grey=True), (8, 1, (1, 1))),
        (hvcc(), (8, 3, (2, 2))),
        (hvcc(chroma=0), (8, 1, (1, 1))),
        (hvcc(chroma=3, bits=12), (12, 3, (1, 1))),
    ],
)
def test_the_codecs_configuration_gives_bits_and_sampling(codec: bytes, expected: tuple[object, ...]) -> None:
    facts = probe(heif(b"mif1", [ispe(30, 20), codec]))
    assert (facts.bits, facts.bands, facts.sampling) == expected


def test_an_alpha_plane_is_a_channel_and_a_depth_map_is_not() -> None:
    for kind, bands in ((b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", 4), (b"urn:mpeg:hevc:2015:auxid:2", 3)):
        assert probe(heif(b"avif", [ispe(9, 9), av1c(), full_box(b"auxC", kind + b"\0")])).bands == bands


def test_an_image_sequence_has_several_frames() -> None:
    for brand, frames in ((b"avif", 1), (b"avis", 2)):
        assert probe(heif(brand, [ispe(9, 9), av1c()])).frames == frames


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avifs_sides_are_upright_ones(orientation: int) -> None:
    facts = probe(encode(photo_like(30, 20), "AVIF", speed=10, exif=exif(orientation)))
    assert (facts.width, facts.height) == ((20, 30) if orientation >= 5 else (30, 20))
    assert facts.orientation == 1


@pytest.mark.parametrize("contained", [False, True])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_jpeg_xls_sides_are_upright_ones(orientation: int, *, contained: bool) -> None:
    facts = probe(jxl(70_000, 20, orientation=orientation, contained=contained))
    assert facts.format == "jxl"
    assert (facts.width, facts.height) == ((20, 70_000) if orientation >= 5 else (70_000, 20))


@pytest.mark.parametrize(
    ("begin", "size"),  # libjxl's own output for plain pictures of these sizes
    [
        ("ff0a7f060158019361090080", (256, 256)),
        ("ff0ae8b00101d40093610900", (40, 30)),
        ("ff0a1a1c1d018442190c0000", (1600, 900)),
        ("ff0a5006580e014041060c00", (301, 203)),
        ("ff0a10003f9c180124c1022c", (20_000, 3)),
    ],
)
def test_the_short_forms_of_a_jpeg_xls_sides_are_read(begin: str, size: tuple[int, int]) -> None:
    facts = probe(bytes.fromhex(begin))
    assert (facts.width, facts.height) == size


def test_what_must_be_held_whole_is_everything_but_plain_jpeg_and_png() -> None:
    picture = photo_like(30, 20)
    kinds = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
    assert [kind for kind in kinds if not probe(encode(picture, kind)).held_whole] == ["JPEG", "PNG"]
    assert probe(encode(picture, "JPEG", progressive=True)).held_whole
