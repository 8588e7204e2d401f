from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.body.crc import CRC32C, CRC64NVME, Crc, Polynomial

if TYPE_CHECKING:
    from collections.abc import Iterable

# The polynomial of zlib, a reference that shares no code; its own terms are a multiple of it, though not a fast one.
CRC32 = Polynomial(32, 0xEDB88320, (32, 26, 23, 22, 16, 12, 11, 10, 8, 7, 5, 4, 2, 1, 0))


def crc(polynomial: Polynomial, pieces: Iterable[bytes]) -> str:
    running = Crc(polynomial)
    for piece in pieces:
        running.update(piece)
    return running.digest().hex()


def naive(polynomial: Polynomial, data: bytes) -> str:
    """Shift a bit at a time, as the definition says."""
    ones = (1 << polynomial.width) - 1
    register = ones
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (polynomial.reflected if register & 1 else 0)
    return f"{register ^ ones:0{polynomial.width // 4}x}"


@pytest.mark.parametrize(
    ("polynomial", "data", "expected"),
    [
        (CRC32, b"123456789", "cbf43926"),
        (CRC32C, b"123456789", "e3069283"),
        (CRC64NVME, b"123456789", "ae8b14860a799888"),
        (CRC32C, b"", "00000000"),
        (CRC64NVME, b"", "0000000000000000"),
        (CRC32C, bytes(32), "8a9136aa"),  # RFC 3720 appendix B.4, read as big-endian
        (CRC32C, b"\xff" * 32, "62a8ab43"),
        (CRC32C, bytes(range(32)), "46dd794e"),
        (CRC64NVME, bytes(4096), "6482d367eb22b64e"),  # NVM Express NVM Command Set Specification
        (CRC64NVME, b"\xff" * 4096, "c0ddba7302eca3ac"),
    ],
)
def test_published_check_values(polynomial: Polynomial, data: bytes, expected: str) -> None:
    assert crc(polynomial, [data]) == expected


@pytest.mark.parametrize("polynomial", [CRC32, CRC32C, CRC64NVME], ids=["crc32", "crc32c", "crc64nvme"])
def test_the_sparse_multiple_is_a_multiple(polynomial: Polynomial) -> None:
    divisor = 1 << polynomial.width | int(f"{polynomial.reflected:0{polynomial.width}b}"[::-1], 2)
    rest = sum(1 << exponent for exponent in polynomial.multiple)
    while rest.bit_length() > polynomial.width:
        rest ^= divisor << (rest.bit_length() - divisor.bit_length())
    assert rest == 0


@pytest.mark.parametrize("polynomial", [CRC32C, CRC64NVME], ids=["crc32c", "crc64nvme"])
@pytest.mark.parametrize("size", [1, 3, 7, 680, 711, 2723, 2724, 2725, 2843, 2844, 2845, 5000, 20_001])
def test_any_length_gives_what_the_definition_gives(polynomial: Polynomial, size: int) -> None:
    data = bytes((37 * position * position + position >> 3) & 0xFF for position in range(size))
    assert crc(polynomial, [data]) == naive(polynomial, data)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=40), st.integers(0, 5000))
def test_reduction_by_a_multiple_agrees_with_zlib_at_any_split(pieces: list[bytes], more: int) -> None:
    pieces.append(b"\xa5" * more)
    assert crc(CRC32, pieces) == f"{zlib.crc32(b''.join(pieces)):08x}"


@settings(deadline=None)
@given(st.lists(st.integers(0, 4000), max_size=12), st.sampled_from([CRC32C, CRC64NVME]))
def test_any_split_gives_the_same_crc(sizes: list[int], polynomial: Polynomial) -> None:
    pieces = [bytes((size + 11 * position) & 0xFF for position in range(size)) for size in sizes]
    assert crc(polynomial, pieces) == crc(polynomial, [b"".join(pieces)])
