"""The body of a request to Cloudinary's API: a form of either kind, or JSON; the file in it is kept aside on disk."""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import json
import tempfile
from base64 import b64decode
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING
from urllib.parse import parse_qsl

from gateway.body.form import FormReader, FormRules, parse_boundary
from gateway.dialects.cloudinary_upload import joined, strings
from gateway.errors import ENTITY_TOO_LARGE, INVALID_REQUEST, ApiError
from gateway.stores.spool import in_time

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from gateway.journeys.vendor_call import Call

MAX_FIELDS_BYTES = 8 * 1024 * 1024  # of a body without a file part; and of a form's fields
MAX_URL_BYTES = 8192
_RULES = FormRules(max_bytes=MAX_FIELDS_BYTES, anywhere=True)
_MAX_PAIRS = 1000
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
    _stack: ExitStack = field(default_factory=ExitStack)

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
        """Put more into a file, or into the text that one is written in. Raises ENTITY_TOO_LARGE."""
        spool.write(data)
        self.check(spool.tell(), as_text=as_text)

    def check(self, length: int, *, as_text: bool = False) -> None:
        """Raise ENTITY_TOO_LARGE for a file of more bytes than are allowed; base64 takes a third more."""
        if length > (self.max_bytes * 4 // 3 + _IN_MEMORY_BYTES if as_text else self.max_bytes):
            message = f"File size too large. Got {length}. Maximum is {self.max_bytes}."
            raise ApiError(ENTITY_TOO_LARGE, message=message)

    def close(self) -> None:
        """Let go of all."""
        self._stack.close()


@dataclass(frozen=True, slots=True, repr=False)
class Received:
    """What a body said, perhaps a secret too: the parameters by name (lists are `joined`), and the file, if any."""

    fields: dict[str, str]
    file: File | None
    shelf: Shelf


@asynccontextmanager
async def received(call: Call, max_file_bytes: int, rules: FormRules = _RULES) -> AsyncIterator[Received]:
    """Read the body to its end; its file is gone on leaving.

    Parameters of the query count too, as far as the body does not name them. Raises ENTITY_TOO_LARGE,
    INVALID_REQUEST, REQUEST_TIMEOUT and what reading a form raises.
    """
    shelf = Shelf(max_file_bytes)
    try:
        media = (call.head.header("content-type") or "").partition(";")[0].strip().lower()
        query = _pairs(call.head.raw_query)
        if media == "multipart/form-data":
            fields, file = await _form(call, shelf, rules)
        else:
            fields, file = _plain(await _whole(call), media), None
            if text := fields.pop("file", ""):
                spool = shelf.new()
                shelf.add(spool, text.encode("utf-8", "surrogateescape"), as_text=True)
                file = File(spool, spool.tell())
        yield Received(_encodable({**query, **fields}), file, shelf)
    finally:
        shelf.close()


async def _form(call: Call, shelf: Shelf, rules: FormRules) -> tuple[dict[str, str], File | None]:
    reader = FormReader(parse_boundary(call.head.one_header("content-type")), rules)
    spool = shelf.new()
    async for chunk in in_time(call.exchange.body(), _IDLE_S):
        data = reader.feed(chunk)
        shelf.add(spool, data, as_text=reader.file is not None and not reader.file.filename)
    reader.finish()
    fields = {name.removesuffix("[]"): value for name, value in reader.fields.items()}
    return fields, File(spool, spool.tell(), reader.file.filename) if reader.file else None


def _plain(body: bytes, media: str) -> dict[str, str]:
    if media == "application/json" or (media != "application/x-www-form-urlencoded" and body[:1] == b"{"):
        return _json(body) if body.strip() else {}
    try:
        return _pairs(body.decode())
    except UnicodeDecodeError:
        raise ApiError(INVALID_REQUEST, "form", message="The form-encoded body is malformed.") from None


def _pairs(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_PAIRS, errors="strict")
    except ValueError:
        raise ApiError(INVALID_REQUEST, "form", message="The form-encoded body is malformed.") from None
    for full_name, value in pairs:
        name = full_name.removesuffix("[]")
        if name in fields and name == full_name:
            raise ApiError(INVALID_REQUEST, "form", message=f"The parameter {name[:100]} is sent twice.")
        fields[name] = joined(name, fields[name], value) if name in fields else value
    return fields


def _json(body: bytes) -> dict[str, str]:
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


async def _whole(call: Call) -> bytes:
    body = bytearray()
    if not call.exchange.has_body:
        return b""
    async for chunk in in_time(call.exchange.body(), _IDLE_S):
        body += chunk
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
