"""Amazon's dialect, the store's own: everything goes on untouched. Must not know other vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.dialects import rights
from gateway.dialects.answers import error_headers
from gateway.dialects.base import Forward, Rendered, StoreRequest
from gateway.dialects.extensions import refuse_extensions, refuse_reserved
from gateway.dialects.headers import end_to_end
from gateway.dialects.xml import DECLARATION, write

if TYPE_CHECKING:
    from gateway.dialects.base import AnswerContext, Intent
    from gateway.errors import ApiError
    from gateway.request import Headers, RequestHead, Target

NAME = "s3"
SCHEMES: tuple[str, ...] = ("aws_v4", "aws_v2")


def interpret(head: RequestHead, target: Target) -> Intent:
    """Forward whatever it is, as it is; raises ApiError only where no right can be named."""
    refuse_reserved(target.ref)
    headers = end_to_end(head.headers)
    names = head.parameter_names
    refuse_extensions(headers, names)
    told = () if head.method in rights.READING else (*headers, *_hoisted(head))
    return Forward(
        action=rights.action(head.method, target.ref, names),
        store=StoreRequest(head.method, target.raw_key, head.raw_query, headers),
        translated=False,
        also=rights.header_actions(head.method, target.ref, told) if told else (),
    )


def _hoisted(head: RequestHead) -> Headers:
    """Return the x-amz-* headers that a presigned URL carries as parameters: stores that take them act on them."""
    named = [(parameter.name.lower(), parameter.value) for parameter in head.parameters]
    return tuple([pair for pair in named if pair[0].startswith("x-amz-")])


def render_error(error: ApiError, context: AnswerContext) -> Rendered:
    """Render S3's error document; HEAD gets the headers alone."""
    headers = (("x-amz-request-id", context.request_id), *error_headers(error))
    if context.method == "HEAD":
        return Rendered(error.kind.status, headers, b"")
    elements = (
        ("Code", error.kind.code_for(NAME)),
        ("Message", error.message),
        *error.fields,
        ("Resource", context.resource),
        ("RequestId", context.request_id),
        ("HostId", context.host),
    )
    return Rendered(error.kind.status, headers, DECLARATION + write(("Error", elements)))


def translate_headers(headers: Headers, _context: AnswerContext) -> Headers:
    """Return the headers as they are: the store speaks this dialect already."""
    return headers
