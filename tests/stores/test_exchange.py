"""Connections to a store, spoken to byte by byte."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import warnings
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import aiohttp
import pytest

from gateway.stores import exchange
from gateway.stores.exchange import Line, UnreachableError
from gateway.tls import store_context
from tests.journeys.neighbourhood import until
from tests.stores.pieces import CHUNKS, CLOSE, END, LONG, OK, RESET, Store, store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


@asynccontextmanager
async def new_line(
    connect_s: float | None = 5, answer_s: float | None = 5, idle_s: float | None = None
) -> AsyncIterator[Line]:
    line = Line(store_context("", verify=True), connect_s, answer_s, idle_s)
    try:
        yield line
    finally:
        await line.close()


async def fetched(line: Line, place: Store, method: str = "GET") -> tuple[int, bytes]:
    answer = await line.ask(method, place.endpoint, "/a", (("host", "store"),))
    try:
        return answer.status, await answer.content.read()
    finally:
        answer.close()


@pytest.mark.parametrize("value", ["a\r\nx-amz-acl: public-read", "a\nb", "a\rb", "a\0b"])
async def test_a_line_break_inside_of_a_header_never_reaches_the_store(value: str) -> None:
    async with new_line() as line:
        with pytest.raises(ValueError, match="a line break"):
            await line.ask("GET", "http://127.0.0.1:1", "/a", (("host", "127.0.0.1:1"), ("range", value)))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("apart", [False, True])
async def test_an_interim_answer_is_not_the_answer(method: str, apart: bool) -> None:  # noqa: FBT001
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    final = OK if method == "GET" else OK[:-2]
    async with store([hints, final] if apart else hints + final, final) as place, new_line() as line:
        assert await fetched(line, place, method) == (200, b"ok" if method == "GET" else b"")
        await fetched(line, place, method)
        assert place.used == [1, 1]


async def test_an_answer_that_is_no_http_is_an_error() -> None:
    async with store(b"SSH-2.0-OpenSSH\r\n\r\n") as place, new_line() as line:
        with pytest.raises(aiohttp.ClientPayloadError):
            await fetched(line, place)
        await until(lambda: place.ended == [1])


@pytest.mark.parametrize(
    ("method", "first"),
    [
        ("GET", OK),
        ("GET", CHUNKS + b"2\r\nok\r\n0\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: a\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
        ("GET", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
    ],
)
async def test_a_connection_is_used_again_when_its_answer_has_ended(method: str, first: bytes) -> None:
    async with store(first, OK, [OK[:-2], b"ok"]) as place, new_line() as line:
        await fetched(line, place, method)
        assert await fetched(line, place) == (200, b"ok")
        assert await fetched(line, place) == (200, b"ok")
        assert place.used == [1, 1, 1]


@pytest.mark.parametrize(
    ("method", "first", "expected"),
    [
        ("GET", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", (200, b"ok")),
        ("GET", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", (200, b"ok")),
        ("GET", OK + OK, (200, b"ok")),
        ("GET", [OK[:-1], b"k" + OK], (200, b"ok")),
        ("GET", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", (101, b"")),
        ("HEAD", CHUNKS, (200, b"")),
        ("HEAD", CHUNKS + b"0\r\n\r\n", (200, b"")),  # as Ceph RGW answers
        ("HEAD", [CHUNKS[:30], CHUNKS[30:] + b"0\r\n\r\n"], (200, b"")),
        ("HEAD", [CHUNKS, b"0\r\n\r\n"], (200, b"")),
        ("HEAD", OK, (200, b"")),
        ("HEAD", b"HTTP/1.1 404 Not Found\r\n\r\n", (404, b"")),
    ],
)
async def test_nothing_follows_an_answer_behind_which_more_may_come(
    method: str, first: bytes | Sequence[bytes], expected: tuple[int, bytes]
) -> None:
    async with store(first, OK) as place, new_line() as line:
        assert await fetched(line, place, method) == expected
        assert await fetched(line, place) == (200, b"ok")
        assert place.used == [1, 2]
        await until(lambda: 1 in place.ended)


async def test_an_answer_of_very_many_chunks_does_not_hold_back_the_next_one() -> None:
    """aiohttp's parser pauses behind 8,192 chunks that nobody has read."""
    many = CHUNKS + b"1\r\na\r\n" * 8193 + b"0\r\n\r\n"
    async with store(many, OK) as place, new_line() as line:
        assert await fetched(line, place) == (200, b"a" * 8193)
        assert await asyncio.wait_for(fetched(line, place), 5) == (200, b"ok")
        assert place.used == [1, 1]


async def test_a_second_try_is_by_a_new_connection() -> None:
    """Where one kept connection has died unnoticed, the others have too."""
    async with store(OK, OK, [RESET], OK) as place, new_line() as line:
        for answer in await asyncio.gather(*(line.ask("GET", place.endpoint, "/", (("host", "a"),)) for _ in range(2))):
            await answer.content.read()
        assert await fetched(line, place) == (200, b"ok")
        assert place.used[2:] in ([1, 3], [2, 3])


async def test_bytes_that_nobody_asked_for_end_a_connection() -> None:
    async with store(OK, OK) as place, new_line() as line:
        await fetched(line, place)
        place.connections[0].write(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await until(lambda: place.ended == [1])
        assert await fetched(line, place) == (200, b"ok")
        assert place.used == [1, 2]


async def test_a_head_without_an_end_is_an_error() -> None:
    endless = [b"HTTP/1.1 200 OK\r\n", *[b"a: %b\r\n" % bytes(60_000)] * 10]
    async with store(endless) as place, new_line() as line:
        with pytest.raises(aiohttp.ClientPayloadError):
            await fetched(line, place, "HEAD")


@pytest.mark.parametrize("first", [[OK[:20], CLOSE], [CLOSE], [RESET]])
async def test_a_connection_that_ends_before_an_answer_is_tried_once_more(first: Sequence[bytes]) -> None:
    async with store(first, OK, first, first, OK) as place, new_line() as line:
        assert await fetched(line, place) == (200, b"ok")
        with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await fetched(line, place)
        assert len(place.heads) == 4


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    async with store([END + b"a", b"b", CLOSE], OK) as place, new_line() as line:
        assert await fetched(line, place) == (200, b"ab")
        assert await fetched(line, place) == (200, b"ok")


@pytest.mark.parametrize(
    "pieces", [[LONG + b"a", CLOSE], [CHUNKS + b"2\r\nok\r\n", CLOSE], [LONG + b"a", RESET], [END + b"a", RESET]]
)
async def test_half_a_body_is_an_error(pieces: Sequence[bytes]) -> None:
    async with store(pieces) as place, new_line() as line:
        with pytest.raises(aiohttp.ClientPayloadError):
            await fetched(line, place)


async def test_a_body_that_is_not_framed_as_http_wants_it_is_an_error() -> None:
    async with store([CHUNKS, b"2\r\nok\r\nno number\r\n"], OK) as place, new_line() as line:
        with pytest.raises(aiohttp.ClientError):
            await fetched(line, place)
        assert await fetched(line, place) == (200, b"ok")
        assert place.used == [1, 2]


async def test_an_answer_may_not_be_waited_for_for_ever() -> None:
    async with store([]) as place, new_line(answer_s=0.2) as line:
        with pytest.raises(TimeoutError):
            await fetched(line, place)
        await until(lambda: place.ended == [1])


async def test_nor_the_rest_of_a_body() -> None:
    async with store([LONG + b"a"]) as place, new_line(idle_s=0.2) as line:
        with pytest.raises(TimeoutError):
            await fetched(line, place)
        await until(lambda: place.ended == [1])


async def test_as_long_as_a_body_moves_it_may_take_its_time() -> None:
    pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n", *[b"a"] * 30]  # 0.6 s
    async with store(pieces) as place, new_line(answer_s=0.2, idle_s=0.2) as line:
        assert await fetched(line, place) == (200, b"a" * 30)


async def test_a_store_is_not_blamed_for_whoever_reads_slowly() -> None:
    async with store([LONG + bytes(4_000_000)], OK) as place, new_line(idle_s=0.2) as line:
        answer = await line.ask("GET", place.endpoint, "/a", ())
        assert (answer.idle_s, answer.status) == (0.2, 200)
        await asyncio.sleep(0.6)
        assert not answer.content.is_eof()  # held back
        assert len(await answer.content.read()) == 4_000_000
        assert await fetched(line, place) == (200, b"ok")
        assert place.used == [1, 1]


async def test_what_is_left_of_one_answer_does_not_read_on_in_another_that_is_held() -> None:
    """A slow reader takes the rest of its body from memory while somebody else has the next answer on the socket."""
    rest = b"b" * 200_000
    chunk = b"%x\r\n%b\r\n" % (100_000, b"a" * 100_000)
    many = CHUNKS + chunk + chunk + b"0\r\n\r\n"
    slow = b"HTTP/1.1 200 OK\r\nContent-Length: 200001\r\n\r\n."
    async with store(many, [slow, rest]) as place, new_line() as line:
        first = await line.ask("GET", place.endpoint, "/a", (("host", "store"),))
        await until(first.content.is_eof)
        second = await line.ask("GET", place.endpoint, "/b", (("host", "store"),))
        assert (place.used, second.content.read_nowait()) == ([1, 1], b".")
        assert second.pause()
        assert await first.content.read() == b"a" * 200_000
        await asyncio.sleep(0.1)
        with socket.socket(fileno=os.dup(second.socket)) as held:
            taken = b""
            async with asyncio.timeout(5):
                while len(taken) < len(rest):
                    with suppress(BlockingIOError):
                        taken += held.recv(len(rest))
                    await asyncio.sleep(0.01)
        second.taken()
        assert taken == rest
        assert second.content.is_eof()


async def test_a_connection_whose_client_goes_while_it_is_made_is_kept_for_the_next_one() -> None:
    with warnings.catch_warnings(record=True) as lost:
        warnings.simplefilter("always")
        async with store(*[OK] * 60) as place, new_line() as line:
            for turns in range(12):
                asking = asyncio.create_task(line.ask("GET", place.endpoint, "/", (("host", "store"),)))
                for _ in range(turns):
                    await asyncio.sleep(0)
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                await asyncio.sleep(0.02)
                assert len(line._connections) <= 1, "the next one takes it"
            assert await fetched(line, place) == (200, b"ok")
        gc.collect()
    assert [str(each.message) for each in lost] == []


async def test_whoever_gives_up_waiting_takes_the_connection_with_him() -> None:
    async with store([]) as place, new_line() as line:
        waiting = asyncio.create_task(fetched(line, place))
        await until(lambda: len(place.heads) > 0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await until(lambda: place.ended == [1])


@pytest.mark.parametrize("gone_before", [False, True])
@pytest.mark.parametrize("answer", [OK, LONG])
async def test_an_answer_that_comes_when_its_client_goes_is_nobody_s(answer: bytes, gone_before: bool) -> None:  # noqa: FBT001
    async with store([], OK) as place, new_line() as line:
        asking = asyncio.create_task(line.ask("GET", place.endpoint, "/a", ()))
        await until(lambda: len(place.heads) > 0)
        [connection] = line._connections  # the moment after an answer cannot be met from outside
        if gone_before:
            asking.cancel()
        connection.data_received(answer)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await fetched(line, place) == (200, b"ok")
        assert place.used == ([1, 2] if gone_before or answer is LONG else [1, 1])


async def test_half_read_answers_are_cut() -> None:
    async with store(LONG, OK) as place, new_line() as line:
        (await line.ask("GET", place.endpoint, "/a", ())).close()
        await until(lambda: place.ended == [1])
        assert await fetched(line, place) == (200, b"ok")


async def test_each_of_those_who_ask_at_once_has_a_connection_and_the_last_one_used_comes_first() -> None:
    async with store(*[OK] * 6) as place, new_line() as line:
        await asyncio.gather(*(fetched(line, place) for _ in range(3)))
        assert sorted(place.used) == [1, 2, 3]
        await fetched(line, place)
        await fetched(line, place)
        await fetched(line, place)
        assert len(set(place.used[3:])) == 1


async def test_a_connection_that_nobody_needs_is_closed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_KEPT_S", 0.3)
    monkeypatch.setattr(exchange, "_LOOK_EVERY_S", 0.05)
    async with store(*[OK] * 20) as place, new_line() as line:
        for _ in range(8):  # longer than it is kept, but it is needed
            await fetched(line, place)
            await asyncio.sleep(0.06)
        assert place.used == [1] * 8
        await until(lambda: place.ended == [1])
        await fetched(line, place)
        assert place.used[-1] == 2


@pytest.mark.parametrize("half", [LONG + b"a", END + b"a"])
async def test_a_line_that_is_closed_keeps_nothing_and_ends_no_body(half: bytes) -> None:
    async with store(OK, half) as place, new_line() as line:
        await fetched(line, place)
        answer = await line.ask("GET", place.endpoint, "/a", ())
        await line.close()
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.content.read()
        await until(lambda: place.ended == [1])


@pytest.mark.parametrize("origin", ["http://127.0.0.1:1", "http://no-such-name.invalid:80", "http://[::1]:1"])
async def test_where_nobody_listens_nothing_is_sent(origin: str) -> None:
    async with new_line() as line:
        with pytest.raises(UnreachableError):
            await line.ask("GET", origin, "/a", ())


async def test_a_connection_has_to_be_there_in_time() -> None:
    with socket.socket() as full:  # the kernel takes no more than it may keep waiting
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(8)]
        for each in waiting:
            each.setblocking(False)  # noqa: FBT003
            each.connect_ex(address)
        async with new_line(connect_s=0.2) as line:
            with pytest.raises(UnreachableError, match="TimeoutError"):
                await line.ask("GET", f"http://127.0.0.1:{address[1]}", "/a", ())
        for each in waiting:
            each.close()
