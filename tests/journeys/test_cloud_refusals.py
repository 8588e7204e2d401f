"""What Cloudinary's API refuses: with the vendor's statuses and words, and with nothing stored."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from gateway.credentials import EVERYTHING, Credential, Identity, Secret, Statement
from tests.harness import KEY_ID, SECRET, keyring
from tests.journeys.clouds import CloudUnderTest, basic, form_of, picture, running_cloud, signature, signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.fake_store import FakeStore

PICTURE = picture()
CLIENTS = {
    **keyring(),
    "UPLOADER": Credential(
        "UPLOADER",
        SECRET,
        Identity("uploader", (Statement("allow", ("cloudinary:Upload", "s3:Put*"), ("demo/in/*",)),)),
    ),
    "WRITER": Credential(
        "WRITER", SECRET, Identity("writer", (Statement("allow", ("cloudinary:Upload", "s3:Put*"), ("demo/*",)),))
    ),
    "STORER": Credential("STORER", SECRET, Identity("storer", (Statement("allow", ("s3:*",), ("*",)),))),
    "PUBLIC": Credential("PUBLIC", Secret("x"), Identity("public", EVERYTHING), kept="public"),
}


@pytest.fixture
async def cloud(store: FakeStore, scorer_address: str, tmp_path: Path) -> AsyncIterator[CloudUnderTest]:
    store.objects["/demo/there"] = PICTURE
    tables: dict[str, dict[str, Any]] = {"dialects": {"cloudinary": {"max_upload_bytes": 200_000}}}
    async with running_cloud(store.endpoint, scorer_address, tmp_path, CLIENTS, **tables) as running:
        yield running


def as_key(key_id: str, **fields: str) -> dict[str, str]:
    return {**signed(fields), "api_key": key_id}


def stale(**fields: str) -> dict[str, str]:
    given = {"timestamp": str(int(time.time()) - 3700), **fields}
    return {**given, "signature": signature(given), "api_key": KEY_ID}


def two_files() -> aiohttp.FormData:
    form = form_of(signed({}), PICTURE)
    form.add_field("file", PICTURE, filename="b.jpg")
    return form


UPLOADS: dict[str, tuple[Callable[[], Any], int, str]] = {
    "no signature": (lambda: form_of({"api_key": KEY_ID}, PICTURE), 401, "Missing required parameter - signature"),
    "neither key nor preset": (
        lambda: form_of({}, PICTURE),
        400,
        "Upload preset must be specified when using unsigned",
    ),
    "an unknown preset": (lambda: form_of({"upload_preset": "no"}, PICTURE), 400, "Upload preset not found"),
    "a preset for signed uploads": (
        lambda: form_of({"upload_preset": "closed"}, PICTURE),
        400,
        "Upload preset must be whitelisted for unsigned uploads",
    ),
    "an unknown preset beside a signature": (
        lambda: form_of(signed({"upload_preset": "no"}), PICTURE),
        400,
        "Upload preset not found",
    ),
    "a wrong signature": (
        lambda: form_of({**signed({"public_id": "x"}), "signature": "0" * 40}, PICTURE),
        401,
        f"Invalid Signature {'0' * 40}. String to sign - 'public_id=x&timestamp=",
    ),
    "a signature of something else": (
        lambda: form_of({**signed({}), "public_id": "there"}, PICTURE),
        401,
        "Invalid Signature ",
    ),
    "an unknown key": (lambda: form_of(as_key("NOBODY"), PICTURE), 401, "Unknown API key NOBODY"),
    "a public key": (lambda: form_of(as_key("PUBLIC"), PICTURE), 401, "Unknown API key PUBLIC"),
    "a stale timestamp": (lambda: form_of(stale(), PICTURE), 400, "Stale request - reported time is "),
    "no rights at all": (lambda: form_of(as_key("READER"), PICTURE), 403, "Access Denied."),
    "no right to the vendor's action": (lambda: form_of(as_key("STORER"), PICTURE), 403, "Access Denied."),
    "no right to the place": (lambda: form_of(as_key("UPLOADER", public_id="out/x"), PICTURE), 403, "Access Denied."),
    "no right to a score": (
        lambda: form_of(as_key("UPLOADER", public_id="in/x", quality_analysis="1"), PICTURE),
        403,
        "Access Denied.",
    ),
    "no right to the source": (
        lambda: form_of(as_key("UPLOADER", public_id="in/x"), "s3://demo/there"),
        403,
        "Access Denied.",
    ),
    "no right to read what is there": (
        lambda: form_of(as_key("WRITER", public_id="there", overwrite="false"), PICTURE),
        403,
        "Access Denied.",
    ),
    "no file": (lambda: form_of(signed({}), None), 400, "Missing required parameter - file"),
    "an empty file": (lambda: form_of(signed({}), b""), 400, "Invalid image file"),
    "no picture": (lambda: form_of(signed({}), b"no picture"), 400, "Invalid image file"),
    "half a picture": (lambda: form_of(signed({}), PICTURE[: len(PICTURE) // 2]), 400, "Invalid image file"),
    "half a picture to be scored": (
        lambda: form_of(signed({"quality_analysis": "1"}), PICTURE[: len(PICTURE) // 2]),
        400,
        "Invalid image file",
    ),
    "too large": (lambda: form_of(signed({}), b"x" * 200_001), 400, "File size too large. Got "),
    "a data URI that is too large": (
        lambda: form_of(signed({}), f"data:image/png;base64,{'AAAA' * 70_000}"),
        400,
        "File size too large. Got ",
    ),
    "a broken data URI": (lambda: form_of(signed({}), "data:image/png;base64,A*A="), 400, "Invalid data URI"),
    "a data URI without base64": (lambda: form_of(signed({}), "data:image/png,abc"), 400, "Invalid data URI"),
    "a remote URL": (
        lambda: form_of(signed({}), "http://example.com/a.jpg"),
        400,
        "Error in loading http://example.com",
    ),
    "a forbidden address": (
        lambda: form_of(signed({}), "http://169.254.169.254/latest"),
        400,
        "Error in loading http://169.254.169.254/latest - ",
    ),
    "another scheme": (
        lambda: form_of(signed({}), "ftp://example.com/a.jpg"),
        400,
        "Error in loading ftp://example.com",
    ),
    "a missing source": (lambda: form_of(signed({}), "s3://demo/nothing"), 404, "the store says NoSuchKey"),
    "a source without a key": (lambda: form_of(signed({}), "s3://demo"), 400, "s3://bucket/key is expected"),
    "a source whose bucket climbs": (lambda: form_of(signed({}), "s3://%2E%2E/x"), 400, "s3://bucket/key is expected"),
    "a source whose bucket is a path": (
        lambda: form_of(signed({}), "s3://demo%2Fthere/x"),
        400,
        "s3://bucket/key is expected",
    ),
    "a source among a store's administration": (lambda: form_of(signed({}), "s3://admin/x"), 403, "The bucket name"),
    "a hidden source": (lambda: form_of(signed({}), "s3://demo/.gateway-parts/x"), 403, "Keys that begin with"),
    "a public id of the gateway's own": (
        lambda: form_of(signed({"public_id": ".gateway-parts/x"}), PICTURE),
        400,
        "public_id (.gateway-parts/x) is invalid",
    ),
    "a source of another bucket that no signature covers": (
        lambda: form_of(signed({}), "s3://shop/there"),
        403,
        "No signature covers this source",
    ),
    "a public id that climbs": (lambda: form_of(signed({"public_id": "a/../b"}), PICTURE), 400, "public_id (a/../b)"),
    "an unknown type": (lambda: form_of(signed({"type": "odd"}), PICTURE), 400, "Invalid type odd"),
    "a flag that is none": (lambda: form_of(signed({"quality_analysis": "maybe"}), PICTURE), 400, "Invalid value"),
    "a context that is none": (lambda: form_of(signed({"context": "odd"}), PICTURE), 400, "Invalid context"),
    "malformed JSON": (lambda: b"{", 400, "The JSON body is malformed."),
    "half a surrogate pair": (lambda: rb'{"public_id": "\ud800", "file": "x"}', 400, "The parameters are not Unicode"),
    "JSON of too many values": (
        lambda: b'{"tags": [' + b"1," * 300_000 + b"1]}",
        400,
        "The JSON body holds too many values.",
    ),
    "a form of one field many times": (
        lambda: b"&".join([b"tags[]=" + b"t" * 700] * 1_000),
        400,
        "Upload preset must be specified when using unsigned",
    ),
    "a form of nothing but escapes": (lambda: b"a=" + b"%" * 600_000, 400, "The form-encoded body holds too many"),
    "two files": (two_files, 400, "The form field file is sent twice."),
    "JSON that is no object": (lambda: b"{} []", 400, "The JSON body is malformed."),
}


@pytest.mark.parametrize("case", UPLOADS)
async def test_a_refused_upload_stores_nothing(cloud: CloudUnderTest, store: FakeStore, case: str) -> None:
    make, wanted, told = UPLOADS[case]
    status, reply = await cloud.post("image/upload", make())
    assert (status, set(reply)) == (wanted, {"error"}), reply
    assert reply["error"]["message"].startswith(told)
    assert SECRET.reveal() not in json.dumps(reply)
    assert set(store.objects) == {"/demo/there"}


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("GET", "nowhere", 404, "Resource not found"),
        ("POST", "audio/upload", 404, "Resource not found"),
        ("GET", "image/upload", 404, "Resource not found"),
        ("GET", "resources/image/odd/x", 404, "Resource not found"),
        ("GET", "resources/image/upload/nothing", 404, "Resource not found - nothing"),
        ("GET", "resources/raw/upload/there", 404, "Resource not found - there"),
        ("GET", f"resources/{'0' * 32}", 404, "Resource not found"),
        ("GET", "resources/image?max_results=501", 400, "Invalid max_results"),
        ("GET", "resources/image?next_cursor=%00", 400, "Invalid next_cursor"),
        ("DELETE", "resources/image/upload", 400, "Missing required parameter - public_ids"),
        ("GET", "resources/image/upload/.gateway-parts%2Fx", 400, "public_id (.gateway-parts/x) is invalid"),
    ],
)
async def test_admin_calls_that_lead_nowhere(
    cloud: CloudUnderTest, method: str, path: str, status: int, told: str
) -> None:
    found, reply = await cloud.admin(method, path)
    assert (found, reply["error"]["message"][: len(told)]) == (status, told)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (basic("NOBODY"), 401),
        (basic(KEY_ID, "wrong"), 401),
        ({"Authorization": "Bearer token"}, 401),
        (basic("READER"), 403),
        (basic("STORER"), 403),
    ],
)
async def test_the_admin_api_is_for_those_who_may(cloud: CloudUnderTest, headers: dict[str, str], status: int) -> None:
    for method, path in (
        ("GET", "resources/image/upload/there"),
        ("GET", "resources/image"),
        ("POST", "resources/search"),
    ):
        assert (await cloud.ask(method, path, headers=headers))[0] == status


async def test_an_unknown_cloud_is_a_401_and_says_so_in_a_header(cloud: CloudUnderTest) -> None:
    url = cloud.gateway.raw_url("/v1_1/nowhere/image/upload")
    status, headers, body = await cloud.gateway.request("POST", url, data=form_of(signed({}), PICTURE))
    assert (status, headers["X-Cld-Error"]) == (401, "Invalid cloud_name nowhere")
    told = {"message": "Invalid cloud_name nowhere", "request_id": headers["X-Request-Id"]}
    assert json.loads(body) == {"error": told}


async def test_a_form_that_is_cut_off_or_no_form_stores_nothing(cloud: CloudUnderTest, store: FakeStore) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n' + PICTURE
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    for body in (form, form + b"\r\n--b\r\n", b"", b"--x--\r\n"):
        status, reply = await cloud.post("image/upload", body, headers=headers)
        assert (status, "error" in reply) == (400, True)
    status, _ = await cloud.post("image/upload", form, headers={"Content-Type": "multipart/form-data"})
    assert status == 400
    assert set(store.objects) == {"/demo/there"}


async def test_fields_may_stand_behind_the_file_and_unknown_ones_count_in_the_signature(
    cloud: CloudUnderTest, store: FakeStore
) -> None:
    fields = signed({"public_id": "x", "eager": "w_100|c_fill", "moderation": "manual"})
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("file", PICTURE, filename="a.jpg")
    for name, value in fields.items():
        form.add_field(name, value)
    assert (await cloud.post("image/upload", form))[0] == 200
    assert "/demo/x" in store.objects
    status, _ = await cloud.post("image/upload", form_of({**fields, "moderation": "none"}, PICTURE))
    assert status == 401


async def test_other_claims_keep_the_bucket_of_such_a_name(cloud: CloudUnderTest, store: FakeStore) -> None:
    store.objects["/v1_1/demo/ping"] = b"an object"
    assert (await cloud.gateway.get(cloud.gateway.s3_url("/v1_1/demo/ping")))[2] == b"an object"
    assert (await cloud.admin("GET", "ping")) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("settings", "host", "ours"),
    [
        ({"enabled": False}, "", False),
        ({"hosts": ["api.example"]}, "", False),
        ({"hosts": ["api.example"]}, "API.example:9000", True),
    ],
)
async def test_the_api_can_be_switched_off_or_bound_to_hosts(
    store: FakeStore,
    tmp_path: Path,
    settings: dict[str, Any],
    host: str,
    ours: bool,  # noqa: FBT001 # a table
) -> None:
    async with running_cloud(store.endpoint, "/nonexistent", tmp_path, dialects={"cloudinary": settings}) as cloud:
        headers = basic() | ({"Host": host} if host else {})
        url = cloud.gateway.raw_url("/v1_1/demo/ping")
        status, found, _ = await cloud.gateway.request("GET", url, headers=headers)
    assert (status == 200, found["Content-Type"].startswith("application/json")) == (ours, ours)


async def test_a_signature_beside_basic_credentials_is_one_claim_too_many(cloud: CloudUnderTest) -> None:
    status, reply = await cloud.admin("POST", "image/upload", data=form_of(signed({}), PICTURE))
    assert (status, reply["error"]["message"][:30]) == (400, "Only one auth mechanism is all")
    assert (await cloud.admin("POST", "image/upload", data=form_of({"public_id": "x"}, PICTURE)))[0] == 200


@pytest.mark.parametrize("path", ["image/upload%00", "%FF/x", "resources/image/upload/%FF%FE"])
async def test_a_path_that_is_no_text_is_refused(cloud: CloudUnderTest, path: str) -> None:
    assert (await cloud.admin("GET", path))[0] == 400


async def test_a_long_string_to_sign_is_told_in_part(cloud: CloudUnderTest) -> None:
    form = form_of({**signed({"context": "k=" + "v" * 100_000}), "signature": "0" * 40}, PICTURE)
    status, reply = await cloud.post("image/upload", form)
    assert (status, len(reply["error"]["message"]) < 3000) == (401, True)


async def test_an_empty_parameter_which_no_signature_covers_means_nothing(cloud: CloudUnderTest) -> None:
    await cloud.upload(PICTURE, public_id="x", tags="a", context="k=v")
    form = form_of(
        {**signed({"public_id": "x", "type": "upload"}), "tags": "", "context": "", "asset_folder": ""}, None
    )
    _, reply = await cloud.post("image/explicit", form)
    assert (reply["tags"], reply["context"]) == (["a"], {"custom": {"k": "v"}})
    form = form_of({**signed({"public_id": "y", "upload_preset": "open"}), "folder": "", "tags": ""}, PICTURE)
    _, reply = await cloud.post("image/upload", form)
    assert (reply["public_id"], reply["tags"]) == ("lent/y", ["u"])


@pytest.mark.parametrize("text", ["0000019999999999", "0" * 5000 + "1"])
async def test_a_page_has_its_bound_however_that_is_written(cloud: CloudUnderTest, text: str) -> None:
    status, reply = await cloud.admin("POST", "resources/search", data={"max_results": text})
    assert (status, reply["error"]["message"][:19]) == (400, "Invalid max_results")


@pytest.mark.parametrize("depth", [100, 400, 700, 900, 100_000])
async def test_json_may_be_nested_however_deeply(cloud: CloudUnderTest, depth: int) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        inner = opening * depth + ("1" if opening != "[" else "") + closing * depth
        headers = {"Content-Type": "application/json"}
        status, _ = await cloud.post("image/upload", f'{{"tags": {inner}}}', headers=headers)
        assert status == 400


@pytest.mark.parametrize("url", ["http://[x/a.jpg", "https://a]/b.jpg"])
async def test_a_url_that_is_none_is_refused(cloud: CloudUnderTest, url: str) -> None:
    assert (await cloud.upload(url, public_id="x"))[0] == 400


async def test_a_form_of_too_many_fields_is_refused(cloud: CloudUnderTest) -> None:
    form = form_of(signed({}), PICTURE)
    for _ in range(2000):
        form.add_field("tags[]", "t")
    status, reply = await cloud.post("image/upload", form)
    assert (status, "error" in reply) == (400, True)


@pytest.mark.parametrize("name", ["tags", "context", "asset_folder", "filename"])
async def test_what_is_remembered_of_an_asset_has_its_bounds(
    cloud: CloudUnderTest, store: FakeStore, name: str
) -> None:
    text = "k=" + "v" * 20_000
    status, reply = await cloud.upload(PICTURE, **{name: text})
    assert (status, set(reply), set(store.objects)) == (400, {"error"}, {"/demo/there"})
    if name != "filename":
        assert (await cloud.admin("POST", "resources/image/upload/there", data={name: text}))[0] == 400
