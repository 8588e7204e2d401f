from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.report import Flags, QualityReport, from_json, to_json

FRACTIONS = st.floats(0, 1)
PERCENT = st.integers(0, 100)
REPORTS = st.builds(
    QualityReport,
    score=FRACTIONS,
    sub_scores=st.dictionaries(st.text(), FRACTIONS),
    measures=st.dictionaries(st.text(), st.floats(allow_nan=False)),
    flags=st.builds(Flags, *[st.booleans()] * 5),
    clarity=PERCENT,
    aesthetic=PERCENT,
    content=PERCENT,
    confidence=FRACTIONS,
    reasons=st.lists(st.text()).map(tuple),
    width=st.integers(1),
    height=st.integers(1),
    format=st.text(),
    model_version=st.text(),
)


@settings(deadline=None)  # a busy machine is no failure
@given(REPORTS)
def test_a_report_survives_the_way_through_json(report: QualityReport) -> None:
    assert from_json(json.loads(json.dumps(to_json(report)))) == report


@settings(deadline=None)  # a busy machine is no failure
@given(REPORTS)
def test_the_json_says_everything_and_leaves_the_report_alone(report: QualityReport) -> None:
    before = asdict(report)
    document = to_json(report)
    assert {**document, "reasons": tuple(document["reasons"])} == before
    document["sub_scores"]["added"] = 1.0
    document["flags"]["long_image"] = None
    assert asdict(report) == before


def test_the_flags_keep_their_names_and_their_order() -> None:
    flags = Flags(long_image=True, black_and_white=False, small_image=True, big_image=False, pure_image=True)
    assert list(asdict(flags).items()) == [
        ("long_image", True),
        ("black_and_white", False),
        ("small_image", True),
        ("big_image", False),
        ("pure_image", True),
    ]


@pytest.mark.parametrize("missing", ["score", "flags", "reasons", "model_version"])
def test_a_document_that_lacks_something_is_no_report(missing: str) -> None:
    document = to_json(example())
    del document[missing]
    with pytest.raises((KeyError, TypeError), match=missing):
        from_json(document)


def test_a_report_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        example().score = 1.0  # type: ignore[misc] # that is the point


def example() -> QualityReport:
    flags = Flags(long_image=False, black_and_white=False, small_image=False, big_image=False, pure_image=False)
    return QualityReport(0.5, {"focus": 0.5}, {"sharpness": 3.0}, flags, 50, 50, 50, 0.9, ("soft",), 4, 3, "jpeg", "v0")
