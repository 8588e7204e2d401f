from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import pytest

from gateway.credentials import Credential, Identity, Statement
from gateway.dialects.xml import XmlError
from gateway.journeys.batch_delete import MAX_KEYS, named_keys
from tests.digests import content_md5
from tests.harness import SECRET, running_gateway

if TYPE_CHECKING:
    from tests.fake_store import FakeStore

XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
LIMITED = Identity("limited", (Statement("allow", ("*",), ("demo*",)), Statement("deny", ("*",), ("demo/private/*",))))
CLIENTS = {
    "LIMITED": Credential("LIMITED", SECRET, LIMITED),
    "FULL": Credential("FULL", SECRET, Identity("full", (Statement("allow", ("*",), ("demo/*",)),))),
}


def document(*objects: str, start: str = "<Delete>", end: str = "</Delete>") -> bytes:
    return (start + "".join(f"<Object>{each}</Object>" for each in objects) + end).encode()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (document("<Key>a</Key>", "<Key>b/c</Key>"), [("a", False), ("b/c", False)]),
        (
            document("<Key>a</Key><VersionId>1</VersionId><ETag>e</ETag><Size>1</Size>", start=f"<Delete {XMLNS}>"),
            [("a", True)],
        ),
        (document("<Key>a</Key><VersionId/>", start="<Delete>\n <Quiet>true</Quiet>"), [("a", False)]),
        (document("<Key>a</Key>", start='<?xml version="1.0" encoding="UTF-8"?>\n<Delete>'), [("a", False)]),
        (document("<Key> &lt;a&#38;&#x62; </Key>"), [(" <a&b ", False)]),
        (document("<Key>\u00e9</Key>", start="<?xml version='1.0' encoding='utf-8' ?><Delete>"), [("\u00e9", False)]),
        (b"\xef\xbb\xbf" + document("<Key>a</Key>"), [("a", False)]),
        (document(*["<Key>a</Key><VersionId>1</VersionId>"] * MAX_KEYS), [("a", True)] * MAX_KEYS),
    ],
)
def test_the_keys_are_read_as_the_store_will_read_them(body: bytes, expected: list[tuple[str, bool]]) -> None:
    assert list(named_keys(body)) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<Delete/>",
        b"<Delete><Quiet>true</Quiet></Delete>",
        document("<Key>a</Key>", start="<Remove>", end="</Remove>"),
        document("<Key/>"),
        document("<VersionId>1</VersionId>"),
        document("<Key>a</Key><Key>b</Key>"),
        document("<Key>a</Key><key>b</key>"),
        document("<Key>a<b/>c</Key>"),
        document("<Key>a<!-- -->b</Key>"),
        document("<Key>a<![CDATA[b]]></Key>"),
        document("<Key>a<?b c?></Key>"),
        document("<Key>a</Key>", start="<Delete><Object2><Key>b</Key></Object2>"),
        document("<Key>a</Key>", start="<!DOCTYPE Delete><Delete>"),
        document("<Key>+AHA-</Key>", start='<?xml version="1.0" encoding="UTF-7"?><Delete>'),
        document("<Key>a</Key>", start='<?xml version="1.0" encoding = "latin-1"?><Delete>'),
        document("<Key>a</Key>").decode().encode("utf-16"),
        document(*["<Key>a</Key>"] * (MAX_KEYS + 1)),
        document("<Key>a</Key>")[:-3],
    ],
)
def test_a_document_that_two_parsers_might_read_differently_is_not_read(body: bytes) -> None:
    with pytest.raises(XmlError):
        list(named_keys(body))


@pytest.mark.parametrize(
    ("who", "body", "status"),
    [
        ("LIMITED", document("<Key>public/a</Key>", "<Key>b</Key>"), 200),
        ("LIMITED", document("<Key>public/a</Key>", "<Key>private/b</Key>"), 403),
        ("LIMITED", document("<Key>b</Key>", "<Key>private/b</Key><VersionId>1</VersionId>"), 403),
        ("LIMITED", document("<Key> private/b</Key>"), 403),
        ("LIMITED", document("<Key>&#112;rivate/b</Key>"), 403),
        ("LIMITED", document("<Key>.gateway-parts/0/00001</Key>"), 403),
        ("LIMITED", b"<Delete>", 400),
        ("LIMITED", b"", 400),
        ("LIMITED", document(f"<Key>{'a' * 1000}</Key>") + b" " * (2 * 1024 * 1024), 400),
        ("FULL", document("<Key>private/b</Key>"), 200),
        ("FULL", b"<Delete>", 200),
    ],
)
async def test_a_batch_delete_does_what_its_client_may_and_nothing_at_all_otherwise(
    store: FakeStore, who: str, body: bytes, status: int
) -> None:
    store.faults["/demo"] = "error:200:Done"
    digest = {"Content-MD5": content_md5(body)}
    async with running_gateway(store.endpoint, clients=CLIENTS) as gateway:
        url = gateway.s3_url("/demo", "delete=", key_id=who, method="POST")
        got, _, answer = await gateway.request("POST", url, data=BytesIO(body), headers=digest)
    assert got == status, answer
    assert [seen.body for seen in store.seen] == ([body] if status == 200 else [])
    assert b"private/b" not in answer


async def test_a_checked_body_still_has_to_be_what_its_digest_says(store: FakeStore) -> None:
    body = document("<Key>a</Key>")
    digest = {"Content-MD5": content_md5(b"other")}
    async with running_gateway(store.endpoint, clients=CLIENTS) as gateway:
        url = gateway.s3_url("/demo", "delete=", key_id="LIMITED", method="POST")
        got, _, answer = await gateway.request("POST", url, data=body, headers=digest)
    assert (got, store.seen) == (400, [])
    assert b"BadDigest" in answer
