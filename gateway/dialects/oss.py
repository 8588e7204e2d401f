"""Aliyun's dialect: x-oss-process, its JSON, its errors. Must not know how signatures or scores are made."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final

from gateway.dialects import headers as header_maps
from gateway.dialects.answers import error_headers, score_headers
from gateway.dialects.base import Analyse, Rendered
from gateway.dialects.extensions import refuse_reserved
from gateway.dialects.process import OSS_ASYNC_PROCESS, OSS_PROCESS, oss_parameters, refuse_conflict
from gateway.dialects.rights import read_action
from gateway.dialects.translated import Vocabulary, forward
from gateway.dialects.xml import DECLARATION, write
from gateway.errors import (
    INVALID_ARGUMENT,
    NO_ACTION,
    NO_SUCH_STYLE,
    NOT_IMPLEMENTED,
    UNKNOWN_ACTION,
    ApiError,
)

if TYPE_CHECKING:
    from gateway.dialects.base import AnswerContext, Intent, StoredObject
    from gateway.report import QualityReport
    from gateway.request import Headers, RequestHead, Target

NAME: Final = "oss"
SCHEMES: tuple[str, ...] = ("oss_v1", "oss_v2", "oss_v4")

_SCORE = "image/score"
_SCORE_ACTION = "oss:ProcessImm"
# Documented by the vendor (IMG and IMM, "Parameters of image processing"), not offered here.
_OTHER_ACTIONS = frozenset(
    {
        "resize",
        "crop",
        "rotate",
        "format",
        "quality",
        "watermark",
        "info",
        "average-hue",
        "blur",
        "bright",
        "contrast",
        "sharpen",
        "circle",
        "rounded-corners",
        "indexcrop",
        "interlace",
        "auto-orient",
        "deblindwatermark",
        "blindwatermark",
        "snapshot",
        "labels",
        "faces",
        "bodies",
        "codes",
        "cropping-suggestions",
        "addresses",
        "segment",
        "detect",
    }
)
_OTHER_SERVICES = frozenset({"video", "audio", "doc", "text", "hls", "imm"})
_WORDS = Vocabulary(
    vendor="OSS",
    headers=header_maps.OSS,
    read_subresources=frozenset({"acl", "asyncFetch", "live", "objectInfo", "symlink", "tagging", "uploadId", "vod"}),
    ignored=frozenset({"callback", "callback-var", "x-oss-request-payer", "x-oss-traffic-limit"}),
)
_MAX_ERROR_BYTES = 4095  # oss2 reads 4096 bytes of an error and no more


def interpret(head: RequestHead, target: Target) -> Intent:
    """Score for `x-oss-process=image/score`, the same call on S3 for plain object calls; ApiError for the rest."""
    refuse_reserved(target.ref)
    if not oss_parameters(head):
        return forward(head, target, _WORDS)
    refuse_conflict(head)
    if head.has_parameter(OSS_ASYNC_PROCESS):
        raise ApiError(NOT_IMPLEMENTED, OSS_ASYNC_PROCESS, message="Scoring is synchronous only: use x-oss-process.")
    if head.method == "POST":
        raise ApiError(NOT_IMPLEMENTED, "process object", message="Processing by POST is not supported.")
    if head.method not in ("GET", "HEAD"):
        raise ApiError(INVALID_ARGUMENT, head.method, message="x-oss-process needs the method GET.")
    if not target.ref.key:
        raise ApiError(INVALID_ARGUMENT, "no key", message="x-oss-process applies to an object, not to a bucket.")
    _check_process(head.parameter(OSS_PROCESS) or "")
    version_id = head.parameter("versionId") or None
    return Analyse((read_action(version_id), _SCORE_ACTION), version_id, OSS_PROCESS)


def _check_process(process: str) -> None:
    """Accept `image/score` and nothing else. Raises ApiError with a sentence that says what is wrong."""
    if process == _SCORE:
        return
    if not process:
        raise ApiError(NO_ACTION)
    if "|" in process:
        raise _invalid("Processes cannot be piped: image/score stands alone.")
    service, _, actions = process.partition("/")
    if service == "style":
        raise ApiError(NO_SUCH_STYLE)
    if service in _OTHER_SERVICES:
        raise ApiError(NOT_IMPLEMENTED, process, message=f"The processing service {service} is not offered here.")
    if service != "image":
        raise _invalid("The process names an unknown processing service.")
    _check_image_actions([action.partition(",")[::2] for action in actions.split("/")], process)


def _check_image_actions(actions: list[tuple[str, str]], process: str) -> None:
    """Raise ApiError for image actions (name, parameters) that are not exactly one `score` without parameters."""
    names = [name for name, _ in actions]
    if not names[0]:
        raise ApiError(NO_ACTION)
    if "score" in names and len(names) > 1:
        raise _invalid("image/score cannot be chained with other actions.")
    if names[0] == "score":
        raise _invalid("image/score takes no parameters.")
    if names[0] in _OTHER_ACTIONS:
        raise ApiError(NOT_IMPLEMENTED, process, message=f"The image action {names[0]} is not offered here.")
    raise ApiError(UNKNOWN_ACTION, process)


def _invalid(message: str) -> ApiError:
    return ApiError(INVALID_ARGUMENT, message=message)


def render_report(report: QualityReport, stored: StoredObject, context: AnswerContext) -> Rendered:
    """Render the score as Aliyun's JSON, with exactly three decimals."""
    headers = (
        *_score_headers(stored, report.model_version, context),
        ("Content-Type", "application/json;charset=utf-8"),
    )
    body = f'{{"ImageScore":{{"OverallQualityScore":{report.score:.3f}}},"RequestId":{json.dumps(context.request_id)}}}'
    return Rendered(200, headers, body.encode("ascii"))


def render_not_modified(stored: StoredObject, model_version: str, context: AnswerContext) -> Rendered:
    """Render the 304: the headers of the score without those that describe its content."""
    return Rendered(304, _score_headers(stored, model_version, context), b"")


def _score_headers(stored: StoredObject, model_version: str, context: AnswerContext) -> Headers:
    version = (("x-oss-version-id", stored.version_id),) if stored.version_id else ()
    return (
        *_request_headers(context),
        *_object_headers(stored.storage_class),
        *version,
        *score_headers(stored, model_version, context),
    )


def _request_headers(context: AnswerContext) -> Headers:
    return (("x-oss-request-id", context.request_id), ("x-oss-server-time", str(context.elapsed_ms)))


def _object_headers(storage_class: str) -> Headers:
    return (
        ("x-oss-object-type", "Normal"),
        ("x-oss-storage-class", header_maps.storage_class(header_maps.OSS, storage_class)),
    )


def render_error(error: ApiError, context: AnswerContext) -> Rendered:
    """Render Aliyun's error document, below 4 KiB; HEAD carries it in a header, where the SDKs look for it."""
    kind = error.kind
    document = _error_document(error, context)
    number = (("x-oss-ec", kind.ec),) if kind.ec else ()
    headers = (*_request_headers(context), *number, *error_headers(error, context))
    if context.method == "HEAD":
        return Rendered(kind.status, (*headers, ("x-oss-err", base64.b64encode(document).decode("ascii"))), b"")
    return Rendered(kind.status, headers, document)


def _error_document(error: ApiError, context: AnswerContext) -> bytes:
    """Write the document, giving up extra fields from the last one on until it fits.

    The clips keep the other elements below the bound even where every character takes five bytes (`&amp;`).
    """
    number = (("EC", error.kind.ec),) if error.kind.ec else ()
    elements = (
        ("Code", error.kind.code_for(NAME)[:64]),
        ("Message", error.message[:400]),
        ("RequestId", context.request_id[:64]),
        ("HostId", context.host[:200]),
        *number,
    )
    fields = error.fields
    while len(document := DECLARATION + write(("Error", (*elements, *fields)))) > _MAX_ERROR_BYTES and fields:
        fields = fields[:-1]
    return document


def translate_headers(headers: Headers, context: AnswerContext) -> Headers:
    """Rename the store's answer headers and add what Aliyun's SDKs look for."""
    translated = header_maps.to_client(header_maps.OSS, headers)
    names = {name.lower() for name, _ in translated}
    added = _request_headers(context)
    if context.method in ("GET", "HEAD") and "etag" in names:
        added = (*added, *_object_headers(""))
    return (*(pair for pair in added if pair[0] not in names), *translated)
