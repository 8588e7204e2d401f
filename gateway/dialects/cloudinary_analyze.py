"""Cloudinary's Analyze API: its paths, what a request asks for, answers, tasks, errors, notifications. Pure.

Source: Cloudinary, "Analyze API reference"; the schema in GitHub cloudinary/analysis-js, version 0.2.0; the SDKs'
`api.analyze` and `analysis.analyze_uri`, which call an older path.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gateway.dialects.answers import error_headers
from gateway.dialects.base import Rendered
from gateway.dialects.cloudinary import status_of
from gateway.dialects.cloudinary_quality import band
from gateway.errors import (
    ACCESS_DENIED,
    INVALID_ARGUMENT,
    MODEL_NOT_AVAILABLE,
    NO_SUCH_RESOURCE,
    ApiError,
)
from gateway.request import percent_decode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from gateway.dialects.base import AnswerContext
    from gateway.report import QualityReport
    from gateway.request import Headers, RequestHead
    from gateway.tasks import Status, Task

NAME = "cloudinary-analyze"
MODEL = "image_quality"
ACTION = "cloudinary:Analyze"

# The API guide's path first; the SDKs' one has cloud and API the other way round, and its model in the body.
_PATH = re.compile(r"/v2/(?:analysis/(?P<cloud>[^/]+)|(?P<old_cloud>[^/]+)/analysis)/(?P<rest>.+)")
_TASK_ID = re.compile(r"[0-9a-f]{64}")
_MAX_SOURCE = 8192
_CATEGORY_CODES = {
    "user_error": "MA_00001",
    "auth_error": "MA_00002",
    "rate_limit_error": "MA_00003",
    "server_error": "MA_00004",
}

Source = tuple[Literal["uri", "asset_id"], str]


@dataclass(frozen=True, slots=True)
class AnalyzeRoute:
    """What path and method say. `model` is None where the body names it; `task_id` is None for a new analysis."""

    cloud: str
    model: str | None = None
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class AnalyzeRequest:
    """What a body asks for; `notification_url` is `""` where it names none."""

    source: Source
    is_async: bool
    notification_url: str


@dataclass(frozen=True, slots=True)
class Limit:
    """What of an allowance is left after a request."""

    used_by_request: int
    remaining: int
    limit: int
    resets_at: datetime


def reserves(head: RequestHead) -> bool:
    """Tell whether the path is one of this API's."""
    return _PATH.fullmatch(head.raw_path) is not None


def route(head: RequestHead) -> AnalyzeRoute:
    """Read the path. Raises NO_SUCH_RESOURCE for one that leads nowhere."""
    found = _PATH.fullmatch(head.raw_path)
    if found is not None:
        cloud = percent_decode(found["cloud"] or found["old_cloud"])
        match head.method, [percent_decode(part) for part in found["rest"].split("/")]:
            case "POST", ["analyze", "uri"] if found["old_cloud"]:
                return AnalyzeRoute(cloud)
            case "POST", ["analyze", model] if model:
                return AnalyzeRoute(cloud, model)
            case (("GET" | "HEAD"), ["tasks", task_id]) if _TASK_ID.fullmatch(task_id):
                return AnalyzeRoute(cloud, task_id=task_id)
            case (("GET" | "HEAD"), ["tasks", _]):
                raise no_such_task()
    raise ApiError(NO_SUCH_RESOURCE, f"{head.method} {head.raw_path}", message="There is no such path in this API.")


def read_request(asked: AnalyzeRoute, body: bytes) -> AnalyzeRequest:
    """Read a body, in the guide's form (`source`) or in the SDKs' one (`uri`, `analysis_type`).

    Unknown members mean nothing. Raises INVALID_ARGUMENT, MODEL_NOT_AVAILABLE.
    """
    document = _object(body)
    model = asked.model if asked.model is not None else _text(document, "analysis_type")
    if model != MODEL:
        message = f"The model {model[:100]} is not available here: only {MODEL} is."
        raise ApiError(MODEL_NOT_AVAILABLE, message=message)
    places = document if asked.model is None else document.get("source")
    if not isinstance(places, dict):
        raise _wrong("source must be an object with uri or asset_id")
    kinds: tuple[Literal["uri", "asset_id"], ...] = ("uri", "asset_id")
    given = [(kind, _text(places, kind)) for kind in kinds if places.get(kind) is not None]
    if len(given) != 1 or not given[0][1]:
        raise _wrong("exactly one of uri and asset_id is needed")
    if len(given[0][1]) > _MAX_SOURCE:
        raise _wrong("the source is too long")
    is_async = document.get("async")
    if not isinstance(is_async, bool | None):
        raise _wrong("async must be true or false")
    return AnalyzeRequest(given[0], bool(is_async), _text(document, "notification_url"))


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise _wrong("the body is not JSON") from None
    if not isinstance(document, dict):
        raise _wrong("the body must be a JSON object")
    return document


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or any("\ud800" <= character <= "\udfff" for character in value):
        raise _wrong(f"{name} must be a text")
    return value


def _wrong(what: str) -> ApiError:
    return ApiError(INVALID_ARGUMENT, what, message=f"Invalid request: {what}.")


def no_such_task() -> ApiError:
    """Return the refusal for a task that nobody knows, or that is another's."""
    return ApiError(NO_SUCH_RESOURCE, "task", message="There is no such task.")


def analysis_data(entity: str, report: QualityReport) -> dict[str, Any]:
    """Return the result of an analysis; `entity` is the source as it was given."""
    analysis = {
        "quality": band(report.score),
        "score": round(report.score, 5),
        "confidence": round(report.confidence, 5),
        "model_version": int(report.model_version),
    }
    return {"entity": entity, "analysis": analysis}


def render_result(data: Mapping[str, Any], limits: Sequence[Limit], context: AnswerContext) -> Rendered:
    """Render the answer to a synchronous request."""
    return _render(200, {"data": data, "limits": limits_data(limits), "request_id": _id(context)}, context)


def render_accepted(task_id: str, context: AnswerContext) -> Rendered:
    """Render the promise of an asynchronous one."""
    return _render(202, {"data": {"task_id": task_id, "status": "pending"}, "request_id": _id(context)}, context)


def render_task(task_id: str, status: Status, context: AnswerContext) -> Rendered:
    """Render how far a task is; the result comes by notification only."""
    return _render(200, {"data": {"task_id": task_id, "status": status}, "request_id": _id(context)}, context)


def limits_data(limits: Sequence[Limit]) -> dict[str, Any] | None:
    """Return the allowances that a request counted against, None where there are none."""
    items = [
        {
            "type": MODEL,
            "used_by_request": limit.used_by_request,
            "remaining": limit.remaining,
            "limit": limit.limit,
            "reset_time": limit.resets_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for limit in limits
    ]
    return {"items": items} if items else None


def notification(
    task: Task, data: Mapping[str, Any] | None, limits: Sequence[Limit], error: ApiError | None = None
) -> str:
    """Return the text that tells a task's outcome: its data, or the error that it ended with."""
    document = {
        "notification_type": "analyze",
        "operation_name": "analyze",
        "operation_type": "single",
        "request_id": task.request_id,
        "task_id": task.task_id,
        "http_status": _status(error) if error else 200,
        "data": data,
        "limits": limits_data(limits),
        "error": _error(error, task.request_id) if error else None,
    }
    return json.dumps(document)


def render_error(error: ApiError, context: AnswerContext) -> Rendered:
    """Render an error by the schema."""
    more = tuple(pair for pair in error_headers(error) if pair[0] != "Content-Type")
    return _render(_status(error), {"error": _error(error, _id(context))}, context, more)


def _status(error: ApiError) -> int:
    status = status_of(error.kind)
    return 429 if status == 420 else 400 if status == 409 else status


def _error(error: ApiError, request_id: str) -> dict[str, Any]:
    status = _status(error)
    if status == 401 or error.kind is ACCESS_DENIED:
        category = "auth_error"
    elif status == 429:
        category = "rate_limit_error"
    else:
        category = "server_error" if status >= 500 else "user_error"
    return {
        "category": category,
        "code": _CATEGORY_CODES[category],
        "message": error.message,
        "details": {"reason": error.kind.code},
        "request_id": request_id,
    }


def _id(context: AnswerContext) -> str:
    return context.request_id.lower()


def _render(status: int, document: Mapping[str, Any], context: AnswerContext, more: Headers = ()) -> Rendered:
    headers = (("Content-Type", "application/json; charset=utf-8"), ("X-Request-Id", _id(context)))
    private = () if any(name.lower() == "cache-control" for name, _ in more) else (("Cache-Control", "no-store"),)
    body = b"" if context.method == "HEAD" else json.dumps(document).encode()
    return Rendered(status, (*headers, *private, *more), body)
