"""Who may do what: secrets, identities, statements, the key file. Pure; must not know requests or signatures."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.request import ObjectRef


class Secret:
    """A text that never shows itself: `repr` and `str` are redacted, only `reveal()` gives it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret text, to be fed to a hash and to nothing else."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class Statement:
    """One IAM-like rule: actions (`s3:Get*`) on resources (`bucket/prefix*`), `*` and `?` as wildcards."""

    effect: Literal["allow", "deny"]
    actions: tuple[str, ...]
    resources: tuple[str, ...]

    def matches(self, action: str, ref: ObjectRef) -> bool:
        """Tell whether this statement speaks about the action on the object (or on the bucket, key `""`)."""
        resource = f"{ref.bucket}/{ref.key}" if ref.key else ref.bucket
        return any(_like(action.lower(), pattern.lower()) for pattern in self.actions) and any(
            _like(resource, pattern) for pattern in self.resources
        )


def _like(text: str, pattern: str) -> bool:
    """Match with `*` and `?` only: brackets are ordinary characters in keys, so fnmatch's sets are escaped."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified (or anonymous) caller and its statements; deny wins, and silence is refusal."""

    name: str
    statements: tuple[Statement, ...] = ()

    def allows(self, action: str, ref: ObjectRef) -> bool:
        """Tell whether the statements permit the action (`s3:GetObject`, `oss:ProcessImm` ...) on the object."""
        effects = [statement.effect for statement in self.statements if statement.matches(action, ref)]
        return "allow" in effects and "deny" not in effects


ANONYMOUS = Identity("anonymous")
EVERYTHING = (Statement("allow", ("*",), ("*",)),)


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key: its id, its secret, whom it belongs to, and for temporary ones the token and the end."""

    access_key_id: str
    secret: Secret
    identity: Identity
    token: Secret | None = None
    expires_at: datetime | None = None


Keyring = dict[str, Credential]  # by access key id


class KeyFileError(ValueError):
    """The key file is not usable; the text names every mistake and no secret."""


def parse_keys(text: str, read_secret_file: Callable[[str], str]) -> Keyring:
    """Parse a key file: `[[identity]] name`, `[[identity.key]] id, secret | secret_file`, `[[identity.statement]]`.

    An identity without statements may do nothing. `read_secret_file(path)` returns a secret's text; whatever
    OSError it raises is reported as a mistake. Raises KeyFileError with all mistakes at once.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise KeyFileError(f"not valid TOML: {error}") from None
    mistakes: list[str] = [f"unknown table or key {name!r}" for name in document if name != "identity"]
    keyring: Keyring = {}
    for position, table in enumerate(_tables(document, "identity", "the file", mistakes), start=1):
        where = f"identity {position}"
        name = _text(table, "name", where, mistakes)
        _refuse_unknown(table, {"name", "key", "statement"}, where, mistakes)
        statements = tuple(
            _statement(row, f"{where} ({name})", mistakes) for row in _tables(table, "statement", where, mistakes)
        )
        for row in _tables(table, "key", where, mistakes):
            credential = _credential(row, Identity(name, statements), read_secret_file, mistakes)
            if credential.access_key_id in keyring:
                mistakes.append(f"access key id {credential.access_key_id!r} occurs twice")
            keyring[credential.access_key_id] = credential
    if mistakes:
        raise KeyFileError("; ".join(mistakes))
    return keyring


def _tables(table: Mapping[str, Any], name: str, where: str, mistakes: list[str]) -> list[Mapping[str, Any]]:
    rows = table.get(name, [])
    if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
        return rows
    mistakes.append(f"{where}: {name!r} must be a list of tables")
    return []


def _text(table: Mapping[str, Any], name: str, where: str, mistakes: list[str]) -> str:
    value = table.get(name)
    if isinstance(value, str) and value:
        return value
    mistakes.append(f"{where}: {name!r} must be a non-empty text")
    return ""


def _texts(table: Mapping[str, Any], name: str, where: str, mistakes: list[str]) -> tuple[str, ...]:
    value = table.get(name)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return tuple(value)
    mistakes.append(f"{where}: {name!r} must be a non-empty list of texts")
    return ()


def _refuse_unknown(table: Mapping[str, Any], known: set[str], where: str, mistakes: list[str]) -> None:
    mistakes.extend(f"{where}: unknown key {name!r}" for name in table if name not in known)


def _statement(row: Mapping[str, Any], where: str, mistakes: list[str]) -> Statement:
    _refuse_unknown(row, {"effect", "actions", "resources"}, where, mistakes)
    effect = row.get("effect", "allow")
    if effect not in ("allow", "deny"):
        mistakes.append(f"{where}: effect must be 'allow' or 'deny'")
    return Statement(
        "deny" if effect == "deny" else "allow",
        _texts(row, "actions", where, mistakes),
        _texts(row, "resources", where, mistakes),
    )


def _credential(
    row: Mapping[str, Any], identity: Identity, read_secret_file: Callable[[str], str], mistakes: list[str]
) -> Credential:
    key_id = _text(row, "id", f"a key of {identity.name}", mistakes)
    where = f"key {key_id!r}"
    _refuse_unknown(row, {"id", "secret", "secret_file", "token", "expires"}, where, mistakes)
    if ("secret" in row) == ("secret_file" in row):
        mistakes.append(f"{where}: exactly one of 'secret' and 'secret_file' is needed")
        return Credential(key_id, Secret(""), identity)
    if "secret" in row:
        secret = _text(row, "secret", where, mistakes)
    else:
        secret = _from_file(_text(row, "secret_file", where, mistakes), read_secret_file, where, mistakes)
    token = _text(row, "token", where, mistakes) if "token" in row else ""
    expires = row.get("expires")
    if expires is not None and not (isinstance(expires, datetime) and expires.tzinfo):
        mistakes.append(f"{where}: 'expires' must be a date and time with an offset")
        expires = None
    ends = expires.astimezone(UTC) if expires else None
    return Credential(key_id, Secret(secret), identity, Secret(token) if token else None, ends)


def _from_file(path: str, read: Callable[[str], str], where: str, mistakes: list[str]) -> str:
    try:
        text = read(path).strip()
    except OSError as error:
        mistakes.append(f"{where}: cannot read secret_file {path}: {error.strerror}")
        return ""
    if not text:
        mistakes.append(f"{where}: secret_file {path} is empty")
    return text
