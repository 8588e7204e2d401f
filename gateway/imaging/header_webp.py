"""WebP's header: RIFF chunks up to the first frame, and VP8's quantiser. Pure; must not know other formats or pixels.

Sources: RFC 9649 (WebP container and lossless bitstream), RFC 6386 sections 7.3, 9.2 to 9.6 and 20 (VP8).
"""

from __future__ import annotations

from dataclasses import replace

from gateway.imaging.facts import Facts
from gateway.imaging.reading import MAX_PIECES, Reading, check_size, damaged, skip, take

_ANIMATION = 0x02  # flag in VP8X
_ALPHA = 0x10
_FRAME_HEADER_BYTES = 10
_QUANTISER_BYTES = 48  # the header fields up to the quantiser are at most about 200 bits


def read_webp() -> Reading[Facts]:
    """Read from RIFF to the first frame's header. Raises IMAGE_DAMAGED."""
    yield skip(12)
    canvas: Facts | None = None
    for _ in range(MAX_PIECES):
        prefix = yield take(8)
        name, length = prefix[:4], int.from_bytes(prefix[4:], "little")
        match name:
            case b"VP8 ":
                return _on_canvas(canvas, (yield from _lossy(length)))
            case b"VP8L":
                return _on_canvas(canvas, _lossless((yield take(5))))
            case b"VP8X" if canvas is None and length >= 10:
                canvas = _canvas((yield take(10)))
                yield skip(length - 10 + length % 2)
            case b"ANMF" if length >= 16:
                yield skip(16)  # the frame's own chunks follow
            case _:
                yield skip(length + length % 2)
    raise damaged("its header has too many chunks")


def _on_canvas(canvas: Facts | None, frame: Facts) -> Facts:
    if canvas is None:
        return frame
    return replace(
        canvas,
        bands=max(canvas.bands, frame.bands),
        quantiser=frame.quantiser,
        lossless=frame.lossless,
        sampling=frame.sampling,
    )


def _canvas(body: bytes) -> Facts:
    width, height = 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    frames = 2 if body[0] & _ANIMATION else 1
    return Facts(format="webp", width=width, height=height, frames=frames, bands=4 if body[0] & _ALPHA else 3)


def _lossless(body: bytes) -> Facts:
    bits = int.from_bytes(body[1:], "little")
    if body[0] != 0x2F or bits >> 29:
        raise damaged("its lossless frame header is broken")
    bands = 4 if bits >> 28 & 1 else 3
    return Facts(format="webp", width=1 + (bits & 0x3FFF), height=1 + (bits >> 14 & 0x3FFF), bands=bands, lossless=True)


def _lossy(length: int) -> Reading[Facts]:
    if length < _FRAME_HEADER_BYTES:
        raise damaged("its frame header is cut short")
    head = yield take(_FRAME_HEADER_BYTES)
    if head[0] & 1 or head[3:6] != b"\x9d\x01\x2a":
        raise damaged("its first frame is not a key frame")
    width, height = int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
    check_size(width, height)
    rest = yield take(min(_QUANTISER_BYTES, length - _FRAME_HEADER_BYTES))
    return Facts(format="webp", width=width, height=height, bands=3, sampling=(2, 2), quantiser=_quantiser(rest))


class _Bits:
    """VP8's boolean decoder (RFC 6386 section 7.3), for bits whose probability is one half."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 2
        self._value = int.from_bytes(data[:2].ljust(2, b"\0"), "big")
        self._range = 255
        self._shifted = 0

    def flag(self) -> int:
        split = 1 + ((self._range - 1) * 128 >> 8)
        bit = int(self._value >= split << 8)
        self._value -= bit * (split << 8)
        self._range = self._range - split if bit else split
        while self._range < 128:
            self._shift()
        return bit

    def _shift(self) -> None:
        self._value <<= 1
        self._range <<= 1
        self._shifted += 1
        if self._shifted == 8:  # beyond the end, zeros follow, as in the reference decoder
            self._value |= self._data[self._at] if self._at < len(self._data) else 0
            self._at += 1
            self._shifted = 0

    def number(self, bits: int) -> int:
        value = 0
        for _ in range(bits):
            value = value << 1 | self.flag()
        return value

    def optional(self, bits: int) -> int:
        """Read a flag, then a signed number if it is set; 0 when it is not."""
        if not self.flag():
            return 0
        value = self.number(bits)
        return -value if self.flag() else value


def _quantiser(data: bytes) -> float:
    """Return the frame's mean quantiser index, 0..127: segments' indices weighted by their probabilities."""
    bits = _Bits(data)
    bits.number(2)  # colour space, clamping
    segmented = bits.flag()
    absolute, indices, probabilities = _segments(bits) if segmented else (False, [0], [])
    bits.number(10)  # loop filter: type, level, sharpness
    if bits.flag() and bits.flag():
        for _ in range(8):
            bits.optional(6)
    bits.number(2)  # partitions
    base = bits.number(7)
    used = [min(127, max(0, index if absolute else base + index)) for index in indices]
    mean = sum(index * share for index, share in zip(used, _shares(probabilities, len(used)), strict=True))
    return round(mean, 3)


def _segments(bits: _Bits) -> tuple[bool, list[int], list[int]]:
    """Return whether the indices are absolute, the four segments' indices, and the tree's three probabilities."""
    mapped, updated = bits.flag(), bits.flag()
    absolute, indices, probabilities = False, [0, 0, 0, 0], [255, 255, 255]
    if updated:
        absolute = bool(bits.flag())
        indices = [bits.optional(7) for _ in range(4)]
        for _ in range(4):
            bits.optional(6)  # loop filter levels
    if mapped:
        probabilities = [bits.number(8) if bits.flag() else 255 for _ in range(3)]
    return absolute, indices, probabilities


def _shares(probabilities: list[int], count: int) -> list[float]:
    if count == 1:
        return [1.0]
    left, first, third = (probability / 255 for probability in probabilities)
    return [left * first, left * (1 - first), (1 - left) * third, (1 - left) * (1 - third)]
