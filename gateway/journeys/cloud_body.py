"""The body of a request to Cloudinary's API: a form of either kind, or JSON; the file in it is kept aside on disk."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import json
import tempfile
from base64 import b64decode
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING
from urllib.parse import parse_qsl

from gateway.body.form import FormReader, FormRules, parse_boundary
from gateway.dialects.cloudinary_upload import joined, strings
from gateway.errors import DISK_FULL, ENTITY_TOO_LARGE, INVALID_REQUEST, ApiError
from gateway.stores.spool import Room, in_time

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

    from gateway.journeys.vendor_call import Call

MAX_FIELDS_BYTES = 8 * 1024 * 1024  # of a body without a file part; and of a form's fields
MAX_URL_BYTES = 8192
_RULES = FormRules(max_bytes=MAX_FIELDS_BYTES, anywhere=True)
_MAX_PAIRS = 1000
_MAX_MARKS = 20_000  # commas and brackets of a JSON body: values cost far more than the bytes they are written in
_MARKS = (b",", b"[", b"{")
_MAX_ESCAPES = 500_000  # of a form-encoded body; base64 has one `+`, `/` or `=` in thirty characters
_AT_ONCE_BYTES = 64 * 1024  # a longer text is read beside the event loop
_IDLE_S = 60.0  # longest silence of the client inside its body
_IN_MEMORY_BYTES = 1024 * 1024
_READ_BYTES = 256 * 1024
_BASE64_BYTES = 4 * 64 * 1024  # a multiple of four characters


@dataclass(frozen=True, slots=True, repr=False)
class File:
    """A file kept aside, `length` in bytes, and what the client called it (`""`: it came as a plain field)."""

    spool: IO[bytes]
    length: int
    filename: str = ""

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield it from its beginning."""
        self.spool.seek(0)
        while data := self.spool.read(_READ_BYTES):
            yield data

    def start(self, count: int) -> bytes:
        """Return its first bytes."""
        self.spool.seek(0)
        return self.spool.read(count)

    async def md5(self) -> str:
        """Return its MD5 in hexadecimal."""

        def compute() -> str:
            self.spool.seek(0)
            digest = hashlib.md5(usedforsecurity=False)
            while data := self.spool.read(_READ_BYTES):
                digest.update(data)
            return digest.hexdigest()

        return await asyncio.to_thread(compute)


@dataclass(slots=True)
class Shelf:
    """Where files are kept aside while a request runs: on disk beyond a megabyte, and gone at its end."""

    max_bytes: int
    room: Room | None = None  # of those whom nobody knows yet; None for others
    _taken: int = 0
    _stack: ExitStack = field(default_factory=ExitStack)

    def proven(self) -> None:
        """Note that it is known now on whose account all this is kept."""
        if self.room is not None:
            self.room.give_back(self._taken)
        self.room, self._taken = None, 0

    def count(self, length: int) -> None:
        """Count bytes of somebody unknown, here or in memory. Raises SLOW_DOWN when all of them hold too many."""
        if self.room is not None:
            self.room.take(length)
            self._taken += length

    async def keep(self, chunks: AsyncIterator[bytes], filename: str = "") -> File:
        """Keep a stream. Raises ENTITY_TOO_LARGE as soon as it is longer than is allowed."""
        spool = self.new()
        async for chunk in chunks:
            self.add(spool, chunk)
        return File(spool, spool.tell(), filename)

    def new(self) -> IO[bytes]:
        """Return an empty file."""
        return self._stack.enter_context(tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))

    def add(self, spool: IO[bytes], data: bytes, *, as_text: bool = False) -> None:
        """Add to a file, or to the text that one is written in. Raises ENTITY_TOO_LARGE, SLOW_DOWN, DISK_FULL."""
        self.check(spool.tell() + len(data), as_text=as_text)
        self.count(len(data))
        try:
            spool.write(data)
        except OSError as error:
            raise ApiError(DISK_FULL, f"temporary file: {error.strerror}") from error

    def check(self, length: int, *, as_text: bool = False) -> None:
        """Raise ENTITY_TOO_LARGE for a file of more bytes than are allowed; base64 takes a third more."""
        if length > (self.max_bytes * 4 // 3 + _IN_MEMORY_BYTES if as_text else self.max_bytes):
            message = f"File size too large. Got {length}. Maximum is {self.max_bytes}."
            raise ApiError(ENTITY_TOO_LARGE, message=message)

    def close(self) -> None:
        """Let go of all."""
        self.proven()
        with suppress(OSError):  # closing writes what is left; on a full disk that fails once more
            self._stack.close()


@dataclass(frozen=True, slots=True, repr=False)
class Received:
    """What a body said, perhaps a secret too: the parameters by name (lists are `joined`), and the file, if any."""

    fields: dict[str, str]
    file: File | None
    shelf: Shelf


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """Who looks at an unknown caller's form when its file begins: what came before it may prove it already.

    `knows` tells whether the fields so far do; it raises ApiError for what no later field can mend. What comes from
    those whom it does not know takes of `room`.
    """

    room: Room
    knows: Callable[[Mapping[str, str]], bool]


@asynccontextmanager
async def received(
    call: Call, max_file_bytes: int, doorkeeper: Doorkeeper | None, rules: FormRules = _RULES
) -> AsyncIterator[Received]:
    """Read the body to its end; its file is gone on leaving. `doorkeeper` is None for a caller who is known.

    Parameters of the query count too, as far as the body does not name them. Raises ENTITY_TOO_LARGE, SLOW_DOWN,
    INVALID_REQUEST, REQUEST_TIMEOUT and what reading a form raises.
    """
    shelf = Shelf(max_file_bytes, doorkeeper.room if doorkeeper else None)
    try:
        media = (call.head.header("content-type") or "").partition(";")[0].strip().lower()
        query = _pairs(call.head.raw_query)
        if media == "multipart/form-data":
            fields, file = await _form(call, shelf, rules, doorkeeper)
        else:
            body = await _whole(call, shelf)
            fields = await asyncio.to_thread(_plain, body, media) if len(body) > _AT_ONCE_BYTES else _plain(body, media)
            file = None
            if text := fields.pop("file", ""):
                spool = shelf.new()
                shelf.add(spool, text.encode("utf-8", "surrogateescape"), as_text=True)
                file = File(spool, spool.tell())
        yield Received(_encodable({**query, **fields}), file, shelf)
    finally:
        shelf.close()


async def _form(
    call: Call, shelf: Shelf, rules: FormRules, doorkeeper: Doorkeeper | None
) -> tuple[dict[str, str], File | None]:
    reader = FormReader(parse_boundary(call.head.one_header("content-type")), rules)
    spool = shelf.new()
    has_file = False
    async for chunk in in_time(call.exchange.body(), _IDLE_S):
        data = reader.feed(chunk)
        if reader.file is not None and not has_file:
            has_file = True
            if doorkeeper and doorkeeper.knows(_named(reader.fields)):
                shelf.proven()
        shelf.add(spool, data, as_text=reader.file is not None and not reader.file.filename)
        shelf.count(len(chunk) - len(data))
    reader.finish()
    return _named(reader.fields), File(spool, spool.tell(), reader.file.filename) if reader.file else None


def _named(fields: Mapping[str, str]) -> dict[str, str]:
    return {name.removesuffix("[]"): value for name, value in fields.items()}


def _plain(body: bytes, media: str) -> dict[str, str]:
    if media == "application/json" or (media != "application/x-www-form-urlencoded" and body[:1] == b"{"):
        return _json(body) if body.strip() else {}
    if body.count(b"%") > _MAX_ESCAPES:
        message = "The form-encoded body holds too many escapes: send it as multipart/form-data."
        raise ApiError(INVALID_REQUEST, "form", message=message)
    try:
        return _pairs(body.decode())
    except UnicodeDecodeError:
        raise ApiError(INVALID_REQUEST, "form", message="The form-encoded body is malformed.") from None


def _pairs(text: str) -> dict[str, str]:
    fields: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_PAIRS, errors="strict")
    except ValueError:
        raise ApiError(INVALID_REQUEST, "form", message="The form-encoded body is malformed.") from None
    for full_name, value in pairs:
        name = full_name.removesuffix("[]")
        if name in fields and name == full_name:
            raise ApiError(INVALID_REQUEST, "form", message=f"The parameter {name[:100]} is sent twice.")
        fields.setdefault(name, []).append(value)
    return {name: joined(name, *values) for name, values in fields.items()}


def _json(body: bytes) -> dict[str, str]:
    if sum(map(body.count, _MARKS)) > _MAX_MARKS:
        raise ApiError(INVALID_REQUEST, "JSON", message="The JSON body holds too many values.")
    try:
        document = json.loads(body)
        if isinstance(document, dict):
            return strings(document)
    except (ValueError, RecursionError):
        raise ApiError(INVALID_REQUEST, "JSON", message="The JSON body is malformed.") from None
    raise ApiError(INVALID_REQUEST, "JSON", message="The JSON body must be an object.")


def _encodable(fields: dict[str, str]) -> dict[str, str]:
    """Refuse half a surrogate pair, which JSON can write and nothing behind it can keep. Raises INVALID_REQUEST."""
    try:
        "".join((*fields, *fields.values())).encode()
    except UnicodeEncodeError:
        raise ApiError(INVALID_REQUEST, "a lone surrogate", message="The parameters are not Unicode text.") from None
    return fields


async def _whole(call: Call, shelf: Shelf) -> bytes:
    body = bytearray()
    if not call.exchange.has_body:
        return b""
    async for chunk in in_time(call.exchange.body(), _IDLE_S):
        body += chunk
        shelf.count(len(chunk))
        if len(body) > MAX_FIELDS_BYTES:
            message = f"A body of more than {MAX_FIELDS_BYTES} bytes is taken as multipart/form-data only."
            raise ApiError(ENTITY_TOO_LARGE, message=message)
    return bytes(body)


async def data_uri(file: File, shelf: Shelf) -> File:
    """Return the file that a `data:` URI holds, which is in base64. Raises INVALID_REQUEST, ENTITY_TOO_LARGE."""
    header, comma, _ = file.start(1024).partition(b",")
    if not comma or not header.lower().endswith(b";base64"):
        raise ApiError(INVALID_REQUEST, "data URI", message="Invalid data URI: data:TYPE;base64,DATA is expected")
    spool = shelf.new()
    file.spool.seek(len(header) + 1)
    rest = b""
    while piece := file.spool.read(_BASE64_BYTES):
        text = rest + b"".join(piece.split())
        whole = len(text) - len(text) % 4
        rest = text[whole:]
        shelf.add(spool, _decoded(text[:whole]))
    shelf.add(spool, _decoded(rest + b"=" * (-len(rest) % 4)))
    return File(spool, spool.tell())


def _decoded(text: bytes) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        raise ApiError(INVALID_REQUEST, "data URI", message="Invalid data URI: its base64 is malformed") from None
