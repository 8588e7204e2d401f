"""A multipart/form-data upload: the fields before the file, then the file's bytes as they come. Pure, sans-I/O.

Source: RFC 7578; Amazon S3 API Reference, "POST Object". Knows the framing; must not know what any field means, `file`
apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from gateway.errors import (
    INVALID_ARGUMENT,
    MALFORMED_POST_REQUEST,
    MAX_POST_PRE_DATA_LENGTH_EXCEEDED,
    ApiError,
)

MAX_FIELDS = 100
MAX_BYTES_BEFORE_FILE = 20 * 1024  # S3's limit: fields, their headers, what stands before them

_MAX_PARTS = 1000  # where a field may come several times
_MAX_HEADER = 8 * 1024  # of one part: it is looked through again with each piece that comes
_MAX_BOUNDARY = 70  # RFC 2046 section 5.1.1
_MAX_PADDING = 256
# `\"` inside a quoted text is an escape for most clients, the end of a path for some: the first reading that fits.
_PARAMETER = re.compile(r""";[ \t]*([^\s;="]+)=(?:"((?:\\"|[^"])*)"|([^\s;"]*))[ \t]*""")
_LINE_END = re.compile(rb"[ \t]*\r\n")
_PERHAPS_LINE_END = re.compile(rb"-|[ \t]*\r?")


class _Next(Enum):
    """What the held bytes are."""

    OUTSIDE = auto()  # before the first part or behind the file: of no meaning
    LINE_END = auto()  # the rest of a delimiter's line
    HEADER = auto()
    VALUE = auto()
    FILE = auto()
    END = auto()  # behind the last delimiter


@dataclass(frozen=True, slots=True)
class FormRules:
    """What a form may be: by default what S3 takes, a form that ends with the one file it needs.

    `max_bytes` bounds the fields, their headers, and what stands around them. With `anywhere` the file may be missing
    or stand between fields, and a field whose name ends in `[]` may come several times: its values are joined by `,`.
    `file_field` is the lower-case name of the field that is the file.
    """

    max_bytes: int = MAX_BYTES_BEFORE_FILE
    anywhere: bool = False
    file_field: str = "file"


@dataclass(frozen=True, slots=True)
class FilePart:
    """What the client said about its file: the last segment of its name, and its media type; `""` when unsaid."""

    filename: str
    content_type: str


S3_FORM = FormRules()


def parse_boundary(content_type: str) -> bytes:
    """Return the boundary in a Content-Type header. Raises MALFORMED_POST_REQUEST."""
    media_type, parameters = _split_parameters(content_type)
    text = parameters.get("boundary", "")
    if media_type.lower() != "multipart/form-data" or not 1 <= len(text) <= _MAX_BOUNDARY or not text.isascii():
        raise ApiError(MALFORMED_POST_REQUEST, "no boundary")
    return text.encode("ascii")


class FormReader:
    """Reads a form piece by piece, wherever it is cut.

    What comes behind the file is ignored, as S3 does, unless the rules say that it counts. Memory is bounded by the
    rules and one piece.
    """

    def __init__(self, boundary: bytes, rules: FormRules = S3_FORM) -> None:
        self._rules = rules
        self._values: dict[str, list[str]] = {}
        self.file: FilePart | None = None
        self._delimiter = b"\r\n--" + boundary
        self._held = b"\r\n"  # so that the first delimiter, which may stand at the start, looks like all others
        self._next = _Next.OUTSIDE
        self._name = ""
        self._value = bytearray()
        self._bytes_before_file = 0
        self._parts = 0

    @property
    def fields(self) -> dict[str, str]:
        """The fields so far, by lower-case name; by the default rules complete when `file` is no longer None."""
        return {name: ",".join(values) for name, values in self._values.items()}

    def feed(self, data: bytes) -> bytes:
        """Take the next piece of the body, return the bytes of the file in it.

        Raises MALFORMED_POST_REQUEST, MAX_POST_PRE_DATA_LENGTH_EXCEEDED, and INVALID_ARGUMENT for a field sent twice
        and for a form without a file.
        """
        self._held += data
        ready: list[bytes] = []
        while self._step(ready):
            pass
        return b"".join(ready)

    def finish(self) -> None:
        """Raise MALFORMED_POST_REQUEST when the form has not come to its end."""
        if self._next is not _Next.END:
            raise ApiError(MALFORMED_POST_REQUEST, "the form ends early")

    def _step(self, ready: list[bytes]) -> bool:
        """Act on what is held; False when more must come first."""
        match self._next:
            case _Next.LINE_END:
                return self._read_line_end()
            case _Next.HEADER:
                return self._read_header()
            case _Next.END:
                self._held = b""
                return False
            case _:
                return self._read_content(ready)

    def _read_content(self, ready: list[bytes]) -> bool:
        """Take everything up to the next delimiter, or all that cannot be the start of one."""
        end = self._held.find(self._delimiter)
        length = end if end >= 0 else max(0, len(self._held) - len(self._delimiter) + 1)
        piece, self._held = self._held[:length], self._held[length:]
        if self._next is _Next.FILE:
            ready.append(piece)
        elif self.file is None or self._rules.anywhere:
            self._count(length)
            if self._next is _Next.VALUE:
                self._value += piece
        if end < 0:
            return False
        if self._next is _Next.VALUE:
            self._keep(_decoded(bytes(self._value)))
        self._held = self._held[len(self._delimiter) :]
        self._next = _Next.LINE_END
        return True

    def _read_line_end(self) -> bool:
        if self._held.startswith(b"--"):
            if self.file is None and not self._rules.anywhere:
                raise ApiError(
                    INVALID_ARGUMENT, "no file", message="POST requires exactly one file upload per request."
                )
            self._next = _Next.END
            return True
        found = _LINE_END.match(self._held)
        if found and found.end() <= _MAX_PADDING:
            self._held = self._held[found.end() - 2 :]  # with its line end, so that no header at all can be seen
            self._next = _Next.HEADER if self.file is None or self._rules.anywhere else _Next.OUTSIDE
            return True
        if found or len(self._held) > _MAX_PADDING or not _PERHAPS_LINE_END.fullmatch(self._held):
            raise ApiError(MALFORMED_POST_REQUEST, "a delimiter does not end its line")
        return False

    def _read_header(self) -> bool:
        end = self._held.find(b"\r\n\r\n")
        if end > _MAX_HEADER or (end < 0 and len(self._held) > _MAX_HEADER):
            raise ApiError(MAX_POST_PRE_DATA_LENGTH_EXCEEDED, "a part's header is too long")
        if end < 0:
            self._check_size(self._bytes_before_file + len(self._held))
            return False
        self._count(end)
        name, part = _parse_header(self._held[2:end])
        self._held = self._held[end + 4 :]
        self._parts += 1
        if name == self._rules.file_field and self.file is None:
            self.file, self._next = part, _Next.FILE
            return True
        if (name in self._values and not self._repeats(name)) or name == self._rules.file_field:
            raise ApiError(INVALID_ARGUMENT, f"field {name} twice", message=f"The form field {name} is sent twice.")
        if len(self._values) == MAX_FIELDS or self._parts > _MAX_PARTS:
            raise ApiError(MAX_POST_PRE_DATA_LENGTH_EXCEEDED, "too many fields")
        self._name, self._next = name, _Next.VALUE
        self._value.clear()
        return True

    def _keep(self, value: str) -> None:
        self._values.setdefault(self._name, []).append(value)

    def _repeats(self, name: str) -> bool:
        return self._rules.anywhere and name.endswith("[]")

    def _count(self, length: int) -> None:
        self._bytes_before_file += length
        self._check_size(self._bytes_before_file)

    def _check_size(self, count: int) -> None:
        if count > self._rules.max_bytes:
            raise ApiError(MAX_POST_PRE_DATA_LENGTH_EXCEEDED)


def _parse_header(block: bytes) -> tuple[str, FilePart]:
    """Return the lower-case name of a part, and what its header says of a file. Raises MALFORMED_POST_REQUEST."""
    headers: dict[str, str] = {}
    for line in _decoded(block).split("\r\n"):
        name, colon, value = line.partition(":")
        if not colon or name.lower() in headers:
            raise ApiError(MALFORMED_POST_REQUEST, "a part's header is not a header, or doubled")
        headers[name.lower()] = value.strip(" \t")
    kind, parameters = _split_parameters(headers.get("content-disposition", ""))
    if kind.lower() != "form-data" or not parameters.get("name"):
        raise ApiError(MALFORMED_POST_REQUEST, "a part without a name")
    filename = parameters.get("filename", "").replace("\\", "/").rpartition("/")[2]
    return parameters["name"].lower(), FilePart(filename, headers.get("content-type", ""))


def _split_parameters(text: str) -> tuple[str, dict[str, str]]:
    """Split `kind; a=b; c="d"`. Raises MALFORMED_POST_REQUEST."""
    kind = text.partition(";")[0]
    parameters: dict[str, str] = {}
    position = len(kind)
    while position < len(text):
        found = _PARAMETER.match(text, position)
        if found is None or found[1].lower() in parameters:
            raise ApiError(MALFORMED_POST_REQUEST, "a parameter is not a parameter, or doubled")
        parameters[found[1].lower()] = found[2].replace('\\"', '"') if found[2] is not None else found[3]
        position = found.end()
    return kind.strip(" \t"), parameters


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ApiError(MALFORMED_POST_REQUEST, "a field is not UTF-8") from None
