from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.body.digest import AsIs, BodyFilter, Sha256Filter
from gateway.errors import CONTENT_SHA256_MISMATCH, ApiError


def passed(body_filter: BodyFilter, pieces: list[bytes]) -> tuple[bytes, bytes]:
    before = b"".join(body_filter.feed(piece) for piece in pieces)
    return before, body_filter.finish()


@given(st.lists(st.binary(max_size=20)))
def test_any_split_gives_the_same_body_and_the_last_byte_waits_for_the_proof(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    before, last = passed(Sha256Filter(hashlib.sha256(whole).hexdigest()), pieces)
    assert before + last == whole
    assert len(last) == min(1, len(whole))


@given(st.lists(st.binary(max_size=20)), st.binary(min_size=1, max_size=3))
def test_a_body_that_differs_is_refused_before_its_last_byte(pieces: list[bytes], extra: bytes) -> None:
    body_filter = Sha256Filter(hashlib.sha256(b"".join(pieces)).hexdigest())
    before = b"".join(body_filter.feed(piece) for piece in [*pieces, extra])
    assert len(before) == len(b"".join(pieces) + extra) - 1
    with pytest.raises(ApiError) as caught:
        body_filter.finish()
    assert caught.value.kind is CONTENT_SHA256_MISMATCH


def test_an_unsigned_body_passes_as_it_comes() -> None:
    assert passed(AsIs(), [b"ab", b"", b"c"]) == (b"abc", b"")
