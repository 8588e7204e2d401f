"""The journey of a form upload: fields, proof, then the file, kept until the form has ended well, then one PUT.

The claim is in the body, so identification must read its beginning; nothing of the file is kept before the signer is
known and allowed, and the store hears of it only when the whole form has been judged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway import spans
from gateway.auth import identify, post_policy
from gateway.auth.base import Unsigned
from gateway.auth.post_policy import SizeRange
from gateway.body.filters import plan
from gateway.body.form import FilePart, FormReader, parse_boundary
from gateway.dialects.post_form import as_put, location, media_type, render_success
from gateway.errors import (
    ENTITY_TOO_LARGE,
    ENTITY_TOO_SMALL,
    INVALID_ARGUMENT,
    MALFORMED_POST_REQUEST,
    MULTIPLE_CLAIMS,
    ApiError,
)
from gateway.journeys.forward import answer_headers
from gateway.stores.documents import store_error
from gateway.stores.spool import in_time, spooled
from gateway.stores.upstream import Body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from datetime import datetime

    from gateway.auth.identify import Verified
    from gateway.body.filters import BodyFilter
    from gateway.credentials import Keyring
    from gateway.dialects.base import AnswerContext, Dialect, StoreRequest
    from gateway.request import RequestHead, Target
    from gateway.stores.upstream import StoreBucket
    from gateway.wire import Exchange

_MEDIA_TYPE = "multipart/form-data"
_FILENAME = "${filename}"
_IDLE_S = 60.0  # longest silence of the client inside its form


@dataclass(frozen=True, slots=True, repr=False)
class PostForm:
    """A form whose fields have come, by lower-case name, and whose file is about to come; never shown as a whole."""

    fields: Mapping[str, str]
    file: FilePart
    _reader: FormReader
    _begun: bytes  # what of the file came along with the fields
    _chunks: AsyncIterator[bytes]

    @property
    def schemes(self) -> tuple[str, ...]:
        """The names of the schemes of which the form carries a claim."""
        return post_policy.recognised(self.fields)

    async def contents(self, body_filter: BodyFilter) -> AsyncIterator[bytes]:
        """Yield the file's bytes through the filter; the form must end well. Raises ApiError."""
        yield body_filter.feed(self._begun)
        async for chunk in self._chunks:
            yield body_filter.feed(self._reader.feed(chunk))
        self._reader.finish()
        yield body_filter.finish()


@dataclass(frozen=True, slots=True)
class ProvenForm:
    """A form whose signer is known, and whose policy permits it: the PUT it stands for, and the sizes permitted."""

    form: PostForm
    verified: Verified
    head: RequestHead
    target: Target
    size: SizeRange


def is_form(head: RequestHead, target: Target) -> bool:
    """Tell whether the request is a form upload: a POST of multipart/form-data on a bucket itself."""
    media = (head.header("content-type") or "").lower()
    on_bucket = bool(target.ref.bucket) and not target.ref.key and not head.has_parameter("delete")
    return head.method == "POST" and on_bucket and media.startswith(_MEDIA_TYPE)


async def begin(exchange: Exchange, head: RequestHead, target: Target) -> PostForm | None:
    """Read a form up to its file; None for any other request, which stays untouched.

    Raises MULTIPLE_CLAIMS for a form with a claim outside of it, INVALID_ARGUMENT for one with a query, and what
    reading it raises.
    """
    if not is_form(head, target):
        return None
    if identify.recognised(head) or head.one_header("authorization"):
        raise ApiError(MULTIPLE_CLAIMS, "a claim beside a form", message="A form is authenticated by its fields alone.")
    if head.parameters:
        raise ApiError(INVALID_ARGUMENT, "query", message="A form upload takes no query parameters.")
    reader = FormReader(parse_boundary(head.one_header("content-type")))
    chunks = in_time(exchange.body(), _IDLE_S)
    async for chunk in chunks:
        begun = reader.feed(chunk)
        if reader.file is not None:
            return PostForm(_expanded(reader.fields, reader.file), reader.file, reader, begun, chunks)
    raise ApiError(MALFORMED_POST_REQUEST, "the form ends before its file")


def _expanded(fields: Mapping[str, str], file: FilePart) -> Mapping[str, str]:
    """Put the file's name where fields ask for it; the policy is judged, as by S3, on what comes of that."""
    return {name: value.replace(_FILENAME, file.filename) for name, value in fields.items()}


def prove(
    form: PostForm,
    head: RequestHead,
    target: Target,
    dialect: Dialect,
    keyring: Keyring,
    now: datetime,
    max_life_s: float,
) -> ProvenForm:
    """Say who signed the form, and judge it by its policy, which may live for at most `max_life_s` seconds (0: any).

    Raises ApiError unless everything is right.
    """
    found = post_policy.find_claim(form.fields, head)
    with spans.part("verify"):
        verified = identify.identify((head,), found, target, keyring, now)
    put, put_target = as_put(dialect.NAME, form.fields, form.file.content_type, head, target)
    if verified.claim is None:
        return ProvenForm(form, verified, put, put_target, SizeRange())
    media = media_type(dialect.NAME, form.fields, form.file.content_type)
    judged = {**form.fields, "content-type": media} if media else form.fields
    policy = post_policy.judge(judged, verified.claim, target, now)
    identify.check_life(replace(verified.claim, expires_at=policy.expires_at), now, max_life_s)
    return ProvenForm(form, verified, put, put_target, policy.size)


async def upload(
    exchange: Exchange,
    proven: ProvenForm,
    request: StoreRequest,
    store: StoreBucket,
    dialect: Dialect,
    context: AnswerContext,
) -> None:
    """Take the file in and send it as the request's body when the form has ended; render the store's answer.

    Raises ENTITY_TOO_LARGE beyond the policy's range or beyond what may be kept aside, ENTITY_TOO_SMALL, and whatever
    reading the form and asking the store raise.
    """
    planned = plan(Unsigned(), request.headers, None)
    size, fields = proven.size, proven.form.fields
    highest = min(exchange.spool_bytes if size.max_bytes is None else size.max_bytes, exchange.spool_bytes)
    too_large = ApiError(ENTITY_TOO_LARGE, f"more than {highest}", fields=(("MaxSizeAllowed", str(highest)),))
    async with spooled(proven.form.contents(planned.body_filter), highest, too_large) as (kept, length):
        if length < size.min_bytes:
            sizes = (("ProposedSize", str(length)), ("MinSizeAllowed", str(size.min_bytes)))
            raise ApiError(ENTITY_TOO_SMALL, f"{length} bytes", fields=sizes)
        body = Body(kept, length, planned.payload)
        async with store.open(replace(request, headers=planned.headers), body) as answer:
            if answer.status >= 400:
                raise await store_error(answer)
            headers = answer_headers(dialect.translate_headers(answer.headers, context))
    await exchange.send(render_success(fields, proven.target.ref, location(proven.head), headers))
