from __future__ import annotations

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ENTITY_TOO_SMALL, ApiError
from gateway.journeys.part_plan import MERGED_BYTES, check_list, combined_etag, pieces_of, same_etag
from gateway.stores.uploads import MAX_PARTS, MIN_PART_BYTES, Part

MB = 1024 * 1024
ANY_PARTS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([1, 100 * 1024, MB, MIN_PART_BYTES - 1, MIN_PART_BYTES, 40 * MB])),
    min_size=1,
    max_size=60,
)


def parts_of(rows: list[tuple[bool, int]]) -> list[Part]:
    """Parts with gaps between their numbers; the store's own are large, as `put_part` sees to."""
    return [
        Part(3 * number, str(number), size if hidden else max(size, MIN_PART_BYTES), hidden=hidden)
        for number, (hidden, size) in enumerate(rows, 1)
    ]


@given(ANY_PARTS)
def test_pieces_hold_every_part_once_in_order_and_only_the_last_is_small(rows: list[tuple[bool, int]]) -> None:
    parts = parts_of(rows)
    runs = [list(run) for _, run in groupby(parts, key=lambda part: part.hidden)]
    if any(run[0].hidden and sum(part.size for part in run) < MIN_PART_BYTES for run in runs[:-1]):
        with pytest.raises(ApiError) as raised:
            pieces_of(parts)
        assert raised.value.kind is ENTITY_TOO_SMALL
        return
    pieces = pieces_of(parts)
    assert [part for piece in pieces for part in piece.parts] == parts
    assert all(piece.length >= MIN_PART_BYTES for piece in pieces[:-1])
    numbers = [piece.number for piece in pieces]
    assert numbers == sorted(set(numbers))
    hidden = {part.number for part in parts if part.hidden}
    for piece in pieces:
        sent = piece.parts[0].hidden
        assert all(part.hidden is sent for part in piece.parts)
        assert piece.number in hidden if sent else piece.number == piece.parts[0].number


@given(st.lists(st.integers(0, 8 * MB), min_size=1, max_size=60))
def test_small_parts_alone_are_never_too_small(sizes: list[int]) -> None:
    pieces = pieces_of(parts_of([(True, size) for size in sizes]))
    assert all(MERGED_BYTES <= piece.length < MERGED_BYTES + 8 * MB for piece in pieces[:-1])


def test_ten_thousand_parts_of_a_megabyte_stay_below_a_thousand_pieces() -> None:
    parts = [Part(number, "x", MB, hidden=True) for number in range(1, MAX_PARTS + 1)]
    pieces = pieces_of(parts)
    assert [piece.number for piece in pieces] == list(range(1, 626))


def test_a_rest_that_is_too_small_goes_with_what_is_before_it() -> None:
    sizes = [(True, MERGED_BYTES), (True, 7), (False, 5 * MB), (True, 8)]
    assert [len(piece.parts) for piece in pieces_of(parts_of(sizes))] == [2, 1, 1]


def test_a_list_of_ten_thousand_parts_is_the_longest() -> None:
    check_list([(number, "x") for number in range(1, MAX_PARTS + 1)])
    with pytest.raises(ApiError):
        check_list([(number, "x") for number in range(MAX_PARTS + 1)])


def test_the_combined_tag_is_the_one_that_s3_documents() -> None:
    # Two parts: MD5("a") and MD5("b"); computed with md5sum.
    tags = ['"0cc175b9c0f1b6a831c399e269772661"', "92eb5ffee6ae2fec3ad71c777531578f"]
    assert combined_etag(tags) == "96e024ba2074fe77e8e965ba43a704be-2"
    assert combined_etag(["no-md5"]) == ""


def test_a_tag_that_is_not_there_equals_none() -> None:
    assert not same_etag("", "")
    assert same_etag('"AB"', "ab")
