from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.assets import Asset
from gateway.dialects.cloudinary_search import parse, parse_sorting, place, rank
from gateway.errors import ApiError


def asset(public_id: str = "cats/one", **more: object) -> Asset:
    plain: dict[str, object] = {
        "asset_id": "0" * 32,
        "cloud": "demo",
        "public_id": public_id,
        "resource_type": "image",
        "type": "upload",
        "version": 10,
        "version_id": "",
        "created_at": 5.0,
        "bytes": 1000,
        "etag": "e",
        "format": "jpg",
        "width": 300,
        "height": 200,
        "tags": ("cat", "big cat"),
        "context": {"k": "v"},
        "scores": {"quality_score": 0.47, "quality_analysis.pixel_score": 0.27, "quality_analysis.color_score": 0.91},
    }
    return Asset(**{**plain, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("", True),
        ("quality_score>0.4", True),
        ("quality_score > 0.4 AND quality_analysis.pixel_score<=0.27", True),
        ("quality_score>=0.48", False),
        ("quality_score=0.47", True),
        ("quality_score!=0.47", False),
        ("quality_analysis.focus>0", False),
        ("NOT quality_analysis.focus>0", True),
        ("format:png OR quality_analysis.color_score>0.9", True),
        ("format:png OR format:gif", False),
        ("format:png AND format:jpg OR width=300", True),
        ("format:png AND (format:jpg OR width=300)", False),
        ("format:jpg width=300", True),
        ("format:jpg NOT width=300", False),
        ("tags=cat", True),
        ('tags="big cat"', True),
        ("tags=dog", False),
        ("tags!=dog", True),
        ("public_id:cats/*", True),
        ("public_id:dogs/*", False),
        ("filename:one AND folder:cats", True),
        ("context.k=v", True),
        ("context.other=v", False),
        ("resource_type:image AND type:upload", True),
        ("bytes>999 AND height<201", True),
        (f"{'(' * 20}width=300{')' * 20}", True),
    ],
)
def test_an_expression_holds_or_does_not(expression: str, holds: bool) -> None:  # noqa: FBT001 # a table
    assert parse(expression)(asset()) is holds


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("colour:red", "there is no field 'colour'"),
        ("quality_score>high", "compared with a number"),
        ("quality_score", "field, operator and value"),
        ("tags>a", "tags is a text"),
        ("(width=300", "a bracket is not closed"),
        ("width=300)", "')' is not expected"),
        ("width=300 AND", "the end"),
        ("AND", "'AND'"),
        ("width~300", "is not understood"),
        ('tags="open', "is not understood"),
        (f"{'(' * 30}width=300{')' * 30}", "nested too deeply"),
        ("NOT " * 40 + "width=300", "nested too deeply"),
        ("w" * 5000, "more than 4096 characters"),
    ],
)
def test_what_is_not_understood_is_refused_with_a_reason(expression: str, told: str) -> None:
    with pytest.raises(ApiError, match="InvalidArgument") as caught:
        parse(expression)
    assert told in caught.value.message


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_a_400(text: str) -> None:
    with suppress(ApiError):
        assert parse(text)(asset()) in (True, False)


def order(sort_by: object, *assets: Asset) -> list[str]:
    sorting = parse_sorting(sort_by)
    return [one.public_id for one in sorted(assets, key=lambda one: rank(place(one, sorting), sorting))]


def test_results_are_sorted_either_way_and_what_has_no_score_comes_last() -> None:
    low, high = asset("low", scores={"quality_score": 0.1}), asset("high", scores={"quality_score": 0.9})
    none, older = asset("none", scores={}), asset("older", created_at=1.0)
    assert order([{"quality_score": "desc"}], none, low, high) == ["high", "low", "none"]
    assert order([{"quality_score": "asc"}], none, low, high) == ["low", "high", "none"]
    assert order([{"public_id": "desc"}], low, high, none) == ["none", "low", "high"]
    assert order([{"format": "asc"}, {"created_at": "asc"}], low, older) == ["older", "low"]
    assert order(None, older, low) == ["low", "older"]


@pytest.mark.parametrize("sort_by", [[{"colour": "asc"}], [{"tags": "asc"}], [{"width": "up"}], ["width"], "width", 3])
def test_a_sorting_that_is_none_is_refused(sort_by: object) -> None:
    with pytest.raises(ApiError, match="InvalidArgument"):
        parse_sorting(sort_by)


@pytest.mark.parametrize("where", [[], [1], ["x", 1], [0.5, "id", "more"]])
def test_a_cursor_of_another_search_is_refused(where: list[object]) -> None:
    with pytest.raises(ApiError, match="InvalidArgument"):
        rank(where, parse_sorting([{"quality_score": "asc"}]))


@pytest.mark.parametrize("stars", [1, 40, 1000])
def test_a_pattern_of_many_stars_is_decided_at_once(stars: int) -> None:
    condition = parse(f"public_id:{'a*' * stars}b")
    assert not condition(asset(public_id="a" * 255))


def test_results_are_sorted_by_a_few_fields_only() -> None:
    assert len(parse_sorting([{"width": "asc"}] * 10)) == 10
    with pytest.raises(ApiError, match="InvalidArgument"):
        parse_sorting([{"width": "asc"}] * 11)
