"""Browser uploads: what SDKs sign arrives, and what the signer did not permit leaves nothing."""

from __future__ import annotations

import asyncio
import io
import logging
import re
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from yarl import URL

from gateway.credentials import Credential, Identity, Secret, Statement
from gateway.journeys import post_form
from tests.auth.forms import VENDOR, signed_form
from tests.boto import s3_client
from tests.fake_uploads import etag
from tests.harness import KEY_ID, READER_ID, SECRET, keyring, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from tests.conftest import Demo
    from tests.fake_store import FakeStore
    from tests.harness import GatewayUnderTest

PICTURE = bytes(range(256)) * 5
OPEN: list[Any] = [{"bucket": "demo"}, ["starts-with", "$key", "in/"]]
HOSTS = {"aws_v4": "demo.s3.localhost", "oss_v4": "demo.oss.localhost", "oss_v1": "demo.oss.localhost"}
HOSTS |= {"aws_v2": "demo.s3.localhost", "cos": "demo.cos.localhost"}
Answer = tuple[int, "Mapping[str, str]", str]


def made(scheme: str, conditions: list[Any] = OPEN, key_id: str = KEY_ID, **fields: str) -> dict[str, str]:
    return signed_form(scheme, conditions, {"key": "in/a.jpg", **fields}, key_id=key_id, secret=SECRET.reveal())


BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def multipart(fields: Mapping[str, str], content: bytes = PICTURE, filename: str = "a.jpg") -> bytes:
    """A form as browsers write it, a button behind the file included."""
    start = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="'
    parts = [f'{start}{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    file = f'{start}file"; filename="{filename}"\r\nContent-Type: image/jpeg\r\n\r\n'
    end = f'\r\n{start}submit"\r\n\r\nUpload\r\n--{BOUNDARY}--\r\n'
    return "".join([*parts, file]).encode() + content + end.encode()


async def post(
    gateway: GatewayUnderTest,
    fields: Mapping[str, str],
    content: bytes = PICTURE,
    *,
    host: str = "demo.s3.localhost",
    path: str = "/",
    filename: str = "a.jpg",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    async with gateway.session.post(
        URL(gateway.url + path, encoded=True),
        data=io.BytesIO(multipart(fields, content, filename)),
        headers={"Host": host, "Content-Type": FORM_TYPE, **(headers or {})},
        allow_redirects=False,
    ) as answer:
        return answer.status, answer.headers.copy(), await answer.text()


def code(answer: Answer) -> tuple[int, str]:
    return answer[0], "".join(re.findall("<Code>(.*)</Code>", answer[2]))


def boto(endpoint: str, signature_version: str, key_id: str = KEY_ID) -> Any:
    s3 = {"addressing_style": "path"}
    return s3_client(endpoint, key_id, SECRET.reveal(), signature_version=signature_version, s3=s3)


@pytest.mark.parametrize("signature_version", ["s3v4", "s3"])
async def test_a_form_that_boto3_signed_arrives(store: FakeStore, signature_version: str) -> None:
    async with running_gateway(store.endpoint) as gateway:
        fields = {"Content-Type": "image/png", "x-amz-meta-who": "me", "success_action_status": "201"}
        signed = boto(gateway.url, signature_version).generate_presigned_post(
            "demo",
            "in/${filename}",
            Fields=fields,
            Conditions=[*({name: value} for name, value in fields.items()), ["content-length-range", 1, 10_000]],
        )
        path = signed["url"].removeprefix(gateway.url)
        answer = await post(gateway, signed["fields"], host=gateway.authority, path=path, filename="C:\\x\\b c.jpg")
        assert answer[0] == 201
        assert f"<Location>{gateway.url}/demo/in/b%20c.jpg</Location>" in answer[2]
    assert store.objects == {"/demo/in/b%20c.jpg": PICTURE}
    (seen,) = store.seen
    assert (seen.method, seen.headers["content-length"]) == ("PUT", str(len(PICTURE)))
    assert (seen.headers["content-type"], seen.headers["x-amz-meta-who"]) == ("image/png", "me")
    assert "Credential=up/" in seen.headers["authorization"]
    assert not {"x-amz-signature", "policy", "x-amz-algorithm", "cookie", "transfer-encoding"} & seen.headers.keys()


@pytest.mark.parametrize("scheme", HOSTS)
async def test_a_form_of_each_vendor_arrives_and_is_answered_in_its_own_words(store: FakeStore, scheme: str) -> None:
    prefix = VENDOR[scheme]
    conditions = [*OPEN, {f"{prefix}meta-who": "me"}]
    async with running_gateway(store.endpoint) as gateway:
        answer = await post(gateway, made(scheme, conditions, **{f"{prefix}meta-who": "me"}), host=HOSTS[scheme])
        assert (answer[0], answer[1]["ETag"], answer[2]) == (204, etag(PICTURE), "")
        assert answer[1]["Location"] == f"http://{HOSTS[scheme]}/in/a.jpg"
        assert ("x-oss-request-id" in answer[1]) == scheme.startswith("oss")
        assert ("x-cos-request-id" in answer[1]) == (scheme == "cos")
        assert "Content-Length" not in answer[1]
        refused = await post(gateway, made(scheme, [*OPEN, {"acl": "x"}]), host="unknown.example.com", path="/demo/")
        assert code(refused) == (403, "AccessDenied")
        assert ("x-oss-request-id" in refused[1]) == scheme.startswith("oss")
        assert ("x-cos-request-id" in refused[1]) == (scheme == "cos")
        assert (
            gateway.telemetry.requests[{"x-amz-": "s3", "x-oss-": "oss"}.get(prefix, "cos"), "s3:PutObject", 204] == 1
        )
    assert store.objects == {"/demo/in/a.jpg": PICTURE}
    assert store.seen[0].headers["x-amz-meta-who"] == "me"


async def test_a_redirect_names_what_was_stored(store: FakeStore) -> None:
    url = "https://app.example.com/done?a=b"
    fields = made("aws_v4", [*OPEN, {"success_action_redirect": url}], success_action_redirect=url)
    async with running_gateway(store.endpoint) as gateway:
        status, headers, _ = await post(gateway, fields)
    digest = etag(PICTURE).strip('"')
    assert (status, headers["Location"]) == (303, f"{url}&bucket=demo&key=in%2Fa.jpg&etag=%22{digest}%22")


LIMITED = [*OPEN, ["content-length-range", 10, 2000]]


@pytest.mark.parametrize("scheme", ["aws_v4", "oss_v1", "cos"])
@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (9, (400, "EntityTooSmall")),
        (10, (204, "")),
        (2000, (204, "")),
        (2001, (400, "EntityTooLarge")),
        (300_000, (400, "EntityTooLarge")),
    ],
)
async def test_the_range_of_sizes_holds_to_the_byte(
    store: FakeStore, scheme: str, length: int, expected: tuple[int, str]
) -> None:
    async with running_gateway(store.endpoint) as gateway:
        assert code(await post(gateway, made(scheme, LIMITED), b"x" * length, host=HOSTS[scheme])) == expected
    assert len(store.objects) == (expected[0] == 204)


@pytest.mark.parametrize("length", [0, 1, 3 * 1024 * 1024])
async def test_an_empty_file_and_one_beyond_memory_arrive(store: FakeStore, length: int) -> None:
    async with running_gateway(store.endpoint) as gateway:
        assert (await post(gateway, made("aws_v4"), b"x" * length))[0] == 204
    assert store.objects == {"/demo/in/a.jpg": b"x" * length}


async def test_what_is_kept_aside_is_bounded_by_the_settings(store: FakeStore) -> None:
    async with running_gateway(store.endpoint, server={"spool_bytes": 1000}) as gateway:
        assert code(await post(gateway, made("aws_v4", LIMITED), b"x" * 1001)) == (400, "EntityTooLarge")
        assert code(await post(gateway, made("aws_v4", LIMITED), b"x" * 1000)) == (204, "")


async def test_a_form_in_pieces_without_a_declared_length_arrives(store: FakeStore) -> None:
    whole = multipart(made("aws_v4"))

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(whole), 100):
            yield whole[start : start + 100]
            await asyncio.sleep(0)

    async with running_gateway(store.endpoint) as gateway:
        headers = {"Host": "demo.s3.localhost", "Content-Type": FORM_TYPE, "Expect": "100-continue"}
        async with gateway.session.post(f"{gateway.url}/", data=pieces(), headers=headers) as answer:
            assert answer.status == 204, await answer.text()
    assert store.objects == {"/demo/in/a.jpg": PICTURE}


RIGHT = made("aws_v4")
REFUSED: dict[str, tuple[dict[str, str], tuple[int, str]]] = {
    "another signature": ({**RIGHT, "x-amz-signature": "0" * 64}, (403, "SignatureDoesNotMatch")),
    "an unknown key": (made("aws_v4", key_id="NOBODY"), (403, "InvalidAccessKeyId")),
    "another key": ({**RIGHT, "key": "out/a.jpg"}, (403, "AccessDenied")),
    "a field too many": ({**RIGHT, "acl": "public-read"}, (403, "AccessDenied")),
    "no signature": ({k: v for k, v in RIGHT.items() if k != "x-amz-signature"}, (400, "InvalidArgument")),
    "no key": ({k: v for k, v in RIGHT.items() if k != "key"}, (400, "InvalidArgument")),
    "two claims": ({**RIGHT, **made("oss_v1")}, (400, "InvalidArgument")),
    "nobody's": ({"key": "in/a.jpg"}, (403, "AccessDenied")),
    "fields of 20 KiB": ({**RIGHT, "x-ignore-a": "x" * 20_480}, (400, "MaxPostPreDataLengthExceededError")),
    "who may only read": (made("aws_v4", key_id=READER_ID), (403, "AccessDenied")),
    "a copy": (
        made("aws_v4", [*OPEN, {"x-amz-copy-source": "/demo/x"}], **{"x-amz-copy-source": "/demo/x"}),
        (501, "NotImplemented"),
    ),
    "a wrong digest": (
        made("aws_v4", [*OPEN, ["starts-with", "$Content-MD5", ""]], **{"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}),
        (400, "BadDigest"),
    ),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_was_not_permitted_is_refused_and_leaves_nothing(store: FakeStore, what: str) -> None:
    fields, expected = REFUSED[what]
    async with running_gateway(store.endpoint) as gateway:
        assert code(await post(gateway, fields)) == expected
    assert store.seen == []


async def test_a_digest_that_is_right_is_no_obstacle(store: FakeStore) -> None:
    fields = made("aws_v4", [*OPEN, ["starts-with", "$Content-MD5", ""]], **{"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="})
    async with running_gateway(store.endpoint) as gateway:
        assert (await post(gateway, fields, b""))[0] == 204


async def test_a_claim_beside_the_form_or_a_query_is_refused(store: FakeStore) -> None:
    async with running_gateway(store.endpoint) as gateway:
        presigned = gateway.s3_url("/demo", method="POST").raw_query_string
        assert code(await post(gateway, RIGHT, path=f"/?{presigned}")) == (400, "InvalidArgument")
        header = {"Authorization": f"AWS {KEY_ID}:x"}
        assert code(await post(gateway, RIGHT, headers=header)) == (400, "InvalidArgument")
        assert code(await post(gateway, RIGHT, headers={"Authorization": "Basic x"})) == (400, "InvalidArgument")
        assert code(await post(gateway, RIGHT, path="/?x-oss-process=image/score")) == (400, "InvalidArgument")
    assert store.seen == []


async def test_an_acl_is_a_right_of_its_own(store: FakeStore) -> None:
    writer = Identity("writer", (Statement("allow", ("s3:PutObject",), ("demo/in/*",)),))
    clients = {**keyring(), "WRITER": Credential("WRITER", SECRET, writer)}
    acl = [*OPEN, {"acl": "public-read"}]
    async with running_gateway(store.endpoint, clients=clients) as gateway:
        assert (await post(gateway, made("aws_v4", key_id="WRITER")))[0] == 204
        assert code(await post(gateway, made("aws_v4", acl, "WRITER", acl="public-read"))) == (403, "AccessDenied")
        assert (await post(gateway, made("aws_v4", acl, acl="public-read")))[0] == 204
        outside = made("aws_v4", [{"bucket": "demo"}, {"key": "out/a"}], "WRITER", key="out/a")
        assert code(await post(gateway, outside)) == (403, "AccessDenied")
    assert [seen.headers.get("x-amz-acl") for seen in store.seen] == [None, "public-read"]


async def test_a_policy_that_lives_too_long_for_the_settings_is_refused(store: FakeStore) -> None:
    async with running_gateway(store.endpoint, keys={"max_url_life_s": 3600}) as gateway:
        assert code(await post(gateway, made("oss_v1"), host=HOSTS["oss_v1"])) == (403, "AccessDenied")
        signed = boto(gateway.url, "s3v4").generate_presigned_post("demo", "k", ExpiresIn=3000)
        assert (await post(gateway, signed["fields"]))[0] == 204


async def test_where_it_is_left_to_the_store_a_form_of_nobodys_goes_on_unsigned(store: FakeStore) -> None:
    async with running_gateway(store.endpoint, buckets={"demo": {"anonymous": "store"}}) as gateway:
        assert (await post(gateway, {"key": "in/a.jpg"}))[0] == 204
    assert "authorization" not in store.seen[0].headers


async def test_what_the_store_refuses_is_told_in_the_forms_dialect(store: FakeStore) -> None:
    store.faults["/demo/in/a.jpg"] = "error:403:QuotaExceeded"
    async with running_gateway(store.endpoint) as gateway:
        answer = await post(gateway, made("oss_v4"), host="other.example.com", path="/demo")
    assert code(answer) == (403, "QuotaExceeded")
    assert "<HostId>other.example.com</HostId>" in answer[2]


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"", "MalformedPOSTRequest"), (b"--x--", "InvalidArgument"), (b"--x\r\n", "MalformedPOSTRequest")],
)
async def test_a_body_that_is_no_form_is_refused(store: FakeStore, body: bytes, expected: str) -> None:
    async with running_gateway(store.endpoint) as gateway:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        async with gateway.session.post(f"{gateway.url}/demo", data=body, headers=headers) as answer:
            assert code((answer.status, {}, await answer.text())) == (400, expected)
    assert store.seen == []


@pytest.mark.parametrize("vanish", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
async def test_a_client_that_leaves_early_leaves_nothing(store: FakeStore, share: float, *, vanish: bool) -> None:
    whole = multipart(RIGHT, b"x" * 3_000_000)
    sent = whole[: int(len(whole) * share)]
    async with running_gateway(store.endpoint) as gateway:
        host, _, port = gateway.authority.rpartition(":")
        head = f"POST /demo HTTP/1.1\r\nHost: {gateway.authority}\r\nContent-Type: {FORM_TYPE}\r\n"
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{head}Content-Length: {len(whole)}\r\n\r\n".encode() + sent)
        await writer.drain()
        if vanish:
            writer.transport.abort()
        writer.close()
        await until_ended(gateway)
    assert store.seen == []


async def until_ended(gateway: GatewayUnderTest) -> None:
    """Wait until the gateway has counted a request whose client no longer listens."""
    async with asyncio.timeout(10):
        while not gateway.telemetry.requests:  # noqa: ASYNC110 # nothing tells that a request has ended
            await asyncio.sleep(0.01)


async def test_a_client_that_falls_silent_is_told_and_leaves_nothing(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post_form, "_IDLE_S", 0.05)

    async def silent() -> AsyncIterator[bytes]:
        yield b"--x\r\nContent-Disposition: form-data; "
        await asyncio.sleep(30)

    async with running_gateway(store.endpoint) as gateway:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        async with gateway.session.post(f"{gateway.url}/demo", data=silent(), headers=headers) as answer:
            assert code((answer.status, {}, await answer.text())) == (400, "RequestTimeout")
    assert store.seen == []


async def test_nothing_secret_of_a_form_is_ever_logged(store: FakeStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    temporary = Credential("TEMPORARY", SECRET, keyring()[KEY_ID].identity, Secret("the-session-token"))
    server = {"explain_refusals": True}
    async with running_gateway(store.endpoint, clients={**keyring(), "TEMPORARY": temporary}, server=server) as gateway:
        for scheme, prefix in VENDOR.items():
            name = f"{prefix}security-token"
            conditions = [*OPEN, {name: "the-session-token"}]
            right = made(scheme, conditions, "TEMPORARY", **{name: "the-session-token"})
            wrong = made(scheme, conditions, "TEMPORARY", **{name: "another-token"})
            signature = next(n for n in right if "signature" in n.lower() and "version" not in n)
            answers = [await post(gateway, right, host=HOSTS[scheme]), await post(gateway, wrong, host=HOSTS[scheme])]
            answers.append(await post(gateway, {**right, signature: "A" * 27 + "="}, host=HOSTS[scheme]))
            assert [answer[0] for answer in answers] == [204, 403, 403]
            told = caplog.text + "".join(text for _, _, text in answers)
            hidden = (SECRET.reveal(), "session-token", "another-token", right["policy"], right[signature])
            assert [word for word in hidden if word in told] == []
    assert caplog.text.count('"key": "in/a.jpg"') == len(VENDOR)


@pytest.mark.store
@pytest.mark.parametrize("signature_version", ["s3v4", "s3"])
async def test_a_form_arrives_on_the_embedded_store(demo: Demo, signature_version: str) -> None:
    client = boto(demo.endpoint, signature_version)
    key = f"forms/{signature_version}.bin"
    content = PICTURE * 2000
    signed = client.generate_presigned_post(
        "demo",
        key,
        Fields={"Content-Type": "image/x-test", "x-amz-meta-who": "me"},
        Conditions=[{"Content-Type": "image/x-test"}, {"x-amz-meta-who": "me"}, ["content-length-range", 1, 3_000_000]],
    )
    form = {"Content-Type": FORM_TYPE}
    async with aiohttp.ClientSession() as session:
        async with session.post(
            signed["url"], data=io.BytesIO(multipart(signed["fields"], content)), headers=form
        ) as answer:
            assert (answer.status, await answer.text()) == (204, "")
            assert answer.headers["ETag"] == etag(content)
        async with session.post(
            signed["url"], data=io.BytesIO(multipart(signed["fields"], content * 2)), headers=form
        ) as refused:
            assert code((refused.status, {}, await refused.text())) == (400, "EntityTooLarge")
    stored = await asyncio.to_thread(client.get_object, Bucket="demo", Key=key)
    assert (stored["ContentType"], stored["Metadata"]) == ("image/x-test", {"who": "me"})
    assert await asyncio.to_thread(stored["Body"].read) == content
    client.delete_object(Bucket="demo", Key=key)
