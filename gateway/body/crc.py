"""CRC-32C and CRC-64/NVME in pure Python, at the speed of big integers. Knows polynomials; must not know HTTP.

Source of the parameters: "Catalogue of parametrised CRC algorithms" (G. Cook); both are reflected, start from all ones
and end inverted. CRC-32 is `zlib.crc32`.

A table look-up per byte gives 7 MB/s. Here a body is one polynomial, held as an integer, and is first reduced modulo a
*sparse multiple* of the CRC's polynomial: that takes a few shifts and XORs of long integers, which run at the speed of
memory. Only the short rest goes through the table, once, at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Polynomial:
    """A reflected CRC polynomial of `width` bits without its highest term, and a sparse multiple of it.

    `multiple` are the exponents of that multiple, highest first. Any multiple gives the right remainder; few terms,
    and a first exponent at least twice the second, make it fast.
    """

    width: int
    reflected: int
    multiple: tuple[int, ...]


# The multiples come from a birthday search over sums of powers of x; the tests divide them.
CRC32C = Polynomial(32, 0x82F63B78, (5685, 1362, 426, 0))
CRC64NVME = Polynomial(64, 0x9A6C9329AC4BC9B5, (5444, 1856, 1147, 1007, 748, 550, 62, 0))


class Crc:
    """A CRC in progress, with the interface of hashlib's objects."""

    def __init__(self, polynomial: Polynomial) -> None:
        self._polynomial = polynomial
        self._ones = (1 << polynomial.width) - 1
        self._register = self._ones  # what still has to be XORed into the first bytes of the rest
        self._rest = b""
        self._rest_bytes = (polynomial.multiple[0] + 7) // 8

    def update(self, data: bytes) -> None:
        """Add the next bytes."""
        self._rest += data
        if len(self._rest) >= 4 * self._rest_bytes:
            value = int.from_bytes(self._rest, "little") ^ self._register
            reduced = _reduced(value, 8 * len(self._rest), 8 * self._rest_bytes, self._polynomial.multiple)
            self._rest, self._register = reduced.to_bytes(self._rest_bytes, "little"), 0

    def digest(self) -> bytes:
        """Return the CRC of the bytes so far, big-endian."""
        table = _table(self._polynomial.reflected)
        register = self._register
        for byte in self._rest:
            register = table[(register ^ byte) & 0xFF] ^ (register >> 8)
        return (register ^ self._ones).to_bytes(self._polynomial.width // 8, "big")


def _reduced(value: int, bits: int, wanted_bits: int, multiple: tuple[int, ...]) -> int:
    """Return a polynomial of `wanted_bits` coefficients with the remainder of `value`, which has `bits` of them.

    Bit 0 is the coefficient of the highest power (the CRCs are reflected). Squaring a polynomial over GF(2) doubles
    its exponents, so the multiple's powers 2^k are as sparse as itself: the largest one that fits halves the length,
    the next one halves the rest.
    """
    for power in reversed(range((bits // multiple[0]).bit_length())):
        top, *others = (exponent << power for exponent in multiple)
        wanted = max(top, wanted_bits)
        while bits > wanted:
            count = min(bits - wanted, top - others[0])
            remaining = value >> count
            leading = value ^ (remaining << count)
            for exponent in others:  # x^top equals the sum of the other terms
                remaining ^= leading << (top - exponent - count)
            value, bits = remaining, bits - count
    return value


@lru_cache(maxsize=4)
def _table(reflected: int) -> tuple[int, ...]:
    """Return what each value of a byte adds to the register."""
    rows = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = (register >> 1) ^ (reflected if register & 1 else 0)
        rows.append(register)
    return tuple(rows)
