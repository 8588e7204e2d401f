"""Odd requests byte by byte, to a store and to the gateway before it: the same answer, or a difference that is told.

The differences stand in the table of `docs/http.md`, which is read here: a row that is wrong, missing or needless
fails.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.http.cases import CASES, CONTENT, FUTURE, NEW, PAST
from tests.http.raw import BUCKET, OBJECT, Ask, Conversation, converse
from tests.served import Place, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.http.cases import Case
    from tests.http.raw import Answer

pytestmark = pytest.mark.store

STORES = {"swift": "Swift", "rgw": "RGW"}
SETTINGS = f'[buckets.{BUCKET}]\nanonymous = "store"\n'
ROW = re.compile(
    r"^\| (?!request )(?P<name>[^|]+?) \| (?P<Swift>[^|]+?) \| (?P<RGW>[^|]+?) \| (?P<gateway>[^|]+?) \| [^|]+ \|$",
    re.MULTILINE,
)
TABLE = {row["name"].replace("`", ""): row.groupdict() for row in ROW.finditer((ROOT / "docs" / "http.md").read_text())}
# The hops' own words, and those that `docs/http.md` tells of errors.
OWN = frozenset({"date", "server", "connection", "keep-alive", "x-amz-request-id", "x-amz-id-2"})
OWN_SWIFT = frozenset({"x-trans-id", "x-openstack-request-id"})
OF_ERRORS = frozenset({"content-length", "content-type", "cache-control", "accept-ranges"})


@dataclass(frozen=True)
class Pair:
    """A store, the gateway before it, and what stands for the object's validators in a case."""

    name: str
    store: Place
    gateway: Place
    words: dict[bytes, bytes]

    def ask(self, case: Case, via: str) -> tuple[str, list[object]]:
        """Hold the conversation; return it in short, and all that must be the same as well."""
        asks = tuple(self._filled(ask) for ask in case.asks)
        held = converse(self.gateway if via == "gateway" else self.store, asks, via, half_close=case.half_close)
        left = self._take_away(via) if case.stores else None
        return in_short(held, left, looked=case.stores), [
            *(told(answer, is_new=case.stores) for answer in held.answers),
            left,
        ]

    def _filled(self, ask: Ask) -> Ask:
        lines = ask.lines
        for word, meant in self.words.items():
            lines = lines.replace(word, meant)
        return replace(ask, lines=lines)

    def _take_away(self, via: str) -> bytes | None:
        path = NEW.format(via=via)
        status, _, body = self.store.request("GET", path)
        if status == 200:
            self.store.request("DELETE", path)
        return body if status == 200 else None


@pytest.fixture(scope="module", params=list(STORES))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    store: Place = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp(f"raw-{request.param}")
    with serving(folder, f"http://{store.authority}", store.key_id, store.secret.reveal(), SETTINGS) as gateway:
        assert store.request("PUT", f"/{BUCKET}")[0] == 200
        assert store.request("PUT", OBJECT, (("content-type", "text/plain"),), CONTENT)[0] == 200
        assert store.request("PUT", f"/{BUCKET}/empty")[0] == 200
        headers = store.request("HEAD", OBJECT)[1]
        tag, date = headers["etag"].encode(), headers["last-modified"].encode()
        words = {b"{tag}": tag, b"{bare}": tag.strip(b'"'), b"{date}": date, b"{past}": PAST, b"{future}": FUTURE}
        yield Pair(STORES[request.param], store, gateway.place, words)


def in_short(held: Conversation, left: bytes | None, *, looked: bool) -> str:
    answers = ", ".join(f"{answer.status} {answer.code}".strip() for answer in held.answers) or "no answer"
    kept = "" if not looked else "; nothing kept" if left is None else f"; {len(left)} bytes kept"
    return answers + kept + ("" if held.closed else "; left open")


def told(answer: Answer, *, is_new: bool) -> object:
    """Return what must be the same: status, headers, bytes; an error's code, but not its words."""
    left_out = OWN | OWN_SWIFT | (OF_ERRORS if answer.status >= 400 else frozenset())
    if answer.status == 204:
        left_out |= {"content-length"}  # RFC 9110 section 8.6 forbids it there
    if is_new:
        left_out |= {"last-modified"}  # each of the two put an object of its own
    headers = {name: value for name, value in answer.headers.items() if name not in left_out}
    body = answer.code.encode() if answer.status >= 400 else answer.body
    boundary = headers.get("content-type", "").partition("boundary=")[2]  # drawn anew for each answer
    if boundary:
        headers["content-type"], body = "multipart", body.replace(boundary.encode(), b"")
    return answer.status, headers, body


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_odd_request_gets_the_stores_answer_or_the_one_that_is_documented(pair: Pair, case: Case) -> None:
    (direct, all_direct), (through, all_through) = pair.ask(case, "direct"), pair.ask(case, "gateway")
    row = TABLE.get(case.name)
    if row is None:
        assert through == direct
    else:
        assert (direct, through) == (row[pair.name], row["gateway"])
    if through == direct:
        assert all_through == all_direct


def test_what_a_store_sends_behind_an_answer_to_head_reaches_nobody(pair: Pair) -> None:
    """Ceph RGW ends its answer to `HEAD /` with a last chunk, where no client that reuses a connection expects one."""
    head = Ask("HEAD", "/", close=False)
    held = converse(pair.gateway, (head, head, Ask()), "gateway")
    of_the_service = 200 if pair.name == "RGW" else 405
    assert [answer.status for answer in held.answers] == [of_the_service, of_the_service, 200]
    assert held.answers[-1].body == CONTENT


def test_every_row_of_the_table_tells_a_difference_of_a_request_that_is_tried() -> None:
    assert TABLE.keys() <= {case.name for case in CASES}
    assert [name for name, row in TABLE.items() if row["Swift"] == row["RGW"] == row["gateway"]] == []
    assert len(TABLE) > 20, "the table was not found"
