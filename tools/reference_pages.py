"""Writes docs/settings.md, docs/errors.md and docs/commands.md from the code: `make reference`.

What stands beside a setting in the code, as a comment, is its description; so there is one place to change.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import io
import json
import tokenize
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from gateway import errors
from gateway.__main__ import _parser
from gateway.credentials import Secret
from gateway.errors import ErrorKind
from gateway.live_settings import is_live
from gateway.settings import _SHORT, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

DOCS = Path(__file__).resolve().parent.parent / "docs"
_WRITTEN = "<!-- Written from the code: do not edit, run `make reference`. -->"
_TYPES = {
    int: "whole number",
    float: "number",
    bool: "true or false",
    str: "text",
    Secret: "text, secret",
    tuple: "list of texts",
    dict: "table of texts",
}


@dataclass(frozen=True)
class Section:
    """One table of the settings file: its name (`[clouds.NAME]`), and the dataclass that holds it."""

    name: str
    kind: Any


def sections(kind: Any = Settings, name: str = "") -> Iterator[Section]:
    """Walk through the tables of the settings, in the order of the code."""
    if name:
        yield Section(name, kind)
    for field, hint in get_type_hints(kind).items():
        inner = _inner(hint)
        if is_dataclass(inner):
            place = field if inner is hint else f"{field}.NAME"
            yield from sections(inner, f"{name}.{place}" if name else place)


def settings_page() -> str:
    """Return docs/settings.md."""
    short = "\n".join(f"| `{variable}` | `{'.'.join(place)}` |" for variable, place in _SHORT.items())
    parts = [_SETTINGS_HEAD.format(written=_WRITTEN, short=short)]
    names: dict[Any, list[str]] = {}
    for section in sections():
        names.setdefault(section.kind, []).append(section.name)
    for kind, alike in names.items():
        rows = "".join(_setting_rows(kind, alike))
        if rows:
            title = f"## {', '.join(f'`[{name}]`' for name in alike)}\n\n{inspect.getdoc(kind)}\n"
            parts.append(f"{title}\n| setting | type | default | live | what it is |\n|---|---|---|---|---|\n{rows}")
    return "\n".join(parts)


_SETTINGS_HEAD = """\
# Settings

{written}

Defaults, then the TOML file (`--config FILE`, else `GATEWAY_CONFIG`), then the environment: each setting is also the
variable `GATEWAY_SECTION__FIELD`, with two underscores between the names (`GATEWAY_UPSTREAM__MAIN__ENDPOINT`); lists
are separated by commas there. In `upstream`, `keys`, `tasks`, `cache` and `telemetry` the same name with `_FILE` behind
it names a file that holds the value (`GATEWAY_UPSTREAM__MAIN__SECRET_FILE`). Names of files in the TOML file start
where that file is. Unknown names are errors. `NAME` is a name of your choice. `gateway check-config` lists every
mistake, `gateway show-config` what is in force.

Sizes are in bytes, names that end in `_s` in seconds. [config/gateway.toml](../config/gateway.toml) is a sample to
start from.

What is `live` changes without a restart: edit the file, then send SIGHUP to the process that was started first (`kill
-HUP`). [operations.md](operations.md#new-settings-without-a-restart) says what is kept and what is told.

| short variable | means |
|---|---|
{short}
| `GATEWAY_CONFIG` | the TOML file |
| `GATEWAY_SECRET` | for `gateway presign` alone: the secret of `--access-key` |
"""


def _setting_rows(kind: Any, sections_alike: Sequence[str]) -> Iterator[str]:
    hints, told = get_type_hints(kind), comments(kind)
    for field in fields(kind):
        if not is_dataclass(_inner(hint := hints[field.name])):
            (live,) = {is_live(f"{name}.{field.name}") for name in sections_alike}
            first = f"| `{field.name}` | {_type(hint)} | {_default(field)} | {'yes' if live else ''} |"
            yield f"{first} {_cell(told[field.name])} |\n"


def _inner(hint: Any) -> Any:
    """Return what a table of NAMEs holds, else the type itself."""
    return get_args(hint)[-1] if get_origin(hint) not in (None, tuple, Literal) else hint


def _type(hint: Any) -> str:
    match get_origin(hint):
        case None:
            return _TYPES[hint]
        case origin if origin is Literal:
            return " or ".join(f"`{json.dumps(value)}`" for value in get_args(hint))
        case origin if origin is tuple:
            return _TYPES[tuple]
        case _:
            return _TYPES[dict]


def _default(field: Any) -> str:
    value = field.default_factory() if field.default_factory is not MISSING else field.default
    if value is MISSING:
        return "needed"
    if isinstance(value, Secret):
        value = value.reveal()
    if isinstance(value, tuple):
        value = list(value)
    return f"`{json.dumps(value)}`"


def comments(kind: Any) -> Mapping[str, str]:
    """Return what stands behind each field of a dataclass, or above it, as a comment in its source.

    Fields that are tables of their own are left out.
    """
    source = dedent(inspect.getsource(kind))
    marks = {
        token.start[0]: (token.string.lstrip("# "), not token.line[: token.start[1]].strip())
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found, hints = {}, get_type_hints(kind)
    (body,) = ast.parse(source).body
    for node in getattr(body, "body", ()):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if is_dataclass(_inner(hints[node.target.id])):
                continue
            line = node.lineno - 1
            above: list[str] = []
            while line in marks and marks[line][1]:
                above.insert(0, marks[line][0])
                line -= 1
            behind = [marks[node.end_lineno or node.lineno][0]] if (node.end_lineno or node.lineno) in marks else []
            found[node.target.id] = " ".join([*above, *behind])
    return found


def error_kinds() -> Mapping[str, ErrorKind]:
    """Return the table of errors, by the names of its constants."""
    return {name: value for name, value in vars(errors).items() if isinstance(value, ErrorKind)}


def errors_page() -> str:
    """Return docs/errors.md."""
    rows = "".join(
        f"| {kind.status} | `{kind.code}` | {_code(kind.oss)} | {_code(kind.cos)} | {kind.ec} "
        f"| {_cell(kind.message)} | {kind.retry_after_s or ''} |\n"
        for kind in error_kinds().values()
    )
    return _ERRORS_HEAD.format(written=_WRITTEN) + rows


_ERRORS_HEAD = """\
# Errors

{written}

Every error that the gateway itself makes, as S3, OSS and COS clients see it: XML with a code, a sentence and the
request id, which also stands in the access line of the log. An empty cell means: the same code as S3's. A sentence
may be replaced by one with figures. Errors of the store pass through with their own status, code and sentence.

Cloudinary's and Sightengine's clients get the same refusals in their own JSON and with the statuses that their SDKs
know: [cloudinary.md](cloudinary.md), [analyze-and-sightengine.md](analyze-and-sightengine.md).

| status | code | OSS's code | COS's code | OSS's EC | sentence | Retry-After, s |
|---|---|---|---|---|---|---|
"""


def commands_page() -> str:
    """Return docs/commands.md."""
    parts = [_COMMANDS_HEAD.format(written=_WRITTEN)]
    for name, (text, parser) in commands().items():
        shown = " ".join(_words(action) for action in parser._actions if action.dest != "help")  # noqa: SLF001
        rows = "".join(
            f"| `{_cell(_name(action))}` | {_cell(action.help or _PLACES.get(action.dest, ''))} |\n"
            for action in parser._actions  # noqa: SLF001
            if action.dest != "help"
        )
        title = f"## `gateway {name}`\n\n{text[0].upper()}{text[1:]}.\n\n```\ngateway {name} {shown}\n```\n"
        parts.append(f"{title}\n| word | means |\n|---|---|\n{rows}")
    return "\n".join(parts)


_PLACES = {"paths": "a file, a folder, or `s3://bucket/prefix`", "bucket": "its name", "key": "the object's"}
_COMMANDS_HEAD = """\
# Commands

{written}

`gateway COMMAND --help` prints the same. Without `--config` a command takes the file that `GATEWAY_CONFIG` names,
else the environment alone. Secrets come from files or the environment, never from the command line. A mistake in the
settings is exit status 1, a mistake in the words 2. More about `score`: [score.md](score.md).

`serve` and `demo` end at Ctrl-C or SIGTERM when the requests that run have ended ([operations.md](operations.md)). A
second Ctrl-C or SIGTERM cuts all of them off at once.
"""


def commands() -> Mapping[str, tuple[str, argparse.ArgumentParser]]:
    """Return each command's one sentence and its parser."""
    (choices,) = [action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    told = {action.dest: action.help or "" for action in choices._choices_actions}  # noqa: SLF001
    return {name: (told[name], parser) for name, parser in choices.choices.items()}


def _name(action: argparse.Action) -> str:
    value = action.metavar or ("|".join(action.choices) if action.choices else action.dest.upper())
    if not action.option_strings:
        return str(value) if action.metavar or action.choices else action.dest.upper()
    return action.option_strings[0] if action.nargs == 0 else f"{action.option_strings[0]} {value}"


def _words(action: argparse.Action) -> str:
    name = _name(action) + ("..." if action.nargs == "+" else "")
    return f"[{name}]" if action.option_strings else name


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "errors.md": errors_page,
    "commands.md": commands_page,
}


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())
        print(f"written: docs/{name}")


if __name__ == "__main__":
    main()
