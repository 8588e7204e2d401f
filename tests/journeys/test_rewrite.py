"""Documents written anew on their way, for OSS and COS clients: what the store sees, what the client gets."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from yarl import URL

from gateway.app import utc_now
from gateway.auth import cos, oss_v4
from gateway.credentials import Credential, Identity, Statement
from gateway.request import ObjectRef, RequestHead, Target
from tests.digests import content_md5
from tests.fake_store import XMLNS
from tests.harness import KEY_ID, SECRET, GatewayUnderTest, keyring, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.fake_store import FakeStore

    Answer = tuple[int, Mapping[str, str], bytes]

LIMITED = Identity("limited", (Statement("allow", ("*",), ("demo*",)), Statement("deny", ("*",), ("demo/private/*",))))
MINIO = {"x-minio-deployment-id": "d1", "x-amz-request-id": "STORE1", "ETag": '"of-the-document"'}
LISTING = (
    f'<?xml version="1.0"?><ListBucketResult {XMLNS}><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>'
    "<Contents><Key>a+b%2Bc</Key><LastModified>2026-11-21T05:01:25.123Z</LastModified><Size>1</Size></Contents>"
    "</ListBucketResult>"
).encode()
KEYS = b"<Delete><Quiet>false</Quiet><Object><Key>%s</Key></Object></Delete>"


@pytest.fixture
async def gateway(store: FakeStore) -> AsyncIterator[GatewayUnderTest]:
    clients = {**keyring(), "LIMITED": Credential("LIMITED", SECRET, LIMITED)}
    async with running_gateway(store.endpoint, clients=clients, multipart={"small_parts": False}) as running:
        yield running


async def oss(
    gateway: GatewayUnderTest,
    method: str,
    key: str = "",
    query: str = "",
    who: str = KEY_ID,
    body: bytes = b"",
    **more: str,
) -> Answer:
    """Send a signed request; `more` are headers, with `_` for `-`."""
    headers = {"content-type": "application/xml", **{name.replace("_", "-"): value for name, value in more.items()}}
    target = Target(ObjectRef("demo", key), key, "path")
    head = RequestHead(method, f"/demo/{key}", query, gateway.authority, tuple(headers.items()))
    claim = oss_v4.sign(head, target, access_key_id=who, secret=SECRET, region="r", now=utc_now())
    url = gateway.raw_url(f"/demo/{key}{'?' * bool(query)}{query}")
    return await gateway.request(method, url, data=BytesIO(body) if body else None, headers={**headers, **dict(claim)})


def code(answer: Answer) -> tuple[int, str]:
    return answer[0], answer[2].decode().partition("<Code>")[2].partition("</Code>")[0]


async def test_a_minio_like_listing_reaches_an_aliyun_client_in_its_own_form(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    store.answers["GET /demo"] = (200, LISTING, MINIO)
    status, headers, body = await oss(gateway, "GET", query="prefix=a%20b&encoding-type=url")
    assert status == 200
    assert store.seen[0].raw_path == "/demo?prefix=a%20b&encoding-type=url"
    assert b"<Key>a%20b%2Bc</Key><LastModified>2026-11-21T05:01:25.000Z" in body
    assert b"<NextMarker>a%20b%2Bc</NextMarker>" in body
    assert (headers["Content-Type"], headers["Content-Length"]) == ("application/xml", str(len(body)))
    assert not {"x-minio-deployment-id", "x-amz-request-id", "ETag"} & set(headers)
    assert len(headers.getall("x-oss-request-id")) == 1  # type: ignore[attr-defined] # a multidict


async def test_a_plus_in_the_query_is_the_blank_that_its_sender_signed(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    store.answers["GET /demo"] = (200, LISTING, {})
    query = "prefix=a%20b"
    signed = oss_v4.presign(
        "GET", "demo", "", query, access_key_id=KEY_ID, secret=SECRET, region="r", expires_s=600, now=utc_now()
    )
    status, _, _ = await gateway.get(gateway.raw_url(f"/demo/?{signed.replace(query, 'prefix=a+b')}"))
    host = "demo.cos.localhost"
    claim = cos.presign("GET", "/", query, host, access_key_id=KEY_ID, secret=SECRET, expires_s=600, now=utc_now())
    url = URL(f"{gateway.url}/?{claim.replace(query, 'prefix=a+b')}", encoded=True)
    assert (status, (await gateway.get(url, headers={"Host": host}))[0]) == (200, 200)
    assert {seen.raw_path for seen in store.seen} == {"/demo?prefix=a%20b&encoding-type=url"}
    assert code(await gateway.get(gateway.raw_url(f"/demo/?{signed.replace(query, 'prefix=a%2Bb')}")))[0] == 403


@pytest.mark.parametrize(
    "document",
    [
        b"<ListBucketResult>" + b" " * (8 * 1024 * 1024) + b"</ListBucketResult>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult>&a;</ListBucketResult>',
        b"<ListBucketResult>" + b"<Contents/>" * 50_000 + b"</ListBucketResult>",
        b"not XML at all",
        b"",
    ],
    ids=["too long", "entities", "too many", "no XML", "nothing"],
)
async def test_a_store_s_answer_that_cannot_be_read_is_a_broken_store(
    gateway: GatewayUnderTest, store: FakeStore, document: bytes
) -> None:
    store.answers["GET /demo"] = (200, document, {})
    assert code(await oss(gateway, "GET")) == (502, "BadGateway")


@pytest.mark.parametrize(("said", "status"), [("SlowDown", 503), ("InternalError", 500)])
async def test_an_error_that_comes_late_in_a_200_is_an_error(
    gateway: GatewayUnderTest, store: FakeStore, said: str, status: int
) -> None:
    error = f"\n\n  <Error {XMLNS}><Code>{said}</Code><Message>late</Message></Error>".encode()
    store.answers["PUT /demo/a"] = (200, error, {})
    assert code(await oss(gateway, "PUT", "a", x_oss_copy_source="/demo/b")) == (status, said)


async def test_the_end_of_an_upload_is_told_with_the_entity_tag_that_the_store_left_out(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    part = b"<Part><PartNumber>1</PartNumber><ETag>&quot;e&quot;</ETag></Part>"
    body = b"<CompleteMultipartUpload>" + part + b"</CompleteMultipartUpload>"
    store.answers["POST /demo/a"] = (200, b"<CompleteMultipartUploadResult><ETag/></CompleteMultipartUploadResult>", {})
    store.answers["HEAD /demo/a"] = (200, b"", {"ETag": '"e-1"'})
    status, headers, told = await oss(gateway, "POST", "a", "uploadId=u", body=body)
    assert (status, headers["ETag"]) == (200, '"e-1"')
    assert b'<ETag>"e-1"</ETag>' in told
    sent = store.seen[0]
    assert b'<Part><PartNumber>1</PartNumber><ETag>"e"</ETag></Part>' in sent.body
    assert (sent.raw_path, sent.headers["content-md5"]) == ("/demo/a?uploadId=u", content_md5(sent.body))


async def test_a_batch_delete_reaches_the_store_in_s3_s_words(gateway: GatewayUnderTest, store: FakeStore) -> None:
    store.answers["POST /demo"] = (200, b"<DeleteResult><Deleted><Key>a b</Key></Deleted></DeleteResult>", {})
    body = KEYS % b"a b"
    answer = await oss(gateway, "POST", query="delete&encoding-type=url", body=body, content_md5=content_md5(body))
    assert answer[0] == 200
    assert b"<Deleted><Key>a%20b</Key></Deleted><EncodingType>url</EncodingType>" in answer[2]
    sent = store.seen[0]
    assert sent.raw_path == "/demo?delete"
    assert sent.body.endswith(f"<Delete {XMLNS}><Object><Key>a b</Key></Object></Delete>".encode())
    assert (sent.headers["content-md5"], sent.headers["content-type"]) == (content_md5(sent.body), "application/xml")


@pytest.mark.parametrize(
    ("body", "digest", "expected"),
    [
        (KEYS % b"public/a", "", (200, "")),
        (KEYS % b"private/a", "", (403, "AccessDenied")),
        (KEYS % b"&#112;rivate/a", "", (403, "AccessDenied")),
        (KEYS % b" private/a", "", (403, "AccessDenied")),
        (KEYS % b"<![CDATA[private/a]]>", "", (403, "AccessDenied")),
        (KEYS % b"priv<!-- -->ate/a", "", (403, "AccessDenied")),
        (KEYS % b"public/a", content_md5(b"another body"), (400, "BadDigest")),
        (b"<Delete>", "", (400, "MalformedXML")),
        (b'<!DOCTYPE Delete [<!ENTITY k "public/a">]>' + KEYS % b"&k;", "", (400, "MalformedXML")),
        (KEYS % b"public/a" + b" " * (2 * 1024 * 1024), "", (400, "MalformedXML")),
    ],
)
async def test_every_key_of_a_batch_delete_is_judged_before_the_store_hears_of_any(
    gateway: GatewayUnderTest, store: FakeStore, body: bytes, digest: str, expected: tuple[int, str]
) -> None:
    store.answers["POST /demo"] = (200, b"<DeleteResult/>", {})
    proof = {"content_md5": digest or content_md5(body)}
    assert code(await oss(gateway, "POST", query="delete", who="LIMITED", body=body, **proof)) == expected
    assert len(store.seen) == (expected[0] == 200)


async def test_a_refusal_to_overwrite_has_the_vendor_s_code(gateway: GatewayUnderTest, store: FakeStore) -> None:
    store.faults["/demo/a"] = "error:412:PreconditionFailed"
    answer = await oss(gateway, "PUT", "a", body=b"x", x_oss_forbid_overwrite="true")
    assert code(answer) == (409, "FileAlreadyExists")
    assert store.seen[0].headers["if-none-match"] == "*"


@pytest.mark.parametrize(
    ("method", "query", "more"),
    [("PUT", "", {"x_oss_copy_source": "/demo/b"}), ("POST", "uploads", {}), ("POST", "uploadId=u", {})],
)
async def test_overwriting_is_refused_here_where_stores_overlook_the_condition(
    gateway: GatewayUnderTest, store: FakeStore, method: str, query: str, more: dict[str, str]
) -> None:
    part = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>"
    body = part if query.startswith("uploadId") else b""
    store.answers[f"{method} /demo/a"] = (200, b"<Anything><UploadId>u</UploadId><ETag>e</ETag></Anything>", {})
    more = {"x_oss_forbid_overwrite": "true", **more}
    status, _, _ = await oss(gateway, method, "a", query, KEY_ID, body, **more)
    assert (status, [seen.method for seen in store.seen]) == (200, ["HEAD", method])
    # Swift would take it for a condition on the source of the copy, and S3 has none on the beginning of an upload.
    assert ("if-none-match" in store.seen[1].headers) == query.startswith("uploadId")
    store.objects["/demo/a"] = b"there"
    answer = await oss(gateway, method, "a", query, KEY_ID, body, **more)
    assert (code(answer), store.seen[-1].method) == ((409, "FileAlreadyExists"), "HEAD")


async def test_an_upload_that_is_not_there_is_no_missing_object(gateway: GatewayUnderTest, store: FakeStore) -> None:
    store.faults["/demo/a"] = "error:404:NoSuchKey"
    assert code(await oss(gateway, "GET", "a", "uploadId=u")) == (404, "NoSuchUpload")
    query, digest = "uploadId=u&partNumber=1", content_md5(b"")
    answer = await oss(gateway, "PUT", "a", query, x_oss_copy_source="/demo/b", content_md5=digest)
    assert code(answer) == (404, "NoSuchKey")
    assert "content-md5" not in store.seen[1].headers


async def test_a_bucket_that_is_not_there_is_told_so_in_the_head_alone(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    store.answers["HEAD /demo"] = (404, b"", {})
    status, headers, _ = await oss(gateway, "HEAD")
    assert status == 404
    assert b"<Code>NoSuchBucket</Code>" in b64decode(headers["x-oss-err"])


@pytest.mark.parametrize(
    ("method", "key", "query"),
    [("PUT", "a", "partNumber=10001&uploadId=u"), ("PUT", "a", "uploadId=&partNumber=1"), ("GET", "", "max-keys=x")],
)
async def test_numbers_out_of_range_never_reach_the_store(
    gateway: GatewayUnderTest, store: FakeStore, method: str, key: str, query: str
) -> None:
    assert code(await oss(gateway, method, key, query)) == (400, "InvalidArgument")
    assert store.seen == []


async def test_a_bucket_is_made_without_what_only_the_vendor_understands(
    gateway: GatewayUnderTest, store: FakeStore
) -> None:
    body = b"<CreateBucketConfiguration><StorageClass>IA</StorageClass></CreateBucketConfiguration>"
    status, _, _ = await oss(gateway, "PUT", body=body, x_oss_acl="public-read", content_md5=content_md5(body))
    sent = store.seen[0]
    assert (status, sent.body, sent.headers["x-amz-acl"]) == (200, b"", "public-read")
    assert "content-md5" not in sent.headers
