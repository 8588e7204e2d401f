from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.dialects.request_documents import complete_upload, create_bucket, delete_objects
from gateway.dialects.xml import XmlLimits, parse
from gateway.errors import INVALID_ARGUMENT, MALFORMED_XML, ApiError, ErrorKind

if TYPE_CHECKING:
    from collections.abc import Callable

START = '<?xml version="1.0" encoding="UTF-8"?>\n<{} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
ONE = "<Object><Key>a</Key></Object>"
PART = "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>"


def deletion(*inner: str, start: str = "") -> bytes:
    return f"{start}<Delete>{''.join(inner)}</Delete>".encode()


def completion(*inner: str, start: str = "") -> bytes:
    return f"{start}<CompleteMultipartUpload>{''.join(inner)}</CompleteMultipartUpload>".encode()


def keys(document: bytes) -> list[tuple[str, str]]:
    root = parse(document, XmlLimits())
    rows = [child for child in root.children if child.name == "Object"]
    return [(next(c.text for c in row.children if c.name == "Key"), row.child_text("VersionId")) for row in rows]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (deletion("<Quiet>false</Quiet>", "<Object><Key>a b</Key></Object>"), [("a b", "")]),
        (deletion("<Quiet/>", "<Object><Key> &lt;&amp;&#x56fe;</Key></Object>"), [(" <&\u56fe", "")]),
        (deletion("<Object>\n<Key>a</Key><VersionId>v</VersionId></Object>", ONE), [("a", "v"), ("a", "")]),
        (deletion(ONE, start="<?xml version='1.0'?>\n"), [("a", "")]),
        (deletion(*[ONE] * 1000), [("a", "")] * 1000),
    ],
)
def test_a_batch_delete_names_the_same_keys_in_s3_s_words(body: bytes, expected: list[tuple[str, str]]) -> None:
    written = delete_objects(body)
    assert written.startswith(START.format("Delete").encode())
    assert keys(written) == expected
    assert b"Quiet" not in written


@pytest.mark.parametrize("body", [deletion(ONE, "<Quiet>true</Quiet>"), deletion("<Quiet>true</Quiet>", ONE)])
def test_a_quiet_batch_delete_stays_quiet_wherever_it_says_so(body: bytes) -> None:
    assert b"<Quiet>true</Quiet>" in delete_objects(body)


def test_parts_are_completed_in_s3_s_words() -> None:
    body = completion(
        "\n", PART.format(1, "&quot;e&quot;"), "<Part><ETag>f</ETag><PartNumber>10000</PartNumber></Part>"
    )
    expected = completion(PART.format(1, '"e"'), PART.format(10_000, "f")).decode()
    started = START.format("CompleteMultipartUpload")
    assert complete_upload(body).decode() == expected.replace("<CompleteMultipartUpload>", started)


def test_ten_thousand_parts_are_taken_and_one_more_is_not() -> None:
    part = PART.format(1, "0123456789abcdef0123456789abcdef")
    assert complete_upload(completion(*[part] * 10_000)).count(b"<Part>") == 10_000
    with pytest.raises(ApiError, match="1 to 10000 parts"):
        complete_upload(completion(*[part] * 10_001))


def test_what_a_vendor_says_about_a_new_bucket_is_read_and_left_out() -> None:
    body = b"<CreateBucketConfiguration><StorageClass>IA</StorageClass></CreateBucketConfiguration>"
    assert (create_bucket(body), create_bucket(b""), create_bucket(b"\n")) == (b"", b"", b"")


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>'
EXTERNAL = '<!DOCTYPE x SYSTEM "file:///etc/passwd">'


@pytest.mark.parametrize(
    ("rewrite", "body", "kind"),
    [
        (delete_objects, b"", MALFORMED_XML),
        (delete_objects, b"{}", MALFORMED_XML),
        (delete_objects, deletion(ONE)[:-1], MALFORMED_XML),
        (delete_objects, deletion(ONE).replace(b"Delete", b"Remove"), MALFORMED_XML),
        (delete_objects, deletion(), MALFORMED_XML),
        (delete_objects, deletion("<Object/>"), MALFORMED_XML),
        (delete_objects, deletion("<Object><Key/></Object>"), MALFORMED_XML),
        (delete_objects, deletion("<Object><Key>a</Key><Key>b</Key></Object>"), MALFORMED_XML),
        (delete_objects, deletion(*[ONE] * 1001), MALFORMED_XML),
        (delete_objects, deletion("<Object><Key>&b;</Key></Object>", start=BOMB), MALFORMED_XML),
        (delete_objects, deletion(ONE, start=EXTERNAL), MALFORMED_XML),
        (delete_objects, b"<Delete>" * 100 + b"</Delete>" * 100, MALFORMED_XML),
        (complete_upload, b"", MALFORMED_XML),
        (complete_upload, completion(), MALFORMED_XML),
        (complete_upload, completion(PART.format(1, "&b;"), start=BOMB), MALFORMED_XML),
        (complete_upload, completion("<Part/>"), INVALID_ARGUMENT),
        (complete_upload, completion(PART.format(0, "e")), INVALID_ARGUMENT),
        (complete_upload, completion(PART.format(10_001, "e")), INVALID_ARGUMENT),
        (create_bucket, b"<Other/>", MALFORMED_XML),
        (create_bucket, b"IA", MALFORMED_XML),
    ],
)
def test_any_other_document_is_refused(rewrite: Callable[[bytes], bytes], body: bytes, kind: ErrorKind) -> None:
    with pytest.raises(ApiError) as caught:
        rewrite(body)
    assert caught.value.kind is kind
