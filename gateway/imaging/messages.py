"""What a gateway process and a scorer say to each other, as bytes. Pure; must not know sockets or pixels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway import errors, report
from gateway.errors import ApiError, ErrorKind
from gateway.imaging import facts as headers

if TYPE_CHECKING:
    from gateway.imaging.facts import Facts
    from gateway.report import QualityReport

MAX_MESSAGE_BYTES = 65_536  # a job has at most two tables of 64 numbers, an answer one report

_KINDS: dict[str, ErrorKind] = {
    "damaged": errors.IMAGE_DAMAGED,
    "too_large": errors.IMAGE_TOO_LARGE,
    "failed": errors.SCORER_DIED,
}


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to score: its header, the seconds left, and the pixels that its decoder may report."""

    facts: Facts
    deadline_s: float
    max_pixels: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """A scorer, whose process id this is, has taken the job up."""

    pid: int


def encode_job(job: Job) -> bytes:
    """Return the message that submits a job."""
    document = {"facts": headers.to_json(job.facts), "deadline_s": job.deadline_s, "max_pixels": job.max_pixels}
    return json.dumps(document).encode()


def decode_job(message: bytes) -> Job:
    """Read `encode_job`'s message."""
    document = json.loads(message)
    return Job(headers.from_json(document["facts"]), document["deadline_s"], document["max_pixels"])


def encode_answer(answer: Accepted | QualityReport | ApiError) -> bytes:
    """Return the message that carries an answer; an error's kind must be one that scoring may find."""
    document: dict[str, Any]
    if isinstance(answer, Accepted):
        document = {"pid": answer.pid}
    elif isinstance(answer, ApiError):
        kind = next((name for name, kind in _KINDS.items() if kind is answer.kind), "failed")
        document = {"error": {"kind": kind, "detail": answer.detail, "message": answer.message}}
    else:
        document = {"report": report.to_json(answer)}
    return json.dumps(document).encode()


def decode_answer(message: bytes) -> Accepted | QualityReport | ApiError:
    """Read `encode_answer`'s message."""
    document = json.loads(message)
    if "pid" in document:
        return Accepted(document["pid"])
    if "error" in document:
        error = document["error"]
        return ApiError(_KINDS[error["kind"]], error["detail"], message=error["message"])
    return report.from_json(document["report"])
