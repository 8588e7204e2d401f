"""The words every dialect speaks: intents, rendered answers, the Dialect protocol. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.dialects.hidden import MultipartSettings
    from gateway.dialects.xml import Element
    from gateway.errors import ApiError
    from gateway.report import Result
    from gateway.request import Headers, ObjectRef, RequestHead, Target

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
class Rating:
    """What the answer's headers are to say about the object that has this ETag; `""`: whichever it has."""

    etag: str
    headers: Headers

    def told(self, status: int, etag: str) -> Headers:
        """Return the headers for a whole answer; none when the object has changed in the meantime."""
        return self.headers if status == 200 and self.etag in ("", etag) else ()


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A document that takes the place of the store's one.

    `etag`: what goes into the header of that name; None sends none, `""` asks for it to be found out at the store,
    put into the store's document, and this to be written again.
    """

    document: bytes
    etag: str | None = None


class MultipartStep(Enum):
    """What a request does to a multipart upload, or to all of a bucket."""

    INITIATE = auto()
    UPLOAD_PART = auto()
    COPY_PART = auto()
    LIST_PARTS = auto()
    COMPLETE = auto()
    ABORT = auto()
    LIST_UPLOADS = auto()


@dataclass(frozen=True, slots=True)
class MultipartCall:
    """One call about a multipart upload. `upload_id` is `""` where there is none yet, `part_number` 0 (else 1..10000).

    `ref` is the target under the client's names; its key is `""` for LIST_UPLOADS.
    """

    step: MultipartStep
    ref: ObjectRef
    upload_id: str = ""
    part_number: int = 0


@dataclass(frozen=True, slots=True)
class Forward:
    """Pass the request to the store. The right `action` (IAM name) on the target is needed, and each of `also`.

    `also` names what a request's headers ask for beside its plain action, such as setting an ACL; reading the source
    of a copy is not among them, since that is a right on another object (`gateway.request.copy_source`).
    When `translated` is false the store's answer goes back untouched; when it is true its headers go through
    `Dialect.translate_headers` and its errors through `Dialect.render_error`. `request_rewrite` makes the store's
    document of the client's one (b"": no body) and raises ApiError; `answer_rewrite` the client's of the store's one.
    """

    action: str
    store: StoreRequest
    translated: bool
    also: tuple[str, ...] = ()
    rating: Rating | None = None
    request_rewrite: Callable[[bytes], bytes] | None = None
    answer_rewrite: Callable[[Element], Rewritten] | None = None
    multipart: MultipartCall | None = None
    uploads: MultipartSettings | None = None  # how the gateway takes `multipart`; None leaves it to the store


@dataclass(frozen=True, slots=True)
class Analyse:
    """Hand a stored object to a processor. Every one of `actions` is needed on it.

    `version_id` is None for the current version. With `save_to` (under the client's names) the answer is stored there,
    which needs the right to write there as well.
    """

    actions: tuple[str, ...]
    version_id: str | None
    parameter: str  # the process parameter that asked for it, as the client named it
    processor: str = "score"
    save_to: ObjectRef | None = None
    small_decides: bool = False  # nothing but its smallness is told of a small picture


Intent = Forward | Analyse


class StoredObject(NamedTuple):
    """What is told of an object that was processed, `""` when absent.

    `etag` is the result's own (`derived_etag`), the others are as the store said them.
    """

    etag: str
    last_modified: str
    storage_class: str = ""
    version_id: str = ""


class AnswerContext(NamedTuple):
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
        them out (`without_parameters`), so that no dialect needs to know a scheme.
        """
        ...

    def render_error(self, error: ApiError, context: AnswerContext, /) -> Rendered:
        """Render an error as the vendor does. The body is empty for HEAD."""
        ...

    def translate_headers(self, headers: Headers, context: AnswerContext, /) -> Headers:
        """Rename the store's answer headers (in any spelling) to the vendor's."""
        ...


class VendorDialect(Protocol):
    """A vendor's own API beside S3: reserved paths, its journeys (`journeys.vendor_api`), its errors."""

    NAME: str  # under which the settings tell where it is answered

    def reserves(self, head: RequestHead, /) -> bool:
        """Tell whether the path is one of this API's; whether the request carries another's claim is seen before."""
        ...

    def render_error(self, error: ApiError, context: AnswerContext, /) -> Rendered:
        """Render an error as the vendor does. The body is empty for HEAD."""
        ...


class AnalysingDialect(Protocol):
    """A dialect whose `interpret` may answer Analyse: it says how a result is told. S3 has no words for one."""

    NAME: str

    def render_result(self, result: Result, stored: StoredObject, context: AnswerContext, /) -> Rendered:
        """Render a result as the vendor does. The body is complete even for HEAD; sending leaves it out."""
        ...

    def render_not_modified(self, stored: StoredObject, context: AnswerContext, /) -> Rendered:
        """Render the 304 for a client that already holds this result."""
        ...


def derived_etag(etag: str, variant: str) -> str:
    """Return the quoted ETag of what was made of an object; `variant` tells by what, in which version.

    An object without an ETag gives `""`: a tag made of the variant alone would make all such objects look equal.
    """
    opaque = etag.removeprefix("W/").strip('"')
    return f'"{opaque}-{variant}"' if opaque else ""


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
