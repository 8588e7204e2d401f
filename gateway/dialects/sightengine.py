"""Sightengine's dialect: check.json for models=quality, its JSON, its errors. Pure.

Source: Sightengine, "Image quality detection", "API reference", "Errors". Of its error codes one number is published;
the others are this gateway's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gateway.dialects.answers import error_headers
from gateway.dialects.base import Rendered
from gateway.errors import (
    ACCESS_DENIED,
    ALLOWANCE_SPENT,
    ENTITY_TOO_LARGE,
    EXPIRED_TOKEN,
    IMAGE_DAMAGED,
    IMAGE_FILE_TOO_LARGE,
    IMAGE_SIDE_TOO_LONG,
    IMAGE_TOO_LARGE,
    INVALID_ACCESS_KEY_ID,
    INVALID_ARGUMENT,
    INVALID_TOKEN,
    NO_SUCH_BUCKET,
    NO_SUCH_KEY,
    NOT_AN_IMAGE,
    SCORING_TOO_SLOW,
    SIGNATURE_DOES_NOT_MATCH,
    SLOW_DOWN,
    URL_NOT_ALLOWED,
    URL_NOT_AN_IMAGE,
    URL_TOO_LARGE,
    URL_UNREACHABLE,
    ApiError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.dialects.base import AnswerContext
    from gateway.errors import ErrorKind
    from gateway.report import QualityReport
    from gateway.request import RequestHead

NAME = "sightengine"
ACTION = "sightengine:Check"
MEDIA = "media"
CHECK = "/1.0/check.json"

_MODEL = "quality"
_OTHER_PATHS = frozenset({"/1.0/check-workflow.json", "/1.0/feedback.json"})
_MAX_MODELS = 50
_CREDENTIALS = ("argument_error", 1, 401)
_MEDIA_KINDS: Mapping[ErrorKind, int] = {
    kind: 20 + number
    for number, kind in enumerate(
        (
            *(NOT_AN_IMAGE, IMAGE_DAMAGED, IMAGE_TOO_LARGE, IMAGE_SIDE_TOO_LONG, IMAGE_FILE_TOO_LARGE),
            *(SCORING_TOO_SLOW, ENTITY_TOO_LARGE, NO_SUCH_KEY, NO_SUCH_BUCKET),
            *(URL_NOT_ALLOWED, URL_UNREACHABLE, URL_NOT_AN_IMAGE, URL_TOO_LARGE),
        )
    )
}
"""Type, code and status of each error; what is not among them goes by its status."""
_ERRORS: Mapping[ErrorKind, tuple[str, int, int]] = {
    INVALID_ACCESS_KEY_ID: _CREDENTIALS,
    SIGNATURE_DOES_NOT_MATCH: _CREDENTIALS,
    INVALID_TOKEN: _CREDENTIALS,
    EXPIRED_TOKEN: _CREDENTIALS,
    INVALID_ARGUMENT: ("argument_error", 2, 400),
    ACCESS_DENIED: ("credentials_error", 3, 403),
    SLOW_DOWN: ("usage_limit", 4, 429),
    ALLOWANCE_SPENT: ("usage_limit", 5, 429),
    **{kind: ("media_error", code, 400) for kind, code in _MEDIA_KINDS.items()},
}
_WRONG_SECRET = "Incorrect API user or API secret"  # noqa: S105 # the vendor's sentence


@dataclass(frozen=True, slots=True)
class Check:
    """What a request asks for: a URL to look at, or None for the file that came with it."""

    url: str | None


def reserves(head: RequestHead) -> bool:
    """Tell whether the path is one of this API's."""
    return head.raw_path == CHECK or head.raw_path in _OTHER_PATHS or head.raw_path.startswith("/1.0/video/")


def check_path(head: RequestHead) -> None:
    """Raise INVALID_ARGUMENT for a path or a method that is not answered here."""
    if head.raw_path != CHECK:
        raise _argument(f"{head.raw_path} is not available here: only {CHECK} is.")
    if head.method not in ("GET", "POST"):
        raise _argument("Only GET and POST are possible.")


def read_fields(fields: Mapping[str, str], *, has_media: bool, other_models: Literal["ignore", "error"]) -> Check:
    """Say what the parameters ask for. Raises INVALID_ARGUMENT."""
    models = [model.strip() for model in fields.get("models", "").split(",") if model.strip()]
    if not models:
        raise _argument("The parameter models is missing.")
    others = [model for model in models if model != _MODEL]
    if _MODEL not in models or len(models) > _MAX_MODELS or (others and other_models == "error"):
        raise _argument(f"The model {(others or models)[0][:100]} is not available here: only {_MODEL} is.")
    url = fields.get("url", "")
    if has_media == bool(url):
        raise _argument("Exactly one of the parameters media and url is needed.")
    return Check(url or None)


def render_result(report: QualityReport, uri: str, context: AnswerContext) -> Rendered:
    """Render a score; `uri` is the picture's URL, or the name of its file."""
    document = {
        "status": "success",
        "request": _request(context, operations=1),
        "quality": {"score": round(report.score, 2)},
        "media": {"id": f"med_{context.request_id.lower()}", "uri": uri},
    }
    return _render(200, document, context)


def render_error(error: ApiError, context: AnswerContext) -> Rendered:
    """Render an error: its type, its code, its message."""
    known = _ERRORS.get(error.kind)
    by_status = ("api_error", 50, error.kind.status) if error.kind.status >= 500 else ("request_error", 10, 400)
    kind, code, status = known or by_status
    message = _WRONG_SECRET if known is _CREDENTIALS else error.message
    document = {
        "status": "failure",
        "request": _request(context, operations=0),
        "error": {"type": kind, "code": code, "message": message},
    }
    more = tuple(pair for pair in error_headers(error) if pair[0] not in ("Content-Type", "Cache-Control"))
    rendered = _render(status, document, context)
    return Rendered(status, (*rendered.headers, *more), rendered.body)


def _argument(message: str) -> ApiError:
    return ApiError(INVALID_ARGUMENT, message=message)


def _request(context: AnswerContext, *, operations: int) -> dict[str, Any]:
    return {
        "id": f"req_{context.request_id.lower()}",
        "timestamp": context.now.timestamp(),
        "operations": operations,
    }


def _render(status: int, document: Mapping[str, Any], context: AnswerContext) -> Rendered:
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Rendered(status, headers, b"" if context.method == "HEAD" else json.dumps(document).encode())
