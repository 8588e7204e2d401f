"""Tencent's dialect: ci-process, its XML, its errors. Must not know how signatures or scores are made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, assert_never

from gateway.dialects import headers as header_maps
from gateway.dialects.answer_documents import COS_ANSWERS
from gateway.dialects.answers import error_headers, result_headers
from gateway.dialects.base import Analyse, Rendered
from gateway.dialects.extensions import refuse_reserved
from gateway.dialects.process import COS_PROCESS, cos_parameters
from gateway.dialects.rights import read_action
from gateway.dialects.translated import Vocabulary, forward
from gateway.dialects.xml import write
from gateway.errors import INVALID_ARGUMENT, NOT_IMPLEMENTED, ApiError
from gateway.report import AverageColour, ImageInfo, QualityReport
from gateway.request import with_blanks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.dialects.base import AnswerContext, Intent, StoredObject
    from gateway.report import Result
    from gateway.request import Headers, RequestHead, Target

NAME: Final = "cos"
SCHEMES: tuple[str, ...] = ("cos",)

_SCORE = "AssessQuality"
# One right for every processor: each costs a download, and most a decoder (ADR 12).
_PROCESS_ACTION = "ci:CreateAssessQualityJob"
_OPERATIONS: Mapping[str, str] = {"imageInfo": "info", "imageAve": "average"}  # Tencent's operation -> our processor
# Seen in the vendor's SDKs and pages; compared in lower case, since those do not agree on it.
_OTHER_PROCESSES = frozenset(
    {
        "ai-imagecoloring",
        "aienhanceimage",
        "aiimagecoloring",
        "aiimagecrop",
        "aiportraitmatting",
        "aisuperresolution",
        "detect-label",
        "detectcar",
        "detectface",
        "detectpet",
        "doc-preview",
        "facebeautify",
        "faceeffect",
        "filehash",
        "goodsmatting",
        "imagerepair",
        "imageslim",
        "livenessrecognition",
        "ocr",
        "originimage",
        "pm3u8",
        "qrcode",
        "qrcode-generate",
        "recognizelogo",
        "sensitive-content-recognition",
        "snapshot",
        "videoinfo",
        "zippreview",
    }
)
_WORDS = Vocabulary(
    vendor="COS",
    headers=header_maps.COS,
    read_subresources=frozenset(
        {"acl", "exif", "imageSlim", "legal-hold", "retention", "symlink", "tagging", "uploadId"}
    ),
    ignored=frozenset({"x-cos-traffic-limit"}),
    answers=COS_ANSWERS,
)


def interpret(head: RequestHead, target: Target) -> Intent:
    """Analyse for `ci-process=AssessQuality`, `imageInfo` and `imageAve`, the same call on S3 for plain object calls.

    Raises ApiError for the rest.
    """
    refuse_reserved(target.ref)
    asked = cos_parameters(head)
    if not asked:
        return forward(with_blanks(head), target, _WORDS)
    processor = _read_process(head, asked)
    if head.method not in ("GET", "HEAD"):
        raise ApiError(INVALID_ARGUMENT, head.method, message=f"{asked[0]} needs the method GET.")
    if not target.ref.key:
        raise ApiError(INVALID_ARGUMENT, "no key", message=f"{asked[0]} applies to an object, not to a bucket.")
    version_id = head.parameter("versionId") or None
    actions = (read_action(version_id), _PROCESS_ACTION)
    return Analyse(actions, version_id, asked[0], processor, small_decides=processor == "score")


def _read_process(head: RequestHead, asked: tuple[str, ...]) -> str:
    """Return the one processor that the parameters name. Raises ApiError."""
    for name in asked:
        if name not in (COS_PROCESS, *_OPERATIONS):
            operation = name.partition("/")[0]
            raise ApiError(NOT_IMPLEMENTED, name, message=f"The image operation {operation} is not offered here.")
    if len(asked) > 1:
        raise ApiError(INVALID_ARGUMENT, " ".join(asked), message="Image operations cannot be combined here.")
    if asked[0] in _OPERATIONS:
        return _OPERATIONS[asked[0]]
    _check_process(head.parameter(COS_PROCESS) or "")
    if head.has_parameter("detect-url"):
        raise ApiError(NOT_IMPLEMENTED, "detect-url", message="Only stored objects are assessed, not detect-url.")
    return "score"


def _check_process(process: str) -> None:
    """Accept `AssessQuality` and nothing else. Raises ApiError."""
    if process == _SCORE:
        return
    if process.lower() in _OTHER_PROCESSES:
        raise ApiError(NOT_IMPLEMENTED, process, message=f"The process {process} is not offered here.")
    raise ApiError(INVALID_ARGUMENT, process, message="The value of ci-process is unknown.")


def render_result(result: Result, stored: StoredObject, context: AnswerContext) -> Rendered:
    """Render a score as Tencent's XML, anything else as its JSON, whose values are texts.

    In a score a small image has every other field 0 or FALSE, as the vendor defines it.
    """
    headers = _result_headers(stored, context)
    if not isinstance(result, QualityReport):
        body = json.dumps(_told(result)).encode("ascii")
        return Rendered(200, (*headers, ("Content-Type", "application/json")), body)
    # cos-python parses the answer only if the type is exactly this one.
    document = write(("Response", (*_findings(result), ("RequestId", context.request_id))))
    return Rendered(200, (*headers, ("Content-Type", "application/xml")), document)


def _told(result: ImageInfo | AverageColour) -> dict[str, str]:
    match result:
        case ImageInfo():
            found = {
                "format": result.format,
                "width": result.width,
                "height": result.height,
                "size": result.file_bytes,
                "frame_count": result.frames,
            }
            return {name: str(value) for name, value in found.items() if value is not None}
        case AverageColour():
            return {"RGB": result.hexadecimal}
        case _:
            assert_never(result)


def _findings(report: QualityReport) -> tuple[tuple[str, str], ...]:
    flags = report.flags
    counts = not flags.small_image
    return (
        ("LongImage", _yes_or_no(counts and flags.long_image)),
        ("BlackAndWhite", _yes_or_no(counts and flags.black_and_white)),
        ("SmallImage", _yes_or_no(flags.small_image)),
        ("BigImage", _yes_or_no(counts and flags.big_image)),
        ("PureImage", _yes_or_no(counts and flags.pure_image)),
        ("ClarityScore", str(report.clarity * counts)),
        ("AestheticScore", str(report.aesthetic * counts)),
        ("LowQualityScore", str(report.content * counts)),
    )


def _yes_or_no(finding: bool) -> str:  # noqa: FBT001 # the one argument is what the name asks about
    return "TRUE" if finding else "FALSE"


def render_not_modified(stored: StoredObject, context: AnswerContext) -> Rendered:
    """Render the 304: the headers of the result without those that describe its content."""
    return Rendered(304, _result_headers(stored, context), b"")


def _result_headers(stored: StoredObject, context: AnswerContext) -> Headers:
    told = (
        ("x-cos-request-id", context.request_id),
        ("x-cos-storage-class", header_maps.storage_class(header_maps.COS, stored.storage_class)),
        ("x-cos-version-id", stored.version_id),
    )
    return (*((name, value) for name, value in told if value), *result_headers(stored, context))


def render_error(error: ApiError, context: AnswerContext) -> Rendered:
    """Render Tencent's error document; HEAD gets the headers alone.

    cos-python reads a code only out of a document whose Message, Resource and RequestId are not empty, and a header
    `x-cos-error-code` would win over the document: it is never sent.
    """
    trace = (("x-cos-request-id", context.request_id), ("x-cos-trace-id", context.request_id))
    headers = (*trace, *error_headers(error))
    if context.method == "HEAD":
        return Rendered(error.kind.status, headers, b"")
    code = error.kind.code_for(NAME)
    elements = (
        ("Code", code),
        ("Message", error.message or code),
        ("Resource", f"{context.host}{context.resource}" or "/"),
        ("RequestId", context.request_id),
        ("TraceId", context.request_id),
        *error.fields,
    )
    return Rendered(error.kind.status, headers, write(("Error", elements)))


def translate_headers(headers: Headers, context: AnswerContext) -> Headers:
    """Rename the store's answer headers and add the request id."""
    return (("x-cos-request-id", context.request_id), *header_maps.to_client(header_maps.COS, headers))
