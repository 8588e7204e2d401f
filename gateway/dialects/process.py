"""The query parameters that ask a vendor for processing. Knows their names only; must not know what they do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.errors import CONFLICTING_PROCESS, INVALID_REQUEST, NO_SUCH_STYLE, ApiError
from gateway.request import by_names, parse_query, percent_encode, query_without

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.request import RequestHead

OSS_PROCESS = "x-oss-process"
OSS_ASYNC_PROCESS = "x-oss-async-process"
COS_PROCESS = "ci-process"
_OSS_NAMES = frozenset({OSS_PROCESS, OSS_ASYNC_PROCESS})
# COS puts the whole operation into the parameter's name: imageMogr2/thumbnail/!50p. Short names that others use as
# well (exif) are left out here: they mean COS only once the request is known to be for COS.
_COS_OPERATION = re.compile(r"imageInfo|imageAve|(imageMogr2|imageView2)(/.*)?|watermark/[0-9].*", re.DOTALL)


def oss_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return which names of a query are Aliyun's process parameters, as sent (decoded)."""
    return tuple([name for name in names if name in _OSS_NAMES])


def cos_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return which names of a query are Tencent's process parameters, image operations included, as sent (decoded)."""
    return tuple([name for name in names if name == COS_PROCESS or _COS_OPERATION.fullmatch(name)])


oss_parameters, cos_parameters = by_names(oss_names), by_names(cos_names)


@by_names
def process_parameters(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of all process parameters: the signature must cover each of them."""
    return (*oss_names(names), *cos_names(names))


def refuse_conflict(head: RequestHead) -> None:
    """Raise CONFLICTING_PROCESS when the query speaks to both vendors' processors."""
    if oss_parameters(head) and cos_parameters(head):
        raise ApiError(CONFLICTING_PROCESS, f"both {oss_parameters(head)[0]} and {cos_parameters(head)[0]}")


def with_process(head: RequestHead, process: str) -> RequestHead:
    """Return the head as if it had been sent with this x-oss-process."""
    others = query_without(head.parameters, frozenset({OSS_PROCESS}))
    asked = f"{OSS_PROCESS}={percent_encode(process)}"
    return replace(head, raw_query=f"{others}&{asked}" if others else asked)


def with_body(head: RequestHead, body: bytes) -> RequestHead:
    """Put the process that a POST's body names, raw or percent-encoded, into the query.

    A body without one changes nothing. Raises INVALID_REQUEST for several.
    """
    named = [
        parameter.value for parameter in parse_query(body.decode(errors="replace")) if parameter.name == OSS_PROCESS
    ]
    if len(named) > 1:
        raise ApiError(INVALID_REQUEST, f"{OSS_PROCESS} sent {len(named)} times in the body")
    return with_process(head, named[0]) if named else head


def with_style(head: RequestHead, styles: Mapping[str, str]) -> RequestHead:
    """Put the process that a style stands for into the place of `style/NAME`. Raises NO_SUCH_STYLE.

    What follows behind a pipe stays. Two values, which no dialect takes, stay as they are.
    """
    values = [parameter.value for parameter in head.parameters if parameter.name == OSS_PROCESS]
    if len(values) != 1 or not values[0].startswith("style/"):
        return head
    style, pipe, more = values[0].partition("|")
    name = style.removeprefix("style/")
    if name not in styles:
        raise ApiError(NO_SUCH_STYLE, name)
    return with_process(head, styles[name] + pipe + more)
