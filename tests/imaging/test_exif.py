from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.imaging.exif import orientation


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
