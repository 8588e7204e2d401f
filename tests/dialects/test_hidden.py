from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.dialects import cos, oss, s3
from gateway.dialects.base import StoreRequest
from gateway.dialects.hidden import HIDDEN, behind, is_hidden, joined, refuse_hidden_source, visible
from gateway.dialects.xml import XmlLimits, parse, write
from gateway.errors import ACCESS_DENIED, ApiError
from gateway.request import HostMap, RequestHead, locate, percent_encode
from gateway.stores.parts import folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.dialects.xml import Node

LIMITS = XmlLimits()
OURS = [f"{folder('k', str(upload))}{number:05}" for upload in range(3) for number in (1, 2, 3)]
KEYS = st.lists(
    st.sampled_from(
        ["a", "a/b", "a/c", "-", ".", ".gateway", ".gateway-parts", ".gateway-parts0", ".h", "&<", "é/1", "z"]
    )
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=4),
    max_size=12,
    unique=True,
)


@dataclass(frozen=True)
class Lister:
    """A store's three listings over sorted keys: `kind` is `1`, `2` or `versions`."""

    keys: Sequence[str]
    kind: str
    encode: bool

    def answer(self, raw_query: str) -> bytes:
        query = {name: value[0] for name, value in parse_qs(raw_query, keep_blank_values=True).items()}
        token = unquote(query["continuation-token"]) if "continuation-token" in query else ""
        begin = {"1": "marker", "2": "start-after", "versions": "key-marker"}[self.kind]
        after = token or query.get(begin, "")
        found = self.entries(query.get("prefix", ""), query.get("delimiter", ""), after)
        page = found[: min(int(query.get("max-keys", "1000")), 1000)]
        more = len(found) > len(page)
        nodes: list[Node] = [("Name", "b"), ("IsTruncated", "true" if more else "false")]
        nodes += [("EncodingType", "url")] if self.encode else []
        nodes += [("KeyCount", str(len(page)))] if self.kind == "2" else []
        row = "Version" if self.kind == "versions" else "Contents"
        nodes += [(row, [("Key", self.text(name)), ("Size", "1")]) for name, common in page if not common]
        nodes += [("CommonPrefixes", [("Prefix", self.text(name))]) for name, common in page if common]
        if more:
            last = page[-1][0] + ("\U0010ffff" if page[-1][1] else "")
            names = {"1": "NextMarker", "2": "NextContinuationToken", "versions": "NextKeyMarker"}
            if self.kind != "1" or "delimiter" in query:
                nodes.append((names[self.kind], quote(last) if self.kind == "2" else self.text(last)))
        return write(("ListBucketResult", nodes))

    def entries(self, prefix: str, delimiter: str, after: str) -> list[tuple[str, bool]]:
        found: dict[tuple[str, bool], None] = {}
        for key in sorted(self.keys, key=str.encode):
            if key.startswith(prefix) and key.encode() > after.encode():
                head, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
                found[(prefix + head + cut, True) if cut else (key, False)] = None
        return list(found)

    def text(self, name: str) -> str:
        return quote(name) if self.encode else name


def walk(lister: Lister, raw_query: str, max_keys: int) -> list[str]:
    """List everything as a client does, through the filter; also checks each page."""
    seen: list[str] = []
    more = ""
    for _ in range(100):
        request = StoreRequest("GET", "", f"{raw_query}&max-keys={max_keys}{more}", ())
        page = visible(lister.answer(request.raw_query))
        document = joined(page, lister.answer(behind(request, page).raw_query)) if page.more else page.document
        root = parse(document, LIMITS)
        rows = [child.children[0].text for child in root.children if child.children]
        names = [unquote(row) if lister.encode else row for row in rows]
        assert len(names) <= max_keys
        assert not any(is_hidden(name) for name in names)
        assert lister.kind != "2" or root.child_text("KeyCount") == str(len(names))
        assert [child.name for child in root.children].count("IsTruncated") == 1
        seen += names
        if root.child_text("IsTruncated") == "false":
            return seen
        assert names, "a client could not tell where to go on"
        more = next_page(root, lister, max(names, key=str.encode))
    raise AssertionError("no end")


def next_page(root: Any, lister: Lister, last: str) -> str:
    if lister.kind == "2":
        return f"&continuation-token={percent_encode(root.child_text('NextContinuationToken'))}"
    name = "NextMarker" if lister.kind == "1" else "NextKeyMarker"
    text = next((child.text for child in root.children if child.name == name), "")
    marker = (unquote(text) if lister.encode else text) or last
    return f"&{'marker' if lister.kind == '1' else 'key-marker'}={percent_encode(marker)}"


@pytest.mark.parametrize("encode", [True, False], ids=["url", "plain"])
@pytest.mark.parametrize("kind", ["1", "2", "versions"])
@example(keys=["a", "<"], ours=1, max_keys=2, delimiter="")  # escaped, it would sort before the hidden ones
@given(keys=KEYS, ours=st.integers(0, len(OURS)), max_keys=st.integers(1, 6), delimiter=st.sampled_from(["", "/"]))
def test_a_client_sees_every_key_but_the_hidden_ones_page_by_page(
    kind: str,
    encode: bool,  # noqa: FBT001 # a case
    keys: list[str],
    ours: int,
    max_keys: int,
    delimiter: str,
) -> None:
    theirs = [key for key in keys if not is_hidden(key)]
    first = {"1": "", "2": "list-type=2", "versions": "versions"}[kind]
    query = f"{first}&delimiter={percent_encode(delimiter)}" if delimiter else first
    alone = Lister(theirs, kind, encode)
    mixed = Lister([*theirs, *OURS[:ours]], kind, encode)
    assert sorted(walk(mixed, query, max_keys)) == sorted(walk(alone, query, max_keys))


def test_a_page_without_hidden_keys_comes_back_to_the_byte() -> None:
    rows = b"<Contents>\n<Key>gateway-parts/x</Key> </Contents><Contents><Key>\xff</Key></Contents>"
    document = b"<?xml?>\n<R xmlns='x'> " + rows + b"</R>"
    assert visible(document).document is document


def test_whoever_asks_for_the_hidden_keys_gets_an_empty_list() -> None:
    lister = Lister([*OURS, "a"], "2", encode=True)
    query = f"list-type=2&prefix={percent_encode(HIDDEN)}"
    assert walk(lister, query, 2) == []


def test_other_fields_of_a_listing_stay() -> None:
    document = (
        b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Prefix></Prefix><KeyCount>2</KeyCount>'
        b"<IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>"
        b"<Contents><Key>.gateway-parts%2F0/1</Key></Contents><Contents><Key>b</Key></Contents></ListBucketResult>"
    )
    assert visible(document).document == document.replace(
        b"<Contents><Key>.gateway-parts%2F0/1</Key></Contents>", b""
    ).replace(b"<KeyCount>2<", b"<KeyCount>1<")


@pytest.mark.parametrize("key", [b"%2Egateway-parts/1", b".gateway-parts%2F1"])
def test_a_key_that_looks_hidden_when_it_is_decoded_twice_is_shown(key: bytes) -> None:
    row = b"<Contents><Key>%b</Key></Contents>"
    assert visible(row % key).document == row % key
    encoded = b"<EncodingType>url</EncodingType>" + row % percent_encode(key.decode()).encode()
    assert visible(encoded).document == encoded


HOSTS = HostMap((), {})


@pytest.mark.parametrize("dialect", [s3, oss, cos], ids=["s3", "oss", "cos"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path", [f"/b/{OURS[0]}", "/b/%2egateway-parts%2F0", "/b//.gateway-parts/0", "/b/.gateway-parts/"]
)
def test_no_dialect_reaches_a_hidden_key(dialect: Any, method: str, path: str) -> None:
    head = RequestHead(method, path, "", "host", (("host", "host"),))
    with pytest.raises(ApiError) as raised:
        dialect.interpret(head, locate(head, HOSTS))
    assert raised.value.kind is ACCESS_DENIED


@pytest.mark.parametrize(
    ("dialect", "header", "value"),
    [
        (s3, "x-amz-copy-source", f"b/{OURS[0]}"),
        (s3, "x-amz-copy-source", "/b/%2Egateway-parts/0?versionId=1"),
        (oss, "x-oss-copy-source", f"/b/{OURS[0]}"),
        (cos, "x-cos-copy-source", f"b.cos.ap-x.myqcloud.com/{OURS[0]}"),
    ],
)
def test_no_dialect_copies_a_hidden_key(dialect: Any, header: str, value: str) -> None:
    head = RequestHead("PUT", "/b/k", "", "host", (("host", "host"), (header, value)))
    with pytest.raises(ApiError) as raised:
        dialect.interpret(head, locate(head, HOSTS))
    assert raised.value.kind is ACCESS_DENIED
    refuse_hidden_source((("x-amz-copy-source", "b/k"),))


def test_other_keys_are_nobodys_business() -> None:
    assert not any(map(is_hidden, ["", ".gateway-parts", ".gateway-parts0/a", "a/.gateway-parts/x", "gateway-parts/"]))
