"""A table of TOML, or texts from the environment, as a frozen dataclass. Knows types; must not know any setting."""

from __future__ import annotations

import types
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gateway.credentials import Secret


def convert(kind: Any, value: Any, where: str, mistakes: list[str]) -> Any:
    """Convert a TOML value, or a text from the environment, to a field's type; a mistake gives None."""
    if is_dataclass(kind):
        return _convert_table(kind, value, where, mistakes)
    origin = get_origin(kind)
    if origin is tuple:
        items = [item.strip() for item in value.split(",")] if isinstance(value, str) else value
        if isinstance(items, list) and all(isinstance(item, str) for item in items):
            return tuple(items)
    elif origin is Literal and value in get_args(kind):
        return value
    elif origin not in (None, Literal, Union, types.UnionType) and isinstance(value, dict):
        return {name: convert(get_args(kind)[1], row, f"{where}.{name}", mistakes) for name, row in value.items()}
    elif origin is None and (converted := _convert_plain(kind, value)) is not None:
        return converted
    wanted = " or ".join(map(repr, get_args(kind))) if origin is Literal else _WANTED.get(origin or kind, "a table")
    mistakes.append(f"{where}: must be {wanted}")
    return None


_WANTED = {
    int: "a whole number that is not negative",
    float: "a number that is not negative",
    bool: "true or false",
    str: "a text",
    Secret: "a text",
    tuple: "a list of texts",
}


def _convert_plain(kind: Any, value: Any) -> Any:
    if kind in (str, Secret):
        return kind(value) if isinstance(value, str) else None
    if isinstance(value, bool) or kind is bool:
        words = {"true": True, "false": False, True: True, False: False}
        return words.get(value) if kind is bool and isinstance(value, bool | str) else None
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):  # OverflowError: larger than any float
        return None
    return number if number >= 0 and (kind is float or not isinstance(value, float)) else None


def _convert_table(kind: Any, value: Any, where: str, mistakes: list[str]) -> Any:
    if not isinstance(value, dict):
        mistakes.append(f"{where}: must be a table")
        return None
    hints = get_type_hints(kind)
    known = {item.name: item for item in fields(kind)}
    mistakes.extend(f"{where}{'.' if where else ''}{name}: unknown setting" for name in value if name not in known)
    given = {name: row for name, row in value.items() if name in known}
    for name, item in known.items():
        if name not in given and item.default is MISSING and item.default_factory is MISSING:
            mistakes.append(f"{where}.{name}: is needed")
            given[name] = ""
    return kind(
        **{
            name: convert(hints[name], row, f"{where}.{name}" if where else name, mistakes)
            for name, row in given.items()
        }
    )
