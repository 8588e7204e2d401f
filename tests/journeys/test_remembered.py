from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from gateway.dialects.base import StoredObject
from gateway.errors import (
    IMAGE_DAMAGED,
    IMAGE_SIDE_TOO_LONG,
    NOT_AN_IMAGE,
    SCORER_DIED,
    SCORERS_BUSY,
    SCORING_TOO_SLOW,
    UPSTREAM_BROKEN,
    ApiError,
)
from gateway.journeys.remembered import Remembered, decode, encode
from gateway.report import AverageColour, Flags, ImageInfo, QualityReport, Result

if TYPE_CHECKING:
    from collections.abc import Callable

STORED = StoredObject('"tag"', "Sat, 21 Nov 2026 05:01:25 GMT", "STANDARD_IA", "v\udcff")
REPORT = QualityReport(
    score=0.1 + 0.2,
    sub_scores={"focus": 1 / 3},
    measures={"edge_width": 1e-9},
    flags=Flags(long_image=True, black_and_white=False, small_image=False, big_image=True, pure_image=False),
    clarity=3,
    aesthetic=4,
    content=5,
    confidence=0.5,
    reasons=("It is blurred.",),
    width=1,
    height=2,
    format="jpeg",
    model_version="1",
)
RESULTS: list[Result] = [REPORT, ImageInfo("png", 1, 2, None, 1, {"Make": "ü"}), AverageColour(1, 2, 3)]


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: type(result).__name__)
def test_what_is_remembered_is_what_was_found_to_the_last_digit(result: Result) -> None:
    remembered = Remembered(STORED, result)
    assert decode("name", encode("name", remembered)) == remembered


def test_an_error_is_remembered_with_its_words() -> None:
    error = ApiError(IMAGE_SIDE_TOO_LONG, "detail", message="It is 70,000 pixels wide.")
    known = decode("name", encode("name", Remembered(STORED, error)))
    assert known is not None
    assert isinstance(known.outcome, ApiError)
    told = (known.outcome.kind, known.outcome.detail, known.outcome.message)
    assert told == (IMAGE_SIDE_TOO_LONG, "detail", "It is 70,000 pixels wide.")


def test_only_what_the_bytes_decide_lasts_and_only_where_they_have_a_tag() -> None:
    assert all(Remembered(STORED, result).lasts for result in RESULTS)
    assert not Remembered(STORED._replace(etag=""), REPORT).lasts
    for kind in (NOT_AN_IMAGE, IMAGE_DAMAGED, IMAGE_SIDE_TOO_LONG):
        assert Remembered(STORED, ApiError(kind)).lasts
    for kind in (SCORERS_BUSY, SCORER_DIED, SCORING_TOO_SLOW, UPSTREAM_BROKEN):
        assert not Remembered(STORED, ApiError(kind)).lasts


ODD: list[Any] = [None, 2, "x", [], {"error": {"kind": "?"}}, {"result": "Path", "document": {}}]
GOOD: dict[str, Any] = json.loads(encode("name", Remembered(STORED, REPORT)))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"1",
        b"[]",
        b"{}",
        b"\x80\x04\x95pickle",
        *(json.dumps({**GOOD, name: odd}).encode() for name in GOOD for odd in ODD),
    ],
)
def test_anything_else_is_not_believed(value: bytes) -> None:
    assert decode("name", value) is None


def changed(remembered: Remembered, change: Callable[[dict[str, Any]], object]) -> bytes:
    """What would be kept, but for a change of the document."""
    document: dict[str, Any] = json.loads(encode("name", remembered))
    change(document)
    return json.dumps(document, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "change",
    [
        *(lambda d, n=name: d["outcome"]["document"].update({n: None}) for name in asdict(REPORT)),
        *(lambda d, n=name: d["outcome"]["document"].update({n: "1"}) for name in ("score", "clarity", "width")),
        lambda d: d["outcome"]["document"]["sub_scores"].update(focus="1"),
        lambda d: d["outcome"]["document"]["measures"].update(edge_width=[]),
        lambda d: d["outcome"]["document"]["flags"].update(long_image="no"),
        lambda d: d["outcome"]["document"]["reasons"].append(1),
        lambda d: d["stored"].update(etag='"a"\r\nSet-Cookie: a'),
        lambda d: d["stored"].update(last_modified=1),
        lambda d: d["stored"].update(more="than was written"),
        lambda d: d.update(more="than was written"),
    ],
)
def test_a_value_of_another_type_is_not_believed(change: Callable[[dict[str, Any]], object]) -> None:
    assert decode("name", changed(Remembered(STORED, REPORT), lambda _: None)) is not None
    assert decode("name", changed(Remembered(STORED, REPORT), change)) is None


def test_an_errors_words_and_depths_without_end_are_not_believed_either() -> None:
    refused = Remembered(STORED, ApiError(NOT_AN_IMAGE, "detail"))
    assert decode("name", changed(refused, lambda d: d["outcome"]["error"].update(detail=1))) is None
    assert decode("name", b"[" * 200_000) is None


def test_a_value_under_another_name_is_not_believed() -> None:
    assert decode("other", encode("name", Remembered(STORED, REPORT))) is None
