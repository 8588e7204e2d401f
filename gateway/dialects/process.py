"""The query parameters that ask a vendor for processing. Knows their names only; must not know what they do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.errors import CONFLICTING_PROCESS, ApiError

if TYPE_CHECKING:
    from gateway.request import RequestHead

OSS_PROCESS = "x-oss-process"
OSS_ASYNC_PROCESS = "x-oss-async-process"
COS_PROCESS = "ci-process"
_OSS_NAMES = frozenset({OSS_PROCESS, OSS_ASYNC_PROCESS})
# COS puts the whole operation into the parameter's name: imageMogr2/thumbnail/!50p. Short names that others use as
# well (exif) are left out here: they mean COS only once the request is known to be for COS.
_COS_OPERATION = re.compile(r"imageInfo|imageAve|(imageMogr2|imageView2)(/.*)?|watermark/[0-9].*", re.DOTALL)


def oss_parameters(head: RequestHead) -> tuple[str, ...]:
    """Return the names of Aliyun's process parameters in the query, as sent (decoded)."""
    return tuple(parameter.name for parameter in head.parameters if parameter.name in _OSS_NAMES)


def cos_parameters(head: RequestHead) -> tuple[str, ...]:
    """Return the names of Tencent's process parameters in the query, image operations included, as sent (decoded)."""
    return tuple(
        parameter.name
        for parameter in head.parameters
        if parameter.name == COS_PROCESS or _COS_OPERATION.fullmatch(parameter.name)
    )


def process_parameters(head: RequestHead) -> tuple[str, ...]:
    """Return the names of all process parameters: the signature must cover each of them."""
    return (*oss_parameters(head), *cos_parameters(head))


def refuse_conflict(head: RequestHead) -> None:
    """Raise CONFLICTING_PROCESS when the query speaks to both vendors' processors."""
    if oss_parameters(head) and cos_parameters(head):
        raise ApiError(CONFLICTING_PROCESS, f"both {oss_parameters(head)[0]} and {cos_parameters(head)[0]}")
