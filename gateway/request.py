"""A request as data: head, parameters, address of the object. Knows HTTP's syntax; must not know sockets or vendors."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeVar, overload
from urllib.parse import quote_from_bytes, unquote_to_bytes

from gateway.errors import INVALID_ARGUMENT, INVALID_REQUEST, ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Headers = tuple[tuple[str, str], ...]  # (lower-case name, value), in wire order

# RFC 9110 section 7.6.1 and its predecessors: these speak about one connection and are never passed on.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


_COPY_SOURCE = "x-amz-copy-source"
_SHORT = 128  # characters; what is longer is not worth remembering
_WORTH_REMEMBERING = 4096  # the same, of a query
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")


def percent_decode(text: str) -> str:
    """Decode `%XX` once; `+` stays a plus. Bytes that are not UTF-8 survive as surrogates (PEP 383)."""
    if "%" not in text and text.isascii():
        return text
    return _decoded(text) if len(text) <= _SHORT else _decoded.__wrapped__(text)


@lru_cache(maxsize=1024)  # a client's credential in signed URLs is the same all day
def _decoded(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def percent_encode(text: str, safe: str = "") -> str:
    """Encode everything but RFC 3986's unreserved characters and `safe`, upper-case hex; inverse of decode."""
    if _UNRESERVED.fullmatch(text):
        return text
    return quote_from_bytes(text.encode("utf-8", "surrogateescape"), safe=safe)


class Parameter(NamedTuple):
    """One query parameter: the exact text as sent, and its name and value, decoded (no `=`: empty value)."""

    raw: str
    name: str
    value: str


def parse_query(raw_query: str) -> tuple[Parameter, ...]:
    """Split at `&`, then at the first `=`; empty pieces (`a&&b`) count as nothing."""
    if not raw_query:
        return ()
    found = []
    for piece in raw_query.split("&"):
        name, _, value = piece.partition("=")
        if "%" in piece or not piece.isascii():
            name, value = percent_decode(name), percent_decode(value)
        if piece:
            found.append(Parameter(piece, name, value))
    return tuple(found)


_Owner = TypeVar("_Owner")
_Value = TypeVar("_Value")


class _Once(Generic[_Owner, _Value]):
    """A property found out once for each object. `functools.cached_property` does the same, and locks until 3.12."""

    def __init__(self, find: Callable[[_Owner], _Value]) -> None:
        self._find = find
        self._name = find.__name__
        self.__doc__ = find.__doc__

    @overload
    def __get__(self, owner: None, kind: type[_Owner]) -> _Once[_Owner, _Value]: ...

    @overload
    def __get__(self, owner: _Owner, kind: type[_Owner]) -> _Value: ...

    def __get__(self, owner: _Owner | None, kind: type[_Owner]) -> _Once[_Owner, _Value] | _Value:
        if owner is None:
            return self
        value = owner.__dict__[self._name] = self._find(owner)
        return value


@dataclass(frozen=True)
class RequestHead:
    """Everything a request says before its body.

    `raw_path` and `raw_query` are the target as sent (ASCII, percent-encoded, without `?`). `authority` is the
    host the client addressed, port included, and equals the `host` header (an absolute-form target wins over a
    differing Host field, RFC 9112 section 3.2.2).
    """

    method: str
    raw_path: str
    raw_query: str
    authority: str
    headers: Headers
    peer: str = ""
    secure: bool = False

    @_Once
    def parameters(self) -> tuple[Parameter, ...]:
        """Return the query as parameters, in wire order."""
        return parse_query(self.raw_query)

    @_Once
    def parameter_names(self) -> tuple[str, ...]:
        """Return the query's names, decoded, in wire order; what follows from them alone is remembered `by_names`."""
        return tuple([name for _, name, _ in self.parameters])

    @_Once
    def _values(self) -> Mapping[str, tuple[str, ...]]:
        return _by_name([(name, value.strip(" \t")) for name, value in self.headers])

    def header(self, name: str) -> str | None:
        """Return the value of a header (lower-case name), repeated ones joined by `,`; None when it is absent."""
        values = self._values.get(name)
        return None if values is None else values[0] if len(values) == 1 else ",".join(values)

    def has_header(self, name: str) -> bool:
        """Tell whether a header (lower-case name) is there, whatever it says."""
        return name in dict(self.headers)

    def one_header(self, name: str) -> str:
        """Return a header that may occur once only; absent and empty are both `""`. Raises INVALID_REQUEST."""
        values = self._values.get(name, ())
        if len(values) > 1:
            raise ApiError(INVALID_REQUEST, f"header {name} sent {len(values)} times")
        return values[0] if values else ""

    @_Once
    def _parameter_values(self) -> Mapping[str, tuple[str, ...]]:
        return _by_name([(name, value) for _, name, value in self.parameters])

    def has_parameter(self, *names: str) -> bool:
        """Tell whether a query parameter of exactly one of these decoded names is there."""
        return not self._parameter_values.keys().isdisjoint(names)

    def parameter_values(self, name: str) -> tuple[str, ...]:
        """Return the decoded values of all query parameters of exactly this decoded name."""
        return self._parameter_values.get(name, ())

    def parameter(self, name: str) -> str | None:
        """Return the decoded value of a parameter that may occur once; None when absent. Raises INVALID_REQUEST."""
        values = self._parameter_values.get(name, ())
        if len(values) > 1:
            raise ApiError(INVALID_REQUEST, f"parameter {name} sent {len(values)} times")
        return values[0] if values else None

    def without_parameters(self, names: frozenset[str]) -> RequestHead:
        """Return the head without the parameters of these lower-case names; what was found in its headers stays found.

        The others stay as they were sent, but for empty pieces (`a&&b`) between them.
        """
        kept = [each for each in self.parameters if each.name.lower() not in names] if names else self.parameters
        raw_query = "&".join([each.raw for each in kept])
        if raw_query == self.raw_query:
            return self
        head = object.__new__(RequestHead)
        found = head.__dict__
        found.update(self.__dict__)
        found["raw_query"], found["parameters"] = raw_query, tuple(kept)
        for of_query in ("parameter_names", "_parameter_values"):
            found.pop(of_query, None)
        return head

    def with_query_of(self, other: RequestHead) -> RequestHead:
        """Return the head with another one's query, about which everything is found out once: in the other one."""
        head = object.__new__(RequestHead)
        head.__dict__.update(
            self.__dict__,
            raw_query=other.raw_query,
            parameters=other.parameters,
            parameter_names=other.parameter_names,
            _parameter_values=other._parameter_values,
        )
        return head

    @property
    def host(self) -> str:
        """The authority without its port, lower-case."""
        return _host(self.authority) if len(self.authority) <= _SHORT else _host.__wrapped__(self.authority)


def _by_name(pairs: list[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    found = {name: (value,) for name, value in pairs}
    if len(found) < len(pairs):
        found.clear()
        for name, value in pairs:
            found[name] = (*found.get(name, ()), value)
    return found


def by_names(function: Callable[[tuple[str, ...]], _Value]) -> Callable[[RequestHead], _Value]:
    """Answer for a request what follows from its parameters' names alone; clients send the same few sets of them."""
    remembered = lru_cache(maxsize=512)(function)

    @wraps(function)
    def of_request(head: RequestHead) -> _Value:
        names = head.parameter_names
        return remembered(names) if len(head.raw_query) <= _WORTH_REMEMBERING else function(names)

    return of_request


def with_blanks(head: RequestHead) -> RequestHead:
    """Return the head with each `+` of its query as `%20`.

    The Python SDKs of Aliyun and Tencent sign a blank as `%20` and send it as `+`; whoever means a plus sends `%2B`.
    """
    return replace(head, raw_query=head.raw_query.replace("+", "%20")) if "+" in head.raw_query else head


def split_port(authority: str) -> tuple[str, str]:
    """Split `host:port` into host and port (`""` when there is none); understands `[v6]:port`."""
    host, colon, port = authority.rpartition(":")
    if colon and (port.isdigit() or not port) and not (host.count(":") and not host.endswith("]")):
        return host, port
    return authority, ""


@lru_cache(maxsize=1024)  # the same few hosts come again and again
def _host(authority: str) -> str:
    return split_port(authority)[0].lower()


def query_without(parameters: Iterable[Parameter], names: frozenset[str]) -> str:
    """Join the parameters as they were sent, leaving out those whose lower-case name is in `names`."""
    return "&".join(parameter.raw for parameter in parameters if parameter.name.lower() not in names)


class ObjectRef(NamedTuple):
    """One bucket and one key, decoded. Key `""` is the bucket itself; bucket `""` is the service."""

    bucket: str
    key: str


class Target(NamedTuple):
    """Where a request points: the one (bucket, key) under the client's names, and how the bucket was given.

    `raw_key` is the key as it stood in the target (still encoded, no leading slash), so that it can be forwarded
    untouched. `addressed`: `path` (/bucket/key), `host` (bucket.suffix), `bound` (a host name that the
    configuration binds to exactly one bucket).
    """

    ref: ObjectRef
    raw_key: str
    addressed: Literal["path", "host", "bound"]


@dataclass(frozen=True, slots=True)
class CopySource:
    """The object that a copy reads, in one version of it (None: the current one)."""

    ref: ObjectRef
    version_id: str | None


def copy_source(headers: Headers) -> CopySource | None:
    """Return what an x-amz-copy-source header (`[/]bucket/key[?versionId=..]`) reads; None without one.

    Raises INVALID_ARGUMENT for several of them, or for one that names no bucket or no key: what a store would make
    of those is not what was looked at here.
    """
    if _COPY_SOURCE not in dict(headers):
        return None
    values = [value for name, value in headers if name == _COPY_SOURCE]
    path, _, query = values[0].partition("?")
    raw_bucket, _, raw_key = path.removeprefix("/").partition("/")
    bucket, key = percent_decode(raw_bucket), percent_decode(raw_key)
    if len(values) > 1 or not bucket or not key or "/" in bucket:
        raise ApiError(INVALID_ARGUMENT, "copy source", message="Copy Source must mention the source bucket and key.")
    version = next((item.value for item in parse_query(query) if item.name == "versionId"), None)
    return CopySource(ObjectRef(bucket, key), version)


def rename_copy_source(headers: Headers, name_at_store: Callable[[str], str]) -> Headers:
    """Put the store's own bucket name into an x-amz-copy-source header; the key stays as it was sent."""
    if _COPY_SOURCE not in dict(headers):
        return headers

    def renamed(value: str) -> str:
        bucket, slash, key = value.removeprefix("/").partition("/")
        name = percent_decode(bucket)
        return value if name_at_store(name) == name else f"{percent_encode(name_at_store(name))}{slash}{key}"

    return tuple((name, renamed(value) if name == _COPY_SOURCE else value) for name, value in headers)


@dataclass(frozen=True, slots=True)
class HostMap:
    """What the configuration knows about host names: suffixes per dialect, and hosts bound to one bucket."""

    suffixes: tuple[tuple[str, str], ...]  # (lower-case suffix without leading dot, dialect), longest first
    bound: Mapping[str, str]  # lower-case host -> bucket

    def suffix_of(self, host: str) -> tuple[str, str] | None:
        """Return the (suffix, dialect) under which a host lies, None when it lies under none."""
        for row in self.suffixes:
            if host == row[0] or host.endswith("." + row[0]):
                return row
        return None


def locate(head: RequestHead, hosts: HostMap) -> Target:
    """Derive the one (bucket, key) that a request addresses, from host, path and configuration alone."""
    host = head.host
    bound = hosts.bound.get(host)
    if bound is not None:
        return _target(bound, head.raw_path.removeprefix("/"), "bound")
    suffix = hosts.suffix_of(host)
    if suffix is not None and host != suffix[0]:
        return _target(host.removesuffix("." + suffix[0]), head.raw_path.removeprefix("/"), "host")
    raw_bucket, _, raw_key = head.raw_path.removeprefix("/").partition("/")
    return _target(percent_decode(raw_bucket), raw_key, "path")


def _target(bucket: str, raw_key: str, addressed: Literal["path", "host", "bound"]) -> Target:
    return Target(ObjectRef(bucket, percent_decode(raw_key)), raw_key, addressed)
