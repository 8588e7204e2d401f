"""Cloudinary's upload and admin API: its paths, and how errors are told. Pure.

Source: Cloudinary, "Upload API reference", "Admin API reference". The statuses are those that both SDKs know: npm's
takes any other one for a broken server.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from gateway.dialects.answers import error_headers
from gateway.dialects.base import Rendered
from gateway.errors import (
    ALLOWANCE_SPENT,
    EXPIRED_TOKEN,
    IMAGE_DAMAGED,
    INVALID_ACCESS_KEY_ID,
    INVALID_TOKEN,
    NOT_AN_IMAGE,
    REQUEST_EXPIRED,
    SIGNATURE_DOES_NOT_MATCH,
    SLOW_DOWN,
    UNSUPPORTED_AUTHORIZATION,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gateway.dialects.base import AnswerContext
    from gateway.errors import ApiError, ErrorKind
    from gateway.request import Headers, RequestHead

NAME = "cloudinary"
_PATH = re.compile(r"/v1_1/[^/]+/.+")
_MAX_TOLD = 1000  # characters of a message in a header
_KNOWN_STATUSES = frozenset({400, 401, 403, 404, 409, 420, 429, 500})
_STATUSES: Mapping[ErrorKind, int] = {
    INVALID_ACCESS_KEY_ID: 401,
    SIGNATURE_DOES_NOT_MATCH: 401,
    INVALID_TOKEN: 401,
    EXPIRED_TOKEN: 401,
    UNSUPPORTED_AUTHORIZATION: 401,
    REQUEST_EXPIRED: 400,
    SLOW_DOWN: 420,
    ALLOWANCE_SPENT: 420,
}
_MESSAGES: Mapping[ErrorKind, str] = {NOT_AN_IMAGE: "Invalid image file", IMAGE_DAMAGED: "Invalid image file"}


def reserves(head: RequestHead) -> bool:
    """Tell whether the path is one of this API's."""
    return _PATH.fullmatch(head.raw_path) is not None


def status_of(kind: ErrorKind) -> int:
    """Return the status that this vendor's clients understand for an error."""
    status = _STATUSES.get(kind, kind.status)
    if status in _KNOWN_STATUSES:
        return status
    return 500 if status >= 500 else 400


def render_error(error: ApiError, context: AnswerContext) -> Rendered:
    """Render an error as the vendor does, the message in the body and in X-Cld-Error; beside it the request id."""
    message = _MESSAGES.get(error.kind, error.message)
    headers = tuple(pair for pair in error_headers(error) if pair[0] != "Content-Type")
    told = " ".join(message[:_MAX_TOLD].split())
    told = told if told.isascii() and told.isprintable() else json.dumps(told)[1:-1]
    body = json.dumps({"error": {"message": message, "request_id": context.request_id.lower()}}).encode()
    all_headers = (*headers, *told_headers(context), ("X-Cld-Error", told))
    return Rendered(status_of(error.kind), all_headers, b"" if context.method == "HEAD" else body)


def told_headers(context: AnswerContext) -> Headers:
    """Return what every answer of this API says."""
    return ("Content-Type", "application/json; charset=utf-8"), ("X-Request-Id", context.request_id.lower())


def render(document: Mapping[str, Any], context: AnswerContext, *more: tuple[str, str]) -> Rendered:
    """Render a successful answer."""
    headers = (*told_headers(context), ("Cache-Control", "private, no-store"), *more)
    return Rendered(200, headers, json.dumps(document).encode())
