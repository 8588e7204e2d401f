"""How one XML document becomes another: which elements are told, in which order and form. Must not know vendors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

from gateway.request import percent_decode, percent_encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.dialects.xml import Element, Node

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.\d+)?Z")


class Kind(Enum):
    """What a text is, and so what happens to it."""

    TEXT = auto()  # told as it is
    KEY = auto()  # percent-encoded on either side where that side says so
    TOKEN = auto()  # never encoded by the store, but decoded by clients together with the keys
    TIME = auto()  # ISO 8601; oss2 takes no milliseconds but `.000`
    CLASS = auto()  # a storage class


@dataclass(frozen=True, slots=True)
class Field:
    """An element with text. `default` stands for one that is missing or empty; None leaves a missing one out."""

    name: str
    kind: Kind = Kind.TEXT
    default: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """An element with elements: as many as there are."""

    name: str
    content: Shape


Shape = tuple["Field | Group", ...]


@dataclass(frozen=True, slots=True)
class Manner:
    """How the two sides write: are keys percent-encoded here and there, and what the client calls storage classes."""

    store_encodes: bool
    client_encodes: bool
    storage_class: Callable[[str], str]


def reshape(element: Element, shape: Shape, manner: Manner, told: Mapping[str, str] | None = None) -> list[Node]:
    """Return the children to write for `element`: those of the shape, in its order, and nothing else.

    `told` replaces or adds texts of the element's own fields; they are plain, not encoded.
    """
    told = told or {}
    nodes: list[Node] = []
    for row in shape:
        if isinstance(row, Group):
            found = (child for child in element.children if child.name == row.name)
            nodes += [(row.name, reshape(child, row.content, manner)) for child in found]
        elif row.name in told:
            nodes.append((row.name, _to_client(told[row.name], row.kind, manner)))
        else:
            text = next((child.text for child in element.children if child.name == row.name), None)
            if text is not None or row.default is not None:
                nodes.append((row.name, _translated(text or row.default or "", row.kind, manner)))
    return nodes


def key_text(element: Element, name: str, manner: Manner) -> str:
    """Return the text of a child that is a key, decoded; `""` when there is none."""
    text = next((child.text for child in element.children if child.name == name), "")
    return _from_store(text, Kind.KEY, manner)


def last_key(element: Element, rows: Sequence[tuple[str, str]], manner: Manner) -> str:
    """Return the greatest key among the children: `rows` are (child, its element with the key).

    Stores list each kind of child in the order of the keys' bytes, so only the last of each kind is looked at.
    """
    lasts = (
        (next((row for row in reversed(element.children) if row.name == group), None), name) for group, name in rows
    )
    keys = (key_text(child, name, manner) for child, name in lasts if child)
    return max(keys, key=lambda key: key.encode("utf-8", "surrogateescape"), default="")


def _translated(text: str, kind: Kind, manner: Manner) -> str:
    if kind is Kind.KEY and manner.store_encodes and manner.client_encodes and "+" not in text:
        return text  # a thousand long keys take a while to decode and encode
    return _to_client(_from_store(text, kind, manner), kind, manner)


def _from_store(text: str, kind: Kind, manner: Manner) -> str:
    if kind is Kind.KEY:
        # Amazon encodes a blank as `+` and a plus as `%2B`; other stores write `%20`.
        return percent_decode(text.replace("+", " ")) if manner.store_encodes else text
    return text


def _to_client(text: str, kind: Kind, manner: Manner) -> str:
    if kind in (Kind.KEY, Kind.TOKEN):
        return percent_encode(text, "/") if manner.client_encodes else text
    if kind is Kind.TIME:
        return _TIME.sub(r"\1.000Z", text)
    return manner.storage_class(text) if kind is Kind.CLASS else text
