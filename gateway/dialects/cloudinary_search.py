"""Search expressions: `quality_score>0.5 AND (format:jpg OR tags=cat)`, and how results are sorted. Pure.

Source: Cloudinary, "Search API", expressions; the fields are those that are remembered here. Anything else is refused
with a sentence that says what is known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import translate
from functools import total_ordering
from typing import TYPE_CHECKING, Any

from gateway.dialects.cloudinary_quality import EXTENDED
from gateway.errors import INVALID_ARGUMENT, ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.assets import Asset

    Condition = Callable[[Asset], bool]

MAX_LENGTH = 4096
_MAX_DEPTH = 20
_MAX_SORTED = 10
_TOKEN = re.compile(r"""\s*(?:(\(|\))|([A-Za-z_][\w.]*)\s*(<=|>=|!=|[:=<>])\s*("(?:[^"\\]|\\.)*"|[^\s()"]+)|(\w+))""")
SCORES = ("quality_score", *(f"quality_analysis.{name}" for name in EXTENDED))
_NUMBERS: Mapping[str, Callable[[Asset], float]] = {
    "bytes": lambda asset: asset.bytes,
    "width": lambda asset: asset.width,
    "height": lambda asset: asset.height,
    "pages": lambda asset: asset.pages,
    "version": lambda asset: asset.version,
    "created_at": lambda asset: asset.created_at,
    "uploaded_at": lambda asset: asset.version,
}
_TEXTS: Mapping[str, Callable[[Asset], Sequence[str]]] = {
    "asset_id": lambda asset: (asset.asset_id,),
    "public_id": lambda asset: (asset.public_id,),
    "filename": lambda asset: (asset.public_id.rpartition("/")[2],),
    "display_name": lambda asset: (asset.display_name,),
    "folder": lambda asset: (asset.public_id.rpartition("/")[0],),
    "asset_folder": lambda asset: (asset.asset_folder,),
    "format": lambda asset: (asset.format,),
    "resource_type": lambda asset: (asset.resource_type,),
    "type": lambda asset: (asset.type,),
    "tags": lambda asset: asset.tags,
    "etag": lambda asset: (asset.etag,),
}
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ":": lambda mine, theirs: mine == theirs,
    "=": lambda mine, theirs: mine == theirs,
    "!=": lambda mine, theirs: mine != theirs,
    "<": lambda mine, theirs: mine < theirs,
    "<=": lambda mine, theirs: mine <= theirs,
    ">": lambda mine, theirs: mine > theirs,
    ">=": lambda mine, theirs: mine >= theirs,
}


def parse(text: str) -> Condition:
    """Return the condition that an expression means; an empty one holds for all. Raises INVALID_ARGUMENT."""
    if len(text) > MAX_LENGTH:
        raise _refused(f"more than {MAX_LENGTH} characters")
    tokens = _tokens(text)
    if not tokens:
        return lambda _: True
    reader = _Reader(tokens)
    condition = reader.either(0)
    if reader.at < len(tokens):
        raise _refused(f"{tokens[reader.at].text!r} is not expected")
    return condition


@dataclass(frozen=True, slots=True)
class _Token:
    """A bracket, a word, or a comparison (then `field` is not empty)."""

    text: str
    field: str = ""
    operator: str = ""
    value: str = ""


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while text[at:].strip():
        found = _TOKEN.match(text, at)
        if found is None:
            raise _refused(f"{text[at:].strip()[:40]!r} is not understood")
        bracket, field, operator, value, word = found.groups()
        if field:
            tokens.append(_Token(found[0].strip(), field, operator, value))
        else:
            tokens.append(_Token(bracket or word))
        at = found.end()
    return tokens


@dataclass(slots=True)
class _Reader:
    """Reads by descent: OR binds least, then AND (which may be left out), then NOT."""

    tokens: list[_Token]
    at: int = 0

    def either(self, depth: int) -> Condition:
        parts = [self._both(depth)]
        while self._takes("OR"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else lambda asset: any(part(asset) for part in parts)

    def _both(self, depth: int) -> Condition:
        parts = [self._one(depth)]
        while self._takes("AND") or self._begins():
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else lambda asset: all(part(asset) for part in parts)

    def _one(self, depth: int) -> Condition:
        if depth > _MAX_DEPTH:
            raise _refused("it is nested too deeply")
        if self._takes("NOT"):
            negated = self._one(depth + 1)
            return lambda asset: not negated(asset)
        if self._takes("("):
            inner = self.either(depth + 1)
            if not self._takes(")"):
                raise _refused("a bracket is not closed")
            return inner
        token = self._next()
        if token is None or not token.field:
            raise _refused(f"field, operator and value are expected instead of {token.text if token else 'the end'!r}")
        self.at += 1
        return _comparison(token)

    def _begins(self) -> bool:
        token = self._next()
        return token is not None and (bool(token.field) or token.text in ("(", "NOT"))

    def _takes(self, text: str) -> bool:
        token = self._next()
        if token is None or token.field or token.text != text:
            return False
        self.at += 1
        return True

    def _next(self) -> _Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None


def _comparison(token: _Token) -> Condition:
    value = re.sub(r"\\(.)", r"\1", token.value[1:-1]) if token.value.startswith('"') else token.value
    if token.field in SCORES or token.field in _NUMBERS:
        compare, wanted = _COMPARISONS[token.operator], _number(value, token)
        return lambda asset: (mine := number(asset, token.field)) is not None and compare(mine, wanted)
    texts = _texts_of(token.field)
    if texts is None:
        known = ", ".join((*_NUMBERS, *_TEXTS, "context.NAME", *SCORES))
        raise _refused(f"there is no field {token.field!r}; these are known: {known}")
    if token.operator not in (":", "=", "!="):
        raise _refused(f"{token.field} is a text, which knows ':', '=' and '!='")
    # Not fnmatchcase, which keeps 32,768 patterns for ever, each as long as an expression may be.
    pattern = re.compile(translate(value.replace("[", "[[]").replace("?", "[?]")))

    def holds(asset: Asset) -> bool:
        return any(pattern.match(text) for text in texts(asset))

    return (lambda asset: not holds(asset)) if token.operator == "!=" else holds


def _texts_of(field: str) -> Callable[[Asset], Sequence[str]] | None:
    if field.startswith("context."):
        name = field.removeprefix("context.")
        return lambda asset: (asset.context[name],) if name in asset.context else ()
    return _TEXTS.get(field)


def number(asset: Asset, field: str) -> float | None:
    """Return the figure of a field; None where an asset has no such score."""
    return asset.scores.get(field) if field in SCORES else _NUMBERS[field](asset)


def _number(value: str, token: _Token) -> float:
    try:
        return float(value)
    except ValueError:
        raise _refused(f"{token.field} is compared with a number, not with {value[:40]!r}") from None


# Order

Sorting = tuple[tuple[str, bool], ...]  # field, and whether the greatest comes first
Place = list[Any]  # the figures or texts of an asset by which it is sorted, and its public id


def parse_sorting(rows: Any) -> Sorting:
    """Read `[{"quality_score": "desc"}, ...]`; the newest come first unless something else is said.

    Raises INVALID_ARGUMENT.
    """
    rows = rows or [{"created_at": "desc"}]
    pairs = [pair for row in rows for pair in row.items()] if _is_list_of_tables(rows) else [("", "")]
    if len(pairs) > _MAX_SORTED:  # each asset is held against each of them
        raise _refused(f"sort_by takes {_MAX_SORTED} fields at most")
    for field, direction in pairs:
        sortable = field in SCORES or field in _NUMBERS or (field in _TEXTS and field != "tags")
        if not sortable or direction not in ("asc", "desc"):
            known = ", ".join((*_NUMBERS, *(name for name in _TEXTS if name != "tags"), *SCORES))
            raise _refused(f'sort_by takes [{{FIELD: "asc" or "desc"}}] with one of these fields: {known}')
    return tuple((field, direction == "desc") for field, direction in pairs)


def _is_list_of_tables(rows: Any) -> bool:
    return isinstance(rows, list) and all(isinstance(row, dict) for row in rows)


def place(asset: Asset, sorting: Sorting) -> Place:
    """Return where an asset stands among all, as plain values."""
    values: Place = []
    for field, _ in sorting:
        values.append(_TEXTS[field](asset)[0] if field in _TEXTS else number(asset, field))
    return [*values, asset.public_id]


@total_ordering
@dataclass(frozen=True, slots=True)
class Rank:
    """A place that can be compared: what lacks a figure comes last, whichever way the others are sorted."""

    place: tuple[Any, ...]
    sorting: Sorting

    def __lt__(self, other: Rank) -> bool:
        for mine, theirs, (_, descending) in zip(self.place, other.place, self.sorting, strict=False):
            if mine == theirs:
                continue
            if mine is None or theirs is None:
                return theirs is None
            return bool(mine > theirs) if descending else bool(mine < theirs)
        return bool(self.place[-1] < other.place[-1])


def rank(where: Place, sorting: Sorting) -> Rank:
    """Return a place as something to compare. Raises INVALID_ARGUMENT for one that belongs to another sorting."""
    kinds = [str if field in _TEXTS else (int, float, type(None)) for field, _ in sorting]
    if len(where) != len(sorting) + 1 or not all(map(isinstance, where, [*kinds, str])):
        raise ApiError(INVALID_ARGUMENT, "next_cursor", message="Invalid next_cursor: it belongs to another search")
    return Rank(tuple(where), sorting)


def _refused(why: str) -> ApiError:
    return ApiError(INVALID_ARGUMENT, f"search: {why[:80]}", message=f"Invalid search expression: {why}")
