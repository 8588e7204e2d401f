"""Streams kept aside, cut, and waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ENTITY_TOO_LARGE, REQUEST_TIMEOUT, ApiError
from gateway.stores.spool import in_time, kept_aside, pieces, spooled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

streams = st.lists(st.binary(max_size=20), max_size=12)


async def stream(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def whole(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


@given(streams, st.integers(0, 100))
def test_a_stream_comes_again_whole_with_its_length_if_it_was_kept(chunks: list[bytes], limit: int) -> None:
    async def again() -> tuple[bytes, int | None]:
        async with kept_aside(stream(chunks), limit) as kept:
            return await whole(kept.chunks), kept.length

    expected = b"".join(chunks)
    assert asyncio.run(again()) == (expected, len(expected) if len(expected) <= limit else None)


@given(streams, st.integers(1, 50))
def test_a_stream_is_cut_into_equal_pieces_and_a_shorter_last_one(chunks: list[bytes], size: int) -> None:
    async def cut() -> list[tuple[bytes, int]]:
        return [(await whole(piece), length) async for piece, length in pieces(stream(chunks), size)]

    expected = b"".join(chunks)
    wanted = [expected[start : start + size] for start in range(0, len(expected), size)]
    assert asyncio.run(cut()) == [(piece, len(piece)) for piece in wanted]


async def test_pieces_beyond_memory_are_cut_the_same() -> None:
    data = bytes(range(256)) * 20_000
    cut = [await whole(piece) async for piece, _ in pieces(stream([data]), 2_000_000)]
    assert cut == [data[:2_000_000], data[2_000_000:4_000_000], data[4_000_000:]]


async def test_a_stream_beyond_the_limit_is_refused_with_the_error_given() -> None:
    too_large = ApiError(ENTITY_TOO_LARGE)
    with pytest.raises(ApiError) as refusal:
        async with spooled(stream([b"abc", b"d"]), 3, too_large):
            pass
    assert refusal.value is too_large


async def test_a_silent_stream_is_given_up() -> None:
    async def silent() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(60)

    received = in_time(silent(), 0.05)
    assert await anext(received) == b"a"
    with pytest.raises(ApiError) as refusal:
        await anext(received)
    assert refusal.value.kind is REQUEST_TIMEOUT
