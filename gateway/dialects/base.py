"""The words every dialect speaks: intents, rendered answers, the Dialect protocol. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.errors import ApiError
    from gateway.report import QualityReport
    from gateway.request import Headers, RequestHead, Target


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
    """Pass the request to the store. The right `action` (IAM name) on the target is needed.

    When `translated` is false the store's answer goes back untouched; when it is true its headers go through
    `Dialect.translate_headers` and its errors through `Dialect.render_error`.
    """

    action: str
    store: StoreRequest
    translated: bool


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
    """What rendering may need to know beside the result. `resource` is `/bucket/key` as the client named it."""

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
        """Say what is asked. Raises ApiError for what this gateway cannot do."""
        ...

    def render_report(self, report: QualityReport, stored: StoredObject, context: AnswerContext, /) -> Rendered:
        """Render a score as the vendor does. The body is complete even for HEAD; sending leaves it out."""
        ...

    def render_error(self, error: ApiError, context: AnswerContext, /) -> Rendered:
        """Render an error as the vendor does."""
        ...

    def translate_headers(self, headers: Headers, context: AnswerContext, /) -> Headers:
        """Rename the store's answer headers to the vendor's."""
        ...
