"""The words every dialect speaks: intents, rendered answers, the Dialect protocol. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.errors import ApiError
    from gateway.report import QualityReport
    from gateway.request import Headers, RequestHead, Target

_ENTITY_TAG = re.compile(r'(?:W/)?"([^"]*)"|([^\s,"]+)')


@dataclass(frozen=True, slots=True)
class Rendered:
    """A whole answer: status, headers (Content-Length is added on sending), body."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """What to ask the store, in S3 terms; addressing, signing and hop-by-hop headers are the upstream's business.

    `raw_key` is percent-encoded; `raw_query` is without `?` and without the client's signature; `headers` are
    those that go on (lower-case names), without Host, signature, Content-Length and hop-by-hop ones.
    """

    method: str
    raw_key: str
    raw_query: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class Forward:
    """Pass the request to the store. The right `action` (IAM name) on the target is needed, and each of `also`.

    `also` names what a request's headers ask for beside its plain action, such as setting an ACL; reading the source
    of a copy is not among them, since that is a right on another object (`gateway.request.copy_source`).
    When `translated` is false the store's answer goes back untouched; when it is true its headers go through
    `Dialect.translate_headers` and its errors through `Dialect.render_error`.
    """

    action: str
    store: StoreRequest
    translated: bool
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Analyse:
    """Score a stored object. Every one of `actions` is needed. `version_id` is None for the current version."""

    actions: tuple[str, ...]
    version_id: str | None
    parameter: str  # the process parameter that asked for it, as the client named it


Intent = Forward | Analyse


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What the store said about an object that was scored (header values as they came, `""` when absent)."""

    etag: str
    last_modified: str
    storage_class: str = ""
    version_id: str = ""


@dataclass(frozen=True, slots=True)
class AnswerContext:
    """What rendering may need to know beside the result. `host` and `resource` (the path) are as the client sent."""

    request_id: str
    method: str
    host: str
    resource: str
    now: datetime
    elapsed_ms: int = 0
    public: bool = False  # the bucket answers anonymous clients: shared caches may keep the answer


class Dialect(Protocol):
    """A module that knows a vendor's language. `dialects/` holds one file per vendor, all with these names."""

    NAME: str
    SCHEMES: tuple[str, ...]  # names of the signature schemes whose claims this vendor's clients make

    def interpret(self, head: RequestHead, target: Target, /) -> Intent:
        """Say what is asked. Raises ApiError for what this gateway cannot do.

        The head's `raw_query` comes without the parameters of the client's claim: whoever verified them takes
        them out (`query_without`), so that no dialect needs to know a scheme.
        """
        ...

    def render_error(self, error: ApiError, context: AnswerContext, /) -> Rendered:
        """Render an error as the vendor does. The body is empty for HEAD."""
        ...

    def translate_headers(self, headers: Headers, context: AnswerContext, /) -> Headers:
        """Rename the store's answer headers (in any spelling) to the vendor's."""
        ...


class AnalysingDialect(Protocol):
    """A dialect whose `interpret` may answer Analyse: it says how a score is told. S3 has no words for one."""

    NAME: str

    def render_report(self, report: QualityReport, stored: StoredObject, context: AnswerContext, /) -> Rendered:
        """Render a score as the vendor does. The body is complete even for HEAD; sending leaves it out."""
        ...

    def render_not_modified(self, stored: StoredObject, model_version: str, context: AnswerContext, /) -> Rendered:
        """Render the 304 for a client that already holds this object's score by this model version."""
        ...


def derived_etag(stored: StoredObject, model_version: str) -> str:
    """Return the quoted ETag of an object's score: a new model version makes old answers stale.

    An object without an ETag gives `""`: a tag made of the model alone would make all such objects look equal.
    """
    opaque = stored.etag.removeprefix("W/").strip('"')
    return f'"{opaque}-score-{model_version}"' if opaque else ""


def not_modified(etag: str, if_none_match: str | None) -> bool:
    """Tell whether an If-None-Match header (a list, or `*`) names this ETag, by weak comparison.

    RFC 9110 section 13.1.2; tags without quotes, as some clients send them, count too.
    """
    if if_none_match is None or not etag:
        return False
    if if_none_match.strip() == "*":
        return True
    wanted = etag.removeprefix("W/").strip('"')
    return any(wanted in (match[1], match[2]) for match in _ENTITY_TAG.finditer(if_none_match))
