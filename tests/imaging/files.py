"""Files that no encoder here writes, made byte by byte; and the socket that a scorer reads them from."""

from __future__ import annotations

import socket
import struct
import threading
from base64 import b85decode
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from zlib import compress

from gateway.imaging.decode import load
from tests.imaging.pictures import png_chunk, png_header, probe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gateway.imaging.decode import Picture
    from gateway.imaging.facts import Facts

_STRUCTS = {1: "B", 3: "H", 4: "I", 16: "Q"}  # TIFF's types: BYTE, SHORT, LONG, LONG8


@contextmanager
def streamed(data: bytes) -> Iterator[int]:
    """Feed the bytes into a socket, as a gateway process does; give its reading end's descriptor."""
    feed, source = socket.socketpair()

    def pump() -> None:
        with feed, suppress(OSError):
            feed.sendall(data)

    pumping = threading.Thread(target=pump)
    pumping.start()
    try:
        yield source.fileno()
    finally:
        source.shutdown(socket.SHUT_RDWR)
        pumping.join()
        source.close()


def loaded(data: bytes, facts: Facts | None = None) -> Picture:
    with streamed(data) as descriptor:
        return load(descriptor, facts or probe(data), max_pixels=10**9)


def tiff(
    tags: Mapping[int, tuple[int, tuple[int, ...]]],
    pixels: bytes,
    *,
    order: str = "<",
    big: bool = False,
    next_at: int = 0,
) -> bytes:
    """Return a TIFF with one strip, its directory at the end; `tags` are tag -> (type, values)."""
    count, place = ("Q", "Q") if big else ("H", "I")
    at = 16 if big else 8
    room = 8 if big else 4
    pixels += bytes(len(pixels) % 2)
    whole = {273: (4, (at,)), 279: (4, (len(pixels),)), **tags}
    directory = at + len(pixels)
    beyond = directory + struct.calcsize(order + count) + len(whole) * (20 if big else 12) + room
    entries, values = b"", b""
    for tag, (kind, numbers) in sorted(whole.items()):
        body = struct.pack(f"{order}{len(numbers)}{_STRUCTS[kind]}", *numbers)
        if len(body) > room:
            body, values = struct.pack(order + place, beyond + len(values)), values + body
        entries += struct.pack(order + "HH" + place, tag, kind, len(numbers)) + body.ljust(room, b"\0")
    mark = b"II" if order == "<" else b"MM"
    head = struct.pack(order + "HHHQ", 43, 8, 0, directory) if big else struct.pack(order + "HI", 42, directory)
    end = struct.pack(order + place, next_at)
    return mark + head + pixels + struct.pack(order + count, len(whole)) + entries + end + values


def plain_tags(
    width: int, height: int, *, bits: int = 8, samples: int = 3, photometric: int = 2, compression: int = 1
) -> dict[int, tuple[int, tuple[int, ...]]]:
    return {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (bits,) * samples),
        259: (3, (compression,)),
        262: (3, (photometric,)),
        277: (3, (samples,)),
        278: (4, (height,)),
    }


def png(width: int, height: int, bits: int, colour: int, lines: list[bytes]) -> bytes:
    """Return a PNG of these lines (packed, without their filter bytes)."""
    head, _, end = png_header(width, height, bits=bits, colour=colour).partition(png_chunk(b"IDAT", b""))
    assert not end
    return head + png_chunk(b"IDAT", compress(b"".join(b"\0" + line for line in lines))) + png_chunk(b"IEND", b"")


def bmp(
    width: int, height: int, bits: int, pixels: bytes, *, palette: bytes = b"", compression: int = 0, masks: bytes = b""
) -> bytes:
    """Return a BMP with the common header of 40 bytes; a negative height means rows from the top."""
    header = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(pixels), 0, 0, len(palette) // 4, 0
    )
    at = 14 + len(header) + len(masks) + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at) + header + masks + palette + pixels


def os2_bmp(width: int, height: int, bits: int, pixels: bytes, palette: bytes = b"") -> bytes:
    header = struct.pack("<IHHHH", 12, width, height, 1, bits)
    at = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at) + header + palette + pixels


def box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + name + body


def full_box(name: bytes, body: bytes, *, version: int = 0, flags: int = 0) -> bytes:
    return box(name, struct.pack(">I", version << 24 | flags) + body)


def ispe(width: int, height: int) -> bytes:
    return full_box(b"ispe", struct.pack(">II", width, height))


def heif(brand: bytes, properties: list[bytes], *, wide: bool = False) -> bytes:
    """Return a HEIF without pixels, whose item 2 is primary and has every property; item 1 has the first one only."""
    version, flags = (1, 1) if wide else (0, 0)

    def entry(item: int, indices: range) -> bytes:
        number = struct.pack(">I" if wide else ">H", item)
        bytes_each = ">H" if wide else ">B"
        essential = 0x8000 if wide else 0x80
        return number + bytes([len(indices)]) + b"".join(struct.pack(bytes_each, i | essential) for i in indices)

    associations = struct.pack(">I", 2) + entry(1, range(1, 2)) + entry(2, range(1, len(properties) + 1))
    iprp = box(b"ipco", b"".join(properties)) + full_box(b"ipma", associations, version=version, flags=flags)
    pitm = full_box(b"pitm", struct.pack(">I" if wide else ">H", 2), version=int(wide))
    meta = full_box(b"meta", full_box(b"hdlr", bytes(20)) + pitm + box(b"iprp", iprp))
    return box(b"ftyp", brand + bytes(4) + b"mif1") + meta + box(b"mdat", bytes(100))


def av1c(*, high: bool = False, twelve: bool = False, grey: bool = False, chroma: tuple[int, int] = (1, 1)) -> bytes:
    flags = high << 6 | twelve << 5 | grey << 4 | chroma[0] << 3 | chroma[1] << 2
    return box(b"av1C", bytes([0x81, 0, flags, 0]))


def hvcc(*, chroma: int = 1, bits: int = 8) -> bytes:
    return box(b"hvcC", bytes(16) + bytes([0xFC | chroma, 0xF8 | bits - 8]) + bytes(5))


def jxl(width: int, height: int, *, orientation: int = 1, contained: bool = False) -> bytes:
    """Return the begin of a JPEG XL codestream, its sides written in full, alone or in boxes."""
    bits, at = 0, 0
    for value, count in ((0, 1), (3, 2), (height - 1, 30), (0, 3), (3, 2), (width - 1, 30), (0, 1), (1, 1)):
        bits |= value << at
        at += count
    bits |= orientation - 1 << at
    stream = b"\xff\x0a" + bits.to_bytes(20, "little")
    if not contained:
        return stream
    start = box(b"JXL ", b"\r\n\x87\n") + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    return start + box(b"Exif", bytes(50)) + box(b"jxlp", bytes(4) + stream)


# 64x48 pixels of (90, 120, 150) with a quarter of (250, 10, 10) at the left top, by libheif with x265 and by libjxl.
HEIC = b85decode(
    b"0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<0004fZDn*}000000000XXk=`10000000000aA{+700000000000000000000B57=IV*mgE07O"
    b"6l0RRC200001p#T8@00000004#n001LtX>Mi!000000RR916=`l}WdZ;I000310BCk&F#rGn01j|zbZr0t000010002}X>f9I0002pX>en200"
    b"01XXm(>m0RwOV0058x000009`FGC{rLC*01pFT0096PKmiN^|NjGU00093kN^M!000939=ZZRVE_RDDnbDP18@KU0|1Z!00RI30{|YNAb|yz>"
    b"g1-mxCm%4AOHXZ10VnZ0{|gn00967L;=Bbz=;3=025<xY;ta6Y<K_x01W^JfB*mh6lrsCWdHyG00000KmY&$KmY&$C}V74Z~y=RKmY&$0RR91"
    b"FaQ7m0RR91000000{{R2@Bjb+0ssI25O8UDX#fBK00RgJ2mk;87-?{AVE_OC000000RRC7fdT^sga7~lj%{RNbN~PVf+zv61o%NQnZNd5|Nr("
    b"7J(uojp>Mfl7f-sA!7r^e|NPSlH0tTCdWW3Q1I$sXQC!K%zh0dKi*Ii4`{3ULG~~daUw49ct+(d&=09Fu^g9Z$^i|8p_Sm{Nx<h~dkt+hjfWc"
    b"8{2#O~oGqs5UCOQHiy;t=C(Lcz)@_17E@@sA"
)
JXL = bytes.fromhex(
    "ff0acb4024080201009c004b188b1500d4f31f63fc387f81100004a80400002969000440150092ef8001744d27a1fbaa0005"
)
