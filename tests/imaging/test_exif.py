from __future__ import annotations

import struct
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from gateway.imaging.exif import orientation, tags


def block(value: int, order: str, *, kind: int = 3, tag: int = 0x0112) -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    other = struct.pack(order + "HHIHH", 0x0110, 2, 1, 0, 0)
    entry = struct.pack(order + "HHIHH", tag, kind, 1, value, 0)
    return mark + struct.pack(order + "IH", 8, 2) + other + entry + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("value", range(1, 9))
def test_orientation_is_read_in_both_byte_orders(value: int, order: str) -> None:
    assert orientation(block(value, order)) == value


@pytest.mark.parametrize(
    "data",
    [b"", b"II*\0", block(0, "<"), block(9, ">"), block(6, "<", kind=2), block(6, "<", tag=1), block(6, "<")[:30]],
)
def test_nonsense_counts_as_upright(data: bytes) -> None:
    assert orientation(data) == 1


@given(st.binary(max_size=200))
def test_any_bytes_give_an_orientation(data: bytes) -> None:
    assert 1 <= orientation(b"II*\0" + data) <= 8


def with_tags() -> bytes:
    """A block as Pillow writes it: texts, fractions, a camera's and a GPS directory."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x011A], exif[0x0132] = "Maker", 6, IFDRational(96, 1), "2015:02:11 15:38:27"
    exif.get_ifd(0x8769).update({0x829A: IFDRational(1, 60), 0x8827: 200, 0x9000: b"0230", 0x927C: b"m" * 40})
    exif.get_ifd(0x8825).update({0: b"\2\2\0\0", 1: "N", 2: (30, 15, IFDRational(4212, 100)), 3: "W", 4: (0, 0, 0)})
    return exif.tobytes().removeprefix(b"Exif\0\0")


def test_tags_are_told_by_name_as_text() -> None:
    found = tags(with_tags())
    assert found.pop("ExifTag").isdigit()
    assert found.pop("GPSTag").isdigit()
    assert found == {
        "Make": "Maker",
        "Orientation": "6",
        "XResolution": "96/1",
        "DateTime": "2015:02:11 15:38:27",
        "ExposureTime": "1/60",
        "ISOSpeedRatings": "200",
        "ExifVersion": "48 50 51 48",
        "GPSVersionID": "2 2 0 0",
        "GPSLatitudeRef": "North",
        "GPSLatitude": "30deg 15' 42.12\"",
        "GPSLongitudeRef": "West",
        "GPSLongitude": "0deg",
    }


def test_the_previews_directory_adds_tags_and_overrides_none() -> None:
    entry = partial(struct.pack, "<HHIHH")
    first = struct.pack("<H", 1) + entry(0x0112, 3, 1, 6, 0) + struct.pack("<I", 26)
    preview = struct.pack("<H", 2) + entry(0x0103, 3, 1, 6, 0) + entry(0x0112, 3, 1, 1, 0) + bytes(4)
    assert tags(b"II*\0" + struct.pack("<I", 8) + first + preview) == {"Orientation": "6", "Compression": "6"}


def test_of_several_pointers_to_a_cameras_directory_one_is_followed() -> None:
    def pointer(place: int) -> bytes:
        return struct.pack("<HHII", 0x8769, 4, 1, place)

    def directory(tag: int) -> bytes:
        return struct.pack("<HHHIHHI", 1, tag, 3, 1, 7, 0, 0)

    first = struct.pack("<H", 2) + pointer(38) + pointer(56) + bytes(4)
    found = tags(b"II*\0" + struct.pack("<I", 8) + first + directory(0x9207) + directory(0x9208))
    assert found == {"ExifTag": "56", "LightSource": "7"}


def test_a_block_that_is_cut_short_anywhere_gives_only_whole_values() -> None:
    block = with_tags()
    whole = tags(block)
    for end in range(len(block)):
        assert tags(block[:end]).items() <= whole.items()


@given(st.binary(max_size=300))
def test_any_bytes_give_some_tags_or_none(data: bytes) -> None:
    assert all(map(str.isidentifier, tags(b"MM\0*\0\0\0\x08" + data)))
