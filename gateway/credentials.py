"""Who may do what: secrets, identities, statements, the key file. Pure; must not know signatures or where files are."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import translate
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

    from gateway.request import ObjectRef

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


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
    """One IAM-like rule: actions (`s3:Get*`) on resources (`bucket/prefix*`), `*` and `?` as wildcards.

    With `networks` it speaks only about requests from there. An address that nobody knows counts against the
    caller: it is in the networks of a deny and in none of an allow.
    """

    effect: Literal["allow", "deny"]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    networks: tuple[Network, ...] = ()

    def matches(self, action: str, ref: ObjectRef, address: Address | None) -> bool:
        """Tell whether this statement speaks about the action on the object (or on the bucket, key `""`)."""
        resource = f"{ref.bucket}/{ref.key}" if ref.key else ref.bucket
        return self.concerns(action, address) and (
            "*" in self.resources or any(_like(resource, pattern) for pattern in self.resources)
        )

    def concerns(self, action: str, address: Address | None) -> bool:
        """Tell whether this statement speaks about the action from this address, on whatever resource."""
        if not _is_among(action, self.actions):
            return False
        if address is None and self.networks:
            return self.effect == "deny"
        return not self.networks or any(address in network for network in self.networks)

    def covers_inside(self, bucket: str) -> bool:
        """Tell whether a resource is sure to match every key of the bucket."""
        return any(pattern.endswith("*") and _like(f"{bucket}/", pattern) for pattern in self.resources)

    def reaches_inside(self, bucket: str) -> bool:
        """Tell whether a resource might match some key of the bucket: its text before the first wildcard decides."""
        inside = f"{bucket}/"
        texts = [re.split(r"[*?]", pattern, maxsplit=1)[0] for pattern in self.resources]
        return any(text.startswith(inside) or inside.startswith(text) for text in texts)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Brackets are ordinary characters in keys, so fnmatch's sets are escaped. Its own cache holds 256 patterns.
    return re.compile(translate(pattern.replace("[", "[[]")))


def _like(text: str, pattern: str) -> bool:
    return _compiled(pattern).match(text) is not None


@lru_cache(maxsize=4096)
def _is_among(action: str, patterns: tuple[str, ...]) -> bool:
    return any(_like(action.lower(), pattern.lower()) for pattern in patterns)


def _network(text: str) -> Network:
    """Parse a CIDR range; one inside `::ffff:0:0/96` becomes IPv4, as addresses do. Raises ValueError."""
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped:
        return IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified (or anonymous) caller and its statements; deny wins, and silence is refusal.

    `upstream` names the store, and with it the key there, that this identity's requests are signed for; `""` leaves
    that to the bucket. With `score_headers` its plain reads of pictures tell the score in their headers.
    """

    name: str
    statements: tuple[Statement, ...] = ()
    upstream: str = ""
    score_headers: bool = False

    def allows(self, action: str, ref: ObjectRef, address: Address | None) -> bool:
        """Tell whether the statements permit the action (`s3:GetObject`, `oss:ProcessImm` ...) from this address."""
        effects = {statement.effect for statement in self.statements if statement.matches(action, ref, address)}
        return effects == {"allow"}

    def allows_throughout(self, action: str, bucket: str, address: Address | None) -> bool:
        """Tell whether the action is certainly permitted on each key of the bucket.

        True is a promise; False only says that the keys must be looked at one by one.
        """
        speaking = [statement for statement in self.statements if statement.concerns(action, address)]
        allowed = any(statement.effect == "allow" and statement.covers_inside(bucket) for statement in speaking)
        return allowed and not any(row.effect == "deny" and row.reaches_inside(bucket) for row in speaking)


ANONYMOUS = Identity("anonymous")
EVERYTHING = (Statement("allow", ("*",), ("*",)),)


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key: its id, its secret, whom it belongs to, and for temporary ones the token and the end.

    `kept` says how its secret lies in the key file: in plain text, sealed, or in a file of its own; or that it is no
    secret but the text of a public key (PEM), for CloudFront signatures and for nothing else.
    """

    access_key_id: str
    secret: Secret
    identity: Identity
    token: Secret | None = None
    expires_at: datetime | None = None
    kept: Literal["plain", "sealed", "file", "public"] = "plain"


Keyring = dict[str, Credential]  # by access key id


class KeyFileError(ValueError):
    """The key file is not usable; the text is one line that names every mistake and no secret."""


def parse_keys(
    text: str,
    read_secret_file: Callable[[str], str],
    *,
    open_sealed: Callable[[str], Secret] | None = None,
    upstreams: Container[str] | None = None,
    plain_refused: str = "",
) -> Keyring:
    """Parse a key file: `[[identity]] name, upstream, score_headers`, below each its keys and statements.

    An identity without statements may do nothing. `read_secret_file(path)` returns a secret's text or raises OSError
    or ValueError; `open_sealed(sealed)` returns what was sealed or raises ValueError (None: there is no master key);
    `upstreams` are the names that exist (None: any); `plain_refused` is the sentence why this file may hold no plain
    secret (`""`: it may). Raises KeyFileError with all mistakes at once.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of too many digits is a mere ValueError
        raise KeyFileError(f"not valid TOML: {error}") from None
    parser = _Parser(read_secret_file, open_sealed, upstreams)
    parser.refuse_unknown(document, {"identity"}, "the file")
    for position, table in enumerate(parser.tables(document, "identity", "the file"), start=1):
        parser.identity(table, f"identity {position}")
    if plain_refused and any(credential.kept == "plain" for credential in parser.keyring.values()):
        parser.mistakes.append(plain_refused)
    if parser.mistakes:
        raise KeyFileError("; ".join(parser.mistakes))
    return parser.keyring


# Where a secret may stand in a key's table, and what that is called.
_KEPT: Mapping[str, Literal["plain", "sealed", "file", "public"]] = {
    "secret": "plain",
    "secret_enc": "sealed",
    "secret_file": "file",
    "public_key": "public",
}


@dataclass(slots=True)
class _Parser:
    """Collects credentials and mistakes; after a mistake it goes on with some value of the right type."""

    read_secret_file: Callable[[str], str]
    open_sealed: Callable[[str], Secret] | None
    upstreams: Container[str] | None
    keyring: Keyring = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)

    def identity(self, table: Mapping[str, Any], where: str) -> None:
        name = self.text(table, "name", where)
        self.refuse_unknown(table, {"name", "upstream", "score_headers", "key", "statement"}, where)
        upstream = self.text(table, "upstream", where) if "upstream" in table else ""
        if upstream and self.upstreams is not None and upstream not in self.upstreams:
            self.mistakes.append(f"{where} ({name}): there is no [upstream.{upstream}]")
        rows = self.tables(table, "statement", where)
        score_headers = table.get("score_headers", False)
        if not isinstance(score_headers, bool):
            self.mistakes.append(f"{where} ({name}): score_headers must be true or false")
        statements = tuple(self.statement(row, f"{where} ({name})") for row in rows)
        identity = Identity(name, statements, upstream, score_headers is True)
        for row in self.tables(table, "key", where):
            credential = self.credential(row, identity)
            if credential.access_key_id in self.keyring:
                self.mistakes.append(f"access key id {credential.access_key_id!r} occurs twice")
            self.keyring[credential.access_key_id] = credential

    def statement(self, row: Mapping[str, Any], where: str) -> Statement:
        self.refuse_unknown(row, {"effect", "actions", "resources", "networks"}, where)
        effect = row.get("effect", "allow")
        if effect not in ("allow", "deny"):
            self.mistakes.append(f"{where}: effect must be 'allow' or 'deny'")
        return Statement(
            "deny" if effect == "deny" else "allow",
            self.texts(row, "actions", where),
            self.texts(row, "resources", where),
            self.networks(row, where) if "networks" in row else (),
        )

    def networks(self, row: Mapping[str, Any], where: str) -> tuple[Network, ...]:
        found = []
        for text in self.texts(row, "networks", where):
            try:
                found.append(_network(text))
            except ValueError as error:
                self.mistakes.append(f"{where}: networks: {error}")
        return tuple(found)

    def credential(self, row: Mapping[str, Any], identity: Identity) -> Credential:
        key_id = self.text(row, "id", f"a key of {identity.name}")
        where = f"key {key_id!r}"
        self.refuse_unknown(row, {"id", *_KEPT, "token", "expires"}, where)
        given = [name for name in _KEPT if name in row]
        if len(given) != 1:
            self.mistakes.append(
                f"{where}: exactly one of 'secret', 'secret_enc', 'secret_file' and 'public_key' is needed"
            )
            return Credential(key_id, Secret(""), identity)
        value = self.text(row, given[0], where)
        secret = self.secret(given[0], value, where) if value else Secret("")
        token = Secret(self.text(row, "token", where)) if "token" in row else None
        return Credential(key_id, secret, identity, token, self.expires(row, where), _KEPT[given[0]])

    def secret(self, name: str, value: str, where: str) -> Secret:
        try:
            match name:
                case "secret_enc":
                    return self.unsealed(value)
                case "secret_file":
                    return self.from_file(value)
                case _:
                    return Secret(value)
        except OSError as error:
            self.mistakes.append(f"{where}: cannot read secret_file {value}: {error.strerror}")
        except ValueError as error:
            self.mistakes.append(f"{where}: {error}")
        return Secret("")

    def unsealed(self, sealed: str) -> Secret:
        if self.open_sealed is None:
            raise KeyFileError("the secret is sealed, and keys.master_key is not set")
        return self.open_sealed(sealed)

    def from_file(self, path: str) -> Secret:
        text = self.read_secret_file(path).strip()
        if not text:
            raise KeyFileError(f"secret_file {path} is empty")
        return Secret(text)

    def expires(self, row: Mapping[str, Any], where: str) -> datetime | None:
        expires = row.get("expires")
        if expires is None:
            return None
        if isinstance(expires, datetime) and expires.tzinfo:
            try:
                return expires.astimezone(UTC)
            except OverflowError:  # at the ends of the calendar an offset leads out of it
                self.mistakes.append(f"{where}: 'expires' is no date and time of the years 1 to 9999 in UTC")
                return None
        self.mistakes.append(f"{where}: 'expires' must be a date and time with an offset")
        return None

    def tables(self, table: Mapping[str, Any], name: str, where: str) -> list[Mapping[str, Any]]:
        rows = table.get(name, [])
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            return rows
        self.mistakes.append(f"{where}: {name!r} must be a list of tables")
        return []

    def text(self, table: Mapping[str, Any], name: str, where: str) -> str:
        value = table.get(name)
        if isinstance(value, str) and value:
            return value
        self.mistakes.append(f"{where}: {name!r} must be a non-empty text")
        return ""

    def texts(self, table: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
        value = table.get(name)
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            return tuple(value)
        self.mistakes.append(f"{where}: {name!r} must be a non-empty list of texts")
        return ()

    def refuse_unknown(self, table: Mapping[str, Any], known: set[str], where: str) -> None:
        self.mistakes.extend(f"{where}: unknown key {name!r}" for name in table if name not in known)
