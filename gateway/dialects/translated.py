"""A vendor's call as the same call on S3. Knows which parameters go on and what is rewritten; no vendor's words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from gateway.dialects.answer_documents import Asked
from gateway.dialects.base import Forward, MultipartCall, MultipartStep, StoreRequest
from gateway.dialects.extensions import refuse_extensions
from gateway.dialects.headers import to_store
from gateway.dialects.operations import Operation, find
from gateway.dialects.request_documents import part_number
from gateway.dialects.rights import RESPONSE_OVERRIDE, action, header_actions
from gateway.errors import INVALID_ARGUMENT, NOT_IMPLEMENTED, ApiError
from gateway.request import percent_encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.dialects.answer_documents import AnswerDocument
    from gateway.dialects.headers import HeaderMap
    from gateway.request import ObjectRef, Parameter, RequestHead, Target

_ENCODING = "encoding-type"
# What a value must look like, where a wrong one could mean different things to the store and to the rewriting here.
_VALUES: Mapping[str, re.Pattern[str]] = {
    _ENCODING: re.compile("(url)?"),
    "list-type": re.compile("2"),
    "max-keys": re.compile("[0-9]{0,9}"),
    "max-parts": re.compile("[0-9]{0,9}"),
    "max-uploads": re.compile("[0-9]{0,9}"),
    "part-number-marker": re.compile("[0-9]{0,9}"),
    "uploadId": re.compile(".+", re.DOTALL),
}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a vendor's calls may say. `read_subresources` make reading something else than the object's bytes.

    Other parameters are ignored when an object is read, as the vendors do, but refused everywhere else: taken for
    nothing, an unknown sub-resource would turn its own configuration into the object, or a question into a listing.
    `ignored` are the ones known to be harmless there too. `answers` are the documents that are rewritten, by
    operation; an operation of the service or of a bucket's listing without one is not offered.
    """

    vendor: str
    headers: HeaderMap
    read_subresources: frozenset[str]
    ignored: frozenset[str]
    answers: Mapping[str, AnswerDocument]


def forward(head: RequestHead, target: Target, words: Vocabulary) -> Forward:
    """Translate a call that S3 has too; bodies stay as they are but for the documents that are rewritten.

    Raises NOT_IMPLEMENTED for all other calls and for what `to_store` cannot translate, INVALID_ARGUMENT and
    INVALID_REQUEST for parameters that make no sense.
    """
    ref = target.ref
    headers = to_store(words.headers, head.headers, _suffix(head, target))
    copies = any(name == "x-amz-copy-source" for name, _ in headers)
    if copies:  # alibabacloud-oss-v2 sends that of its empty body, a store takes it for that of the copied bytes
        headers = tuple(pair for pair in headers if pair[0] != "content-md5")
    operation = find(head.method, ref, (parameter.name for parameter in head.parameters), copies=copies)
    if operation is None or (operation.name == "GetBucketInfo" and operation.name not in words.answers):
        raise _unsupported(words, f"{head.method} on {_level(ref)}{_subresources(head)}")
    kept = _kept(head, ref, operation, words)
    names = [parameter.name for parameter in kept]
    refuse_extensions(headers, names)
    document = words.answers.get(operation.name)
    asked = Asked(ref.bucket, ref.key, head.authority, head.raw_path, _pairs(head))
    return Forward(
        action=action(head.method, ref, (operation.asks or name for name in names)),
        store=StoreRequest(head.method, target.raw_key, _query(operation, kept), headers),
        translated=True,
        also=header_actions(head.method, ref, headers),
        request_rewrite=operation.request,
        answer_rewrite=partial(document, asked) if document else None,
        multipart=_multipart(operation, head, ref),
    )


def _pairs(head: RequestHead) -> tuple[tuple[str, str], ...]:
    return tuple((parameter.name, parameter.value) for parameter in head.parameters)


def _kept(head: RequestHead, ref: ObjectRef, operation: Operation, words: Vocabulary) -> list[Parameter]:
    """Return the parameters that S3 gets to see. Raises NOT_IMPLEMENTED when leaving one out would change the call."""
    kept: list[Parameter] = []
    known = operation.subresources | operation.parameters | operation.local
    for parameter in head.parameters:
        name = parameter.name
        if name in known or (name == _ENCODING and operation.name in words.answers):
            _check(head, name)
            if name in operation.subresources or (name in operation.parameters and parameter.value):
                kept.append(parameter)
        elif operation.name == "GetObject" and name.startswith(RESPONSE_OVERRIDE):
            kept += [parameter] if parameter.value else []
        elif name in words.read_subresources or not (operation.name == "GetObject" or name in words.ignored):
            raise _unsupported(words, f"{head.method} on {_level(ref)} with {name}")
    return kept


def _check(head: RequestHead, name: str) -> None:
    """Raise INVALID_ARGUMENT for a value out of its range, INVALID_REQUEST for a parameter that comes twice."""
    value = head.parameter(name) or ""
    if name in _VALUES and not _VALUES[name].fullmatch(value):
        raise ApiError(INVALID_ARGUMENT, f"{name}={value[:40]!r}", message=f"The value of {name} is not valid.")


def _query(operation: Operation, kept: list[Parameter]) -> str:
    """Write the store's query. An object's plain calls keep theirs as it was sent; a `+` in a listing's is no blank."""
    if not operation.subresources and not operation.encodes:
        return "&".join(parameter.raw for parameter in kept)
    pairs = [(operation.asks or parameter.name, parameter.value) for parameter in kept]
    if operation.encodes:
        pairs.append((_ENCODING, "url"))
    return "&".join(f"{name}={percent_encode(value)}" if value else name for name, value in pairs)


def _multipart(operation: Operation, head: RequestHead, ref: ObjectRef) -> MultipartCall | None:
    step = operation.step
    if step is None:
        return None
    has_number = step in (MultipartStep.UPLOAD_PART, MultipartStep.COPY_PART)
    number = part_number(head.parameter("partNumber") or "") if has_number else 0
    return MultipartCall(step, ref, head.parameter("uploadId") or "", number)


def _suffix(head: RequestHead, target: Target) -> str:
    """Return what follows the bucket in the request's host, `""` where the host does not name it."""
    return head.host.removeprefix(f"{target.ref.bucket}.") if target.addressed == "host" else ""


def _unsupported(words: Vocabulary, what: str) -> ApiError:
    return ApiError(NOT_IMPLEMENTED, what, message=f"This gateway does not translate {what} from {words.vendor} to S3.")


def _level(ref: ObjectRef) -> str:
    if not ref.bucket:
        return "the service"
    return "an object" if ref.key else "a bucket"


def _subresources(head: RequestHead) -> str:
    names = [parameter.name for parameter in head.parameters if not parameter.value]
    return f" with {names[0]}" if names else ""
