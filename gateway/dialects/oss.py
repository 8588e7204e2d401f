"""Aliyun's dialect: x-oss-process, its JSON, its errors. Must not know how signatures or scores are made."""

from __future__ import annotations

import base64
import json
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING, Final, assert_never

from gateway.dialects import headers as header_maps
from gateway.dialects import oss_process
from gateway.dialects.answer_documents import OSS_ANSWERS
from gateway.dialects.answers import error_headers, result_headers
from gateway.dialects.base import Analyse, Rendered
from gateway.dialects.extensions import refuse_reserved
from gateway.dialects.process import OSS_ASYNC_PROCESS, OSS_PROCESS, oss_parameters, refuse_conflict
from gateway.dialects.rights import read_action
from gateway.dialects.translated import Vocabulary, forward
from gateway.dialects.xml import DECLARATION, write
from gateway.errors import INVALID_ARGUMENT, NOT_IMPLEMENTED, ApiError
from gateway.report import AverageColour, ImageInfo, QualityReport
from gateway.request import with_blanks

if TYPE_CHECKING:
    from gateway.dialects.base import AnswerContext, Intent, StoredObject
    from gateway.report import Result
    from gateway.request import Headers, ObjectRef, RequestHead, Target

NAME: Final = "oss"
SCHEMES: tuple[str, ...] = ("oss_v1", "oss_v2", "oss_v4")

# One right for every processor: each costs a download, and most a decoder (ADR 12).
_PROCESS_ACTION = "oss:ProcessImm"
_SAVE_ACTION = "oss:PostProcessTask"
_WORDS = Vocabulary(
    vendor="OSS",
    headers=header_maps.OSS,
    read_subresources=frozenset({"acl", "asyncFetch", "live", "objectInfo", "symlink", "tagging", "uploadId", "vod"}),
    # A `callback` is none of them: whoever sends one waits for its answer, and keeps books by it.
    ignored=frozenset({"callback-var", "x-oss-request-payer", "x-oss-traffic-limit"}),
    answers=OSS_ANSWERS,
)
_JSON = ("Content-Type", "application/json;charset=utf-8")
_MAX_ERROR_BYTES = 4095  # oss2 reads 4096 bytes of an error and no more


def interpret(head: RequestHead, target: Target) -> Intent:
    """Analyse for `x-oss-process=image/score` and its like, the same call on S3 for plain object calls.

    Raises ApiError for the rest.
    """
    refuse_reserved(target.ref)
    if not oss_parameters(head):
        return forward(with_blanks(head), target, _WORDS)
    refuse_conflict(head)
    if head.has_parameter(OSS_ASYNC_PROCESS):
        raise ApiError(NOT_IMPLEMENTED, OSS_ASYNC_PROCESS, message="Scoring is synchronous only: use x-oss-process.")
    if head.method not in ("GET", "HEAD", "POST"):
        raise ApiError(INVALID_ARGUMENT, head.method, message="x-oss-process needs the method GET, or POST to save.")
    if not target.ref.key:
        raise ApiError(INVALID_ARGUMENT, "no key", message="x-oss-process applies to an object, not to a bucket.")
    asked = oss_process.read(head.parameter(OSS_PROCESS) or "", target.ref.bucket)
    if (head.method == "POST") != (asked.save_to is not None):
        message = "sys/saveas needs the method POST." if asked.save_to else "Processing by POST needs sys/saveas."
        raise ApiError(INVALID_ARGUMENT, head.method, message=message)
    version_id = head.parameter("versionId") or None
    actions = (read_action(version_id), _PROCESS_ACTION)
    if asked.save_to is None:
        return Analyse(actions, version_id, OSS_PROCESS, asked.processor)
    refuse_reserved(asked.save_to)
    return Analyse((*actions, _SAVE_ACTION), version_id, OSS_PROCESS, asked.processor, asked.save_to)


def render_result(result: Result, stored: StoredObject, context: AnswerContext) -> Rendered:
    """Render a result as Aliyun's JSON."""
    headers = (*_result_headers(stored, context), _JSON)
    return Rendered(200, headers, _result_document(result, context.request_id).encode("ascii"))


def _result_document(result: Result, request_id: str) -> str:
    match result:
        case QualityReport():  # exactly three decimals
            score = f'{{"OverallQualityScore":{result.score:.3f}}}'
            return f'{{"ImageScore":{score},"RequestId":{quoted(request_id)}}}'
        case ImageInfo():
            return json.dumps({name: {"value": value} for name, value in sorted(_told(result).items())})
        case AverageColour():
            return json.dumps({"RGB": result.hexadecimal})
        case _:
            assert_never(result)


def _told(info: ImageInfo) -> dict[str, str]:
    """Return all that is known of a picture, as text; what the file says of itself gives way to what was found."""
    found = {
        "FileSize": info.file_bytes,
        "Format": "jpg" if info.format == "jpeg" else info.format,
        "FrameCount": info.frames,
        "ImageHeight": info.height,
        "ImageWidth": info.width,
    }
    return {**info.tags, **{name: str(value) for name, value in found.items() if value is not None}}


def render_saved(place: ObjectRef, file_bytes: int, context: AnswerContext) -> Rendered:
    """Render the answer to sys/saveas: where the result is, and its size."""
    document = {"bucket": place.bucket, "fileSize": file_bytes, "object": place.key, "status": "OK"}
    return Rendered(200, (*_request_headers(context), _JSON), json.dumps(document).encode("ascii"))


def render_not_modified(stored: StoredObject, context: AnswerContext) -> Rendered:
    """Render the 304: the headers of the result without those that describe its content."""
    return Rendered(304, _result_headers(stored, context), b"")


def _result_headers(stored: StoredObject, context: AnswerContext) -> Headers:
    version = (("x-oss-version-id", stored.version_id),) if stored.version_id else ()
    return (
        *_request_headers(context),
        *_object_headers(stored.storage_class),
        *version,
        *result_headers(stored, context),
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
    headers = (*_request_headers(context), *number, *error_headers(error))
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
