"""The grammar of x-oss-process: services, actions, sys/saveas. Pure; must not know headers, rights or answers.

Source: Aliyun, "IMG implementation modes" and "Save processed images" (IMG, user guide).
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.errors import (
    INVALID_ARGUMENT,
    NO_ACTION,
    NO_SUCH_STYLE,
    NOT_IMPLEMENTED,
    UNKNOWN_ACTION,
    ApiError,
)
from gateway.request import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROCESSORS: Mapping[str, str] = {  # Aliyun's action -> our processor
    "score": "score",
    "info": "info",
    "average-hue": "average",
}
# Documented by the vendor (IMG and IMM, "Parameters of image processing"), not offered here.
_OTHER_ACTIONS = frozenset(
    {
        "resize",
        "crop",
        "rotate",
        "format",
        "quality",
        "watermark",
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
_SAVE = "sys/saveas"
_BASE64 = re.compile("([A-Za-z0-9_-]*)=*")
_MAX_KEY_BYTES = 1023  # Aliyun's own limit


@dataclass(frozen=True, slots=True)
class Process:
    """What a process string asks for: a processor, and where its result is to be kept, if anywhere."""

    processor: str
    save_to: ObjectRef | None = None


_PLAIN = {f"image/{action}": Process(ours) for action, ours in _PROCESSORS.items()}  # nearly all that comes


def read(process: str, bucket: str) -> Process:
    """Read a process string: `image/ACTION`, and perhaps `|sys/saveas,o_KEY,b_BUCKET` (`bucket` where b_ is absent).

    Raises ApiError with a sentence that says what is wrong.
    """
    if process in _PLAIN:
        return _PLAIN[process]
    image, *more = process.split("|")
    if len(more) > 1 or (more and not _is_save(more[0])):
        raise _invalid("Processes cannot be piped: only sys/saveas may follow an image's action, once.")
    processor = _read_image(image)
    return Process(processor, _read_save(more[0], bucket) if more else None)


def _read_image(process: str) -> str:
    if not process:
        raise ApiError(NO_ACTION)
    service, _, actions = process.partition("/")
    if service == "style":
        raise ApiError(NO_SUCH_STYLE)
    if service in _OTHER_SERVICES:
        raise ApiError(NOT_IMPLEMENTED, process, message=f"The processing service {service} is not offered here.")
    if service != "image":
        raise _invalid("The process names an unknown processing service.")
    return _read_actions([action.partition(",") for action in actions.split("/")], process)


def _read_actions(actions: list[tuple[str, str, str]], process: str) -> str:
    """Return the processor of what must be exactly one action of ours (name, comma, parameters), without parameters."""
    names = [name for name, _, _ in actions]
    if not names[0]:
        raise ApiError(NO_ACTION)
    ours = next((name for name in names if name in _PROCESSORS), "")
    if ours and len(names) > 1:
        raise _invalid(f"image/{ours} cannot be chained with other actions.")
    if ours and actions[0][1]:
        raise _invalid(f"image/{ours} takes no parameters.")
    if ours:
        return _PROCESSORS[ours]
    if names[0] in _OTHER_ACTIONS:
        raise ApiError(NOT_IMPLEMENTED, process, message=f"The image action {names[0]} is not offered here.")
    raise ApiError(UNKNOWN_ACTION, process)


def _is_save(stage: str) -> bool:
    return stage.partition(",")[0] == _SAVE


def _read_save(stage: str, bucket: str) -> ObjectRef:
    names: dict[str, str] = {}
    for parameter in stage.split(",")[1:]:
        name, _, value = parameter.partition("_")
        if name not in ("o", "b") or name in names:
            raise _invalid("sys/saveas takes o_ (the object) and b_ (the bucket), each once.")
        names[name] = _decoded(value)
    key = names.get("o", "")
    if not key or len(key.encode()) > _MAX_KEY_BYTES:
        raise _invalid(f"sys/saveas needs o_, an object's name of 1 to {_MAX_KEY_BYTES} bytes in URL-safe Base64.")
    target = names.get("b", bucket)
    if not target or "/" in target:
        raise _invalid("sys/saveas: b_ is not the name of a bucket in URL-safe Base64.")
    return ObjectRef(target, key)


def _decoded(text: str) -> str:
    """Decode URL-safe Base64, padded or not; `""` for anything else, and for what is not UTF-8."""
    raw = _BASE64.fullmatch(text)
    try:
        return base64.urlsafe_b64decode(raw[1] + "=" * (-len(raw[1]) % 4)).decode() if raw else ""
    except ValueError:
        return ""


def _invalid(message: str) -> ApiError:
    return ApiError(INVALID_ARGUMENT, message=message)
