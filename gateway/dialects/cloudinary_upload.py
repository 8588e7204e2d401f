"""What the parameters of a Cloudinary upload ask for. Pure; the caller supplies the chance.

Source: Cloudinary, "Upload API reference", "Upload presets". Unknown parameters mean nothing here; they have been
signed, and that is all.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.dialects.cloudinary_routes import TYPES
from gateway.dialects.hidden import is_hidden
from gateway.errors import INVALID_ARGUMENT, ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_PUBLIC_ID_BYTES = 255
MAX_DETAIL_BYTES = 16 * 1024  # of each text that is remembered of an asset: all its tags, its context, a name
PUBLIC_IDS = "public_ids"  # the one list of names that may hold commas
# What the vendor lets an upload without a signature say; all else is its preset's.
_UNSIGNED_MAY = frozenset({"public_id", "folder", "asset_folder", "tags", "context", "filename_override"})
_TRUE = frozenset({"1", "true", "yes", "t"})
_FALSE = frozenset({"0", "false", "no", "f"})
_NOT_IN_NAMES = re.compile(r"[^\w./ ()&=+,@~^!;:'-]")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(-1|\*|\d{1,15})")
# `|` parts the pairs of a context and `=` a name from its value, unless a backslash stands before them.
_BARE_BAR = re.compile(r"(?<!\\)\|")
_BARE_EQUALS = re.compile(r"(?<!\\)=")


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """What an upload is to become. `public_id` is complete, folder included; `own_id` is what names it without one."""

    public_id: str
    own_id: str
    resource_type: str
    type: str
    overwrite: bool
    quality_analysis: bool
    detection: bool
    tags: tuple[str, ...]
    context: Mapping[str, str]
    asset_folder: str
    display_name: str
    original_filename: str
    extension: str  # of the file's own name


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Which bytes of a large upload a request carries: `end` is behind the last one, `total` None while unknown."""

    start: int
    end: int
    total: int | None


def flag(fields: Mapping[str, str], name: str, *, default: bool = False) -> bool:
    """Read a yes-or-no parameter: `1`, `true`, `True`. Raises INVALID_ARGUMENT for what is neither."""
    text = fields.get(name, "").lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text:
        raise ApiError(INVALID_ARGUMENT, name, message=f"Invalid value for parameter {name}: true or false is expected")
    return default


def wants_iqa(fields: Mapping[str, str]) -> bool:
    """Tell whether `detection` asks for the quality model, alone or among others, which are passed over."""
    return any(name.split("_v")[0].strip() == "iqa" for name in fields.get("detection", "").split(","))


def parse_tags(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of tags."""
    return tuple(dict.fromkeys(tag for each in text.split(",") if (tag := each.strip())))


def parse_context(text: str) -> dict[str, str]:
    """Read `name=value|name=value`, where a backslash before `=` and `|` makes them part of the text.

    Raises INVALID_ARGUMENT.
    """
    found = {}
    for pair in _BARE_BAR.split(text):
        pieces = _BARE_EQUALS.split(pair, maxsplit=1)
        if pair and (len(pieces) != 2 or not pieces[0]):
            raise ApiError(INVALID_ARGUMENT, "context", message="Invalid context: name=value|name=value is expected")
        if pair:
            found[_unescaped(pieces[0])] = _unescaped(pieces[1])
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\([|=])", r"\1", text)


def plan(
    fields: Mapping[str, str], resource_type: str, filename: str, random_text: Callable[[int], str], *, signed: bool
) -> UploadPlan:
    """Say what an upload with these parameters (a preset's among them) becomes.

    `filename` is the file's own name, `random_text` gives so many lower-case letters and digits. Raises
    INVALID_ARGUMENT.
    """
    kind = fields.get("type") or "upload"
    if kind not in TYPES:
        raise ApiError(INVALID_ARGUMENT, "type", message=f"Invalid type {kind}: one of {', '.join(TYPES)} is expected")
    filename = fields.get("filename_override") or filename
    stem, _, extension = filename.rpartition(".") if "." in filename.strip(".") else (filename, "", "")
    own_id = _own_id(fields, stem, random_text)
    if resource_type == "raw" and extension and not fields.get("public_id"):
        own_id = f"{own_id}.{extension}"
    folder = fields.get("public_id_prefix") or fields.get("folder", "")
    public_id = "/".join(part for part in (folder.strip("/"), own_id) if part)
    check_public_id(public_id)
    check_details(fields, stem)
    return UploadPlan(
        public_id,
        own_id,
        resource_type,
        kind,
        overwrite=signed and flag(fields, "overwrite", default=True),
        quality_analysis=flag(fields, "quality_analysis"),
        detection=wants_iqa(fields),
        tags=parse_tags(fields.get("tags", "")),
        context=parse_context(fields.get("context", "")),
        asset_folder=fields.get("asset_folder", fields.get("folder", "")).strip("/"),
        display_name=_display_name(fields, stem, public_id),
        original_filename="" if flag(fields, "discard_original_filename") else stem,
        extension=extension.lower(),
    )


def _own_id(fields: Mapping[str, str], stem: str, random_text: Callable[[int], str]) -> str:
    if given := fields.get("public_id", ""):
        return given
    if not flag(fields, "use_filename") or not stem:
        return random_text(20)
    name = _NOT_IN_NAMES.sub("_", stem).strip("/ ").replace(" ", "_") or random_text(20)
    return f"{name}_{random_text(6)}" if flag(fields, "unique_filename", default=True) else name


def _display_name(fields: Mapping[str, str], stem: str, public_id: str) -> str:
    if given := fields.get("display_name", ""):
        return given
    return stem if stem and flag(fields, "use_filename_as_display_name") else public_id.rpartition("/")[2]


def check_public_id(public_id: str) -> None:
    """Refuse what cannot be the name of an asset, and what is the gateway's own. Raises INVALID_ARGUMENT."""
    parts = public_id.split("/")
    fits = 0 < len(public_id.encode("utf-8", "replace")) <= MAX_PUBLIC_ID_BYTES
    plain = public_id.isprintable() and public_id == public_id.strip() and "\\" not in public_id
    if not fits or not plain or is_hidden(public_id) or not all(part.strip(".") for part in parts):
        raise ApiError(INVALID_ARGUMENT, "public_id", message=f"public_id ({public_id[:300]}) is invalid")


def check_details(fields: Mapping[str, str], filename: str = "") -> None:
    """Refuse what is too long to be remembered of an asset, and told in each list. Raises INVALID_ARGUMENT."""
    told = {name: fields.get(name, "") for name in ("tags", "context", "display_name", "asset_folder", "folder")}
    for name, text in {**told, "filename": filename}.items():
        if len(text.encode("utf-8", "replace")) > MAX_DETAIL_BYTES:
            message = f"Invalid {name}: it is longer than {MAX_DETAIL_BYTES} bytes"
            raise ApiError(INVALID_ARGUMENT, name, message=message)


def parse_content_range(text: str) -> ContentRange:
    """Read `bytes FIRST-LAST/TOTAL`, where the total may be -1. Raises INVALID_ARGUMENT."""
    found = _CONTENT_RANGE.fullmatch(text.strip())
    if found:
        total = int(found[3]) if found[3].isdigit() else None
        start, end = int(found[1]), int(found[2]) + 1
        if start < end and (total is None or end <= total):
            return ContentRange(start, end, total)
    raise ApiError(INVALID_ARGUMENT, "Content-Range", message=f"Invalid Content-Range: {text[:100]}")


def with_preset(fields: Mapping[str, str], preset: Mapping[str, str], *, signed: bool) -> dict[str, str]:
    """Return an upload's parameters and its preset's: a signed upload's own ones win, else the preset's do.

    Without a signature it can say little beside its preset.
    """
    if signed:
        return {**preset, **fields}
    return {**{name: text for name, text in fields.items() if name in _UNSIGNED_MAY}, **preset}


def strings(document: Mapping[str, object]) -> dict[str, str]:
    """Return the values of a JSON object as a form would have carried them, its lists `joined`."""
    return {name: _text(name, value) for name, value in document.items() if value is not None}


def joined(name: str, *values: str) -> str:
    """Return the values of a list as one text: by `,`, as it is signed; public ids, which may hold that, by lines."""
    return ("\n" if name == PUBLIC_IDS else ",").join(values)


def public_ids(fields: Mapping[str, str]) -> list[str]:
    """Return the public ids that are named."""
    return [name for name in fields.get(PUBLIC_IDS, "").split("\n") if name]


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return joined(name, *(_text(name, each) for each in value))
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
