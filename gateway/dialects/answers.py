"""What the answers of all dialects have in common. Knows HTTP's rules for caches; must not know any vendor's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.dialects.base import AnswerContext, StoredObject
    from gateway.errors import ApiError
    from gateway.request import Headers


def result_headers(stored: StoredObject, context: AnswerContext) -> Headers:
    """Return what a result and its 304 both say: validators, and who may keep the answer."""
    told = (
        ("ETag", stored.etag),
        ("Last-Modified", stored.last_modified),
        ("Cache-Control", "" if context.public else "private"),
    )
    return tuple((name, value) for name, value in told if value)


def error_headers(error: ApiError) -> Headers:
    """Return what every error says: when to come back, and that caches must not keep a refusal or a failure.

    The error's own headers, such as the Content-Range of a 416, come last.
    """
    kind = error.kind
    keep = kind.status not in (401, 403) and kind.status < 500
    told = (
        ("Content-Type", "application/xml"),
        ("Retry-After", str(kind.retry_after_s) if kind.retry_after_s > 0 else ""),
        ("Cache-Control", "" if keep else "no-store"),
        *error.headers,
    )
    return tuple((name, value) for name, value in told if value)
