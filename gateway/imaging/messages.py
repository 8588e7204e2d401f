"""What a gateway process and a scorer say to each other, as bytes. Pure; must not know sockets or pixels."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, assert_never

from gateway import errors, report
from gateway.errors import ApiError, ErrorKind
from gateway.imaging import facts as headers
from gateway.report import AverageColour, ImageInfo, QualityReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.imaging.facts import Facts
    from gateway.report import Result

# When something began and ended, in seconds of the clock that all processes of a machine share (time.monotonic).
Span = tuple[float, float]
# What a processor may find, by its type's name.
_RESULTS: Mapping[str, Callable[[dict[str, Any]], Result]] = {
    QualityReport.__name__: report.from_json,
    ImageInfo.__name__: lambda document: ImageInfo(**document),
    AverageColour.__name__: lambda document: AverageColour(**document),
}
MAX_MESSAGE_BYTES = 65_536  # a job has at most two tables of 64 numbers, an answer one report

_KINDS: dict[str, ErrorKind] = {
    "damaged": errors.IMAGE_DAMAGED,
    "not_an_image": errors.NOT_AN_IMAGE,
    "too_large": errors.IMAGE_TOO_LARGE,
    "side_too_long": errors.IMAGE_SIDE_TOO_LONG,
    "file_too_large": errors.IMAGE_FILE_TOO_LARGE,
    "not_implemented": errors.NOT_IMPLEMENTED,
    "failed": errors.SCORER_DIED,
}


@dataclass(frozen=True, slots=True)
class Job:
    """One picture: its header, the seconds left, what its decoder may report and hold in memory, and who computes."""

    facts: Facts
    deadline_s: float
    max_pixels: int
    max_memory_bytes: int
    processor: str = "score"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A scorer, whose process id this is, has taken the job up."""

    pid: int


@dataclass(frozen=True, slots=True)
class Computed:
    """What a processor found, and when each stage on the way to it began and ended. Times are no part of a result."""

    result: Result
    stages: Mapping[str, Span]


def encode_job(job: Job) -> bytes:
    """Return the message that submits a job."""
    document = {
        "facts": headers.to_json(job.facts),
        "deadline_s": job.deadline_s,
        "max_pixels": job.max_pixels,
        "max_memory_bytes": job.max_memory_bytes,
        "processor": job.processor,
    }
    return json.dumps(document).encode()


def decode_job(message: bytes) -> Job:
    """Read `encode_job`'s message."""
    document = json.loads(message)
    return Job(**{**document, "facts": headers.from_json(document["facts"])})


def encode_answer(answer: Accepted | Computed | ApiError) -> bytes:
    """Return the message that carries an answer; an error's kind must be one that scoring may find."""
    match answer:
        case Accepted(pid):
            document: dict[str, Any] = {"pid": pid}
        case Computed(result, stages):
            document = {**to_json(result), "stages": dict(stages)}
        case ApiError():
            document = to_json(answer)
        case _:
            assert_never(answer)
    return json.dumps(document).encode()


def decode_answer(message: bytes) -> Accepted | Computed | ApiError:
    """Read `encode_answer`'s message."""
    document = json.loads(message)
    if "pid" in document:
        return Accepted(document["pid"])
    found = from_json(document)
    if isinstance(found, ApiError):
        return found
    return Computed(found, {name: (began, ended) for name, (began, ended) in document["stages"].items()})


def to_json(answer: Result | ApiError) -> dict[str, Any]:
    """Return what was found as a JSON-ready dict; `from_json` is its inverse."""
    if isinstance(answer, ApiError):
        kind = next((name for name, kind in _KINDS.items() if kind is answer.kind), "failed")
        return {"error": {"kind": kind, "detail": answer.detail, "message": answer.message}}
    document = report.to_json(answer) if isinstance(answer, QualityReport) else asdict(answer)
    return {"result": type(answer).__name__, "document": document}


def from_json(document: Mapping[str, Any]) -> Result | ApiError:
    """Rebuild what was found from `to_json`'s dict."""
    if "error" in document:
        error = document["error"]
        return ApiError(_KINDS[error["kind"]], error["detail"], message=error["message"])
    return _RESULTS[document["result"]](document["document"])
