"""XML, read with bounds and written plainly. Knows expat and the five characters; must not know any vendor's words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    # An element to write: its name, and its text or its children.
    Node: TypeAlias = tuple[str, "str | Sequence[Node]"]

DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'
# Whatever XML 1.0 section 2.2 does not list, lone surrogates included.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A bare carriage return would come back as a line feed (XML 1.0 section 2.11).
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})


class XmlError(ValueError):
    """The document is not XML, has a DOCTYPE, or exceeds a bound; the text says which."""


@dataclass(frozen=True, slots=True)
class XmlLimits:
    """Bounds of a document. The defaults fit the largest S3 request: 10,000 parts of a multipart upload."""

    max_bytes: int = 2 * 1024 * 1024
    max_depth: int = 16
    max_elements: int = 50_000


ERROR_LIMITS = XmlLimits(max_bytes=64 * 1024, max_depth=8, max_elements=64)


@dataclass(frozen=True, slots=True)
class Element:
    """An element: local name (any namespace prefix removed), its own text, its children. Attributes are dropped."""

    name: str
    text: str
    children: tuple[Element, ...]

    def child_text(self, name: str) -> str:
        """Return the text of the first child of this name, stripped; `""` when there is none."""
        return next((child.text.strip() for child in self.children if child.name == name), "")


@dataclass(slots=True)
class _Open:
    """An element whose end tag has not come yet."""

    name: str
    text: list[str] = field(default_factory=list)
    children: list[Element] = field(default_factory=list)


class _Builder:
    """Expat's callbacks: grows the tree and raises XmlError at the first bound."""

    def __init__(self, limits: XmlLimits) -> None:
        self._limits = limits
        self._elements = 0
        self._path = [_Open("")]

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > self._limits.max_elements:
            raise XmlError("too many elements")
        if len(self._path) > self._limits.max_depth:
            raise XmlError("nested too deeply")
        self._path.append(_Open(name.rpartition(":")[2]))

    def text(self, data: str) -> None:
        self._path[-1].text.append(data)

    def end(self, _name: str) -> None:
        done = self._path.pop()
        self._path[-1].children.append(Element(done.name, "".join(done.text), tuple(done.children)))

    def root(self) -> Element:
        return self._path[0].children[0]


def parse(document: bytes, limits: XmlLimits) -> Element:
    """Parse a UTF-8 document into its root element. Raises XmlError.

    A DOCTYPE is refused at its first byte, so no entity can be declared, expanded or fetched.
    """
    if len(document) > limits.max_bytes:
        raise XmlError("too many bytes")
    builder = _Builder(limits)
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = builder.start
    parser.CharacterDataHandler = builder.text
    parser.EndElementHandler = builder.end
    try:
        parser.Parse(document, True)  # noqa: FBT003 # expat takes no keyword here
    except expat.ExpatError as error:
        raise XmlError(str(error)) from error
    return builder.root()


def _refuse_doctype(*_declaration: object) -> NoReturn:
    raise XmlError("a DOCTYPE is not accepted")


def parse_error(body: bytes) -> tuple[str, str]:
    """Return (Code, Message) of a store's error document, each `""` when absent; both `""` for anything else."""
    try:
        root = parse(body, ERROR_LIMITS)
    except XmlError:
        return "", ""
    if root.name != "Error":
        return "", ""
    return root.child_text("Code"), root.child_text("Message")


def write(node: Node) -> bytes:
    """Write an element as UTF-8 without declaration, namespace, indentation or line end.

    Names are the caller's constants, attributes behind a blank included; text is escaped, and characters that XML
    cannot hold become U+FFFD.
    """
    return _element(node).encode("utf-8")


def _element(node: Node) -> str:
    name, content = node
    inner = _escaped(content) if isinstance(content, str) else "".join(_element(child) for child in content)
    return f"<{name}>{inner}</{name.partition(' ')[0]}>"


def _escaped(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text).translate(_ESCAPES)
