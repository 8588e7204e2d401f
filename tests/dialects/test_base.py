from __future__ import annotations

import pytest

from gateway.dialects.base import derived_etag, not_modified


@pytest.mark.parametrize("etag", ['"5d41402a"', 'W/"5d41402a"', "5d41402a"])
def test_the_etag_of_a_score_is_made_of_the_objects_and_the_model(etag: str) -> None:
    assert derived_etag(etag, "score-7") == '"5d41402a-score-7"'


def test_an_object_without_an_etag_gives_its_score_none_and_never_a_304() -> None:
    assert derived_etag("", "score-7") == ""
    assert not not_modified("", "*")
    assert not not_modified("", '""')


@pytest.mark.parametrize(
    ("if_none_match", "expected"),
    [
        (None, False),
        ("", False),
        ('"a-score-7"', True),
        ('W/"a-score-7"', True),
        ('"x", "y,z", W/"a-score-7"', True),
        ('"x","a-score-7"', True),
        ("a-score-7", True),
        (" * ", True),
        ('"*"', False),
        ('"a-score-8"', False),
        ('"x, a-score-7"', False),
        ('"a"', False),
    ],
)
def test_if_none_match_is_a_list_compared_weakly(if_none_match: str | None, *, expected: bool) -> None:
    assert not_modified('"a-score-7"', if_none_match) is expected
