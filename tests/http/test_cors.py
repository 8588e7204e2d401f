"""Pages of other origins: what a browser is told by a real store, and by the gateway before it, must be the same."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

import pytest

from gateway.app import utc_now
from gateway.auth import oss_v1
from tests.digests import content_md5
from tests.harness import running_gateway
from tests.imaging.pictures import encode, photo_like
from tests.served import Place, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fake_store import FakeStore

APP, EVIL = "https://app.example", "https://evil.example"
RULES = f"""<CORSConfiguration><CORSRule><AllowedOrigin>{APP}</AllowedOrigin><AllowedMethod>GET</AllowedMethod>
<AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><AllowedHeader>content-type</AllowedHeader>
<ExposeHeader>ETag</ExposeHeader><MaxAgeSeconds>600</MaxAgeSeconds></CORSRule></CORSConfiguration>""".encode()
OWN = frozenset({"date", "connection", "x-amz-request-id", "x-trans-id", "x-openstack-request-id", "content-length"})
Headers = dict[str, str]


@pytest.fixture(scope="module")
def places(rgw: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Place]]:
    """RGW and a gateway before it: the bucket `pages` is private and has rules, `ruleless` has none."""
    folder = tmp_path_factory.mktemp("cors")
    with serving(folder, f"http://{rgw.authority}", rgw.key_id, rgw.secret.reveal()) as gateway:
        assert rgw.request("PUT", "/pages")[0] == rgw.request("PUT", "/ruleless")[0] == 200
        digest = content_md5(RULES)
        assert gateway.place.request("PUT", "/pages", (("content-md5", digest),), RULES, "cors")[0] == 200
        picture = encode(photo_like(160, 120), "JPEG", quality=90)
        assert rgw.request("PUT", "/pages/a.jpg", (("content-type", "image/jpeg"),), picture)[0] == 200
        yield rgw, gateway.place


def send(place: Place, method: str, target: str, headers: Headers) -> tuple[int, Headers, bytes]:
    """Send a request as a browser does: unsigned, or signed in its target."""
    connection = http.client.HTTPConnection(place.authority, timeout=30)
    connection.request(method, target, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def preflight(origin: str, method: str, names: str = "") -> Headers:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    return {**asked, "Access-Control-Request-Headers": names} if names else asked


def told(headers: Headers) -> Headers:
    return {name: value for name, value in headers.items() if name not in OWN}


@pytest.mark.store
@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/pages/a.jpg", preflight(APP, "GET"), 200),
        ("/pages/new%20one", preflight(APP, "PUT", "x-amz-date,content-type"), 200),
        ("/pages", preflight(APP, "GET"), 200),
        ("/pages/a.jpg", preflight(APP, "DELETE"), 403),
        ("/pages/a.jpg", preflight(APP, "PUT", "x-other"), 403),
        ("/pages/a.jpg", preflight(EVIL, "GET"), 403),
        ("/pages/a.jpg", {"Origin": APP}, 400),
        ("/pages/a.jpg", {}, 400),
        ("/ruleless/a.jpg", preflight(APP, "GET"), 403),
        ("/nowhere-at-all/a.jpg", preflight(APP, "GET"), 404),
        ("/", preflight(APP, "GET"), 405),
    ],
    ids=str,
)
def test_a_preflight_gets_the_stores_answer_for_a_private_bucket_too(
    places: tuple[Place, Place], target: str, headers: Headers, status: int
) -> None:
    direct, through = (send(place, "OPTIONS", target, headers) for place in places)
    assert (through[0], told(through[1])) == (direct[0], told(direct[1]))
    assert through[0] == status


@pytest.mark.store
def test_a_preflight_of_a_presigned_upload_is_answered_whatever_its_signature_says(
    places: tuple[Place, Place],
) -> None:
    target = (
        "/pages/new?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=x&X-Amz-Signature=00&x-oss-process=image/score"
    )
    status, headers, _ = send(places[1], "OPTIONS", target, preflight(APP, "PUT", "x-amz-date"))
    assert (status, headers["access-control-allow-origin"]) == (200, APP)


@pytest.mark.store
@pytest.mark.parametrize("key", ["a.jpg", "missing"])
@pytest.mark.parametrize("origin", [APP, EVIL])
def test_a_signed_answer_says_to_the_page_what_the_store_says(
    places: tuple[Place, Place], key: str, origin: str
) -> None:
    direct, through = (place.request("GET", f"/pages/{key}", (("origin", origin),)) for place in places)
    assert (through[0], told(through[1])) == (direct[0], told(direct[1]))
    assert through[1].get("access-control-allow-origin") == (APP if origin == APP else None)


@pytest.mark.store
@pytest.mark.parametrize(("origin", "told_origin"), [(APP, APP), (EVIL, None), ("", None)])
def test_a_refusal_and_a_score_can_be_read_by_the_pages_that_the_rules_allow(
    places: tuple[Place, Place], origin: str, told_origin: str | None
) -> None:
    place, headers = places[1], {"Origin": origin} if origin else {}
    signed = oss_v1.presign(
        *("GET", "pages", "a.jpg", "x-oss-process=image/score"),
        access_key_id=place.key_id,
        secret=place.secret,
        expires_s=60,
        now=utc_now(),
    )
    refused = send(place, "GET", "/pages/a.jpg", headers)
    scored = send(place, "GET", f"/pages/a.jpg?{signed}", headers)
    wrong = send(place, "GET", f"/pages/a.jpg?{signed}x", headers)
    assert [refused[0], scored[0], wrong[0]] == [403, 200, 403]
    for _, got, _ in (refused, scored, wrong):
        assert got.get("access-control-allow-origin") == told_origin
        assert ("access-control-expose-headers" in got, got.get("vary")) == (
            (True, "Origin") if told_origin else (False, None)
        )


@pytest.mark.store
@pytest.mark.parametrize("target", ["/pages/a.jpg", "/pages"])
def test_swift_answers_a_preflight_through_the_gateway_as_it_does_itself(
    swift: Place, tmp_path_factory: pytest.TempPathFactory, target: str
) -> None:
    folder = tmp_path_factory.mktemp("cors-swift")
    with serving(folder, f"http://{swift.authority}", swift.key_id, swift.secret.reveal()) as gateway:
        places = (swift, gateway.place)
        direct, through = (send(place, "OPTIONS", target, preflight(APP, "GET")) for place in places)
    assert (through[0], told(through[1]), through[2]) == (direct[0], told(direct[1]), direct[2])


@pytest.mark.parametrize(
    ("host", "path"),
    [("", "/demo/a%2Fb"), ("demo.s3.localhost", "/a%2Fb"), ("demo.oss.localhost", "/a%2Fb"), ("c.example", "/a%2Fb")],
)
async def test_a_preflight_reaches_the_store_bare_and_under_the_stores_own_name(
    store: FakeStore, host: str, path: str
) -> None:
    buckets = {"demo": {"store_name": "kept", "hosts": ["c.example"]}}
    async with running_gateway(store.endpoint, buckets=buckets) as gateway:
        headers = {**preflight(APP, "PUT", "x-a"), "X-Amz-Meta-A": "1", "Cookie": "c"}
        headers |= {"Host": host} if host else {}
        await gateway.request("OPTIONS", gateway.s3_url(path, "acl"), headers=headers)
    (seen,) = store.seen
    assert (seen.method, seen.raw_path) == ("OPTIONS", "/kept/a%2Fb")
    assert seen.headers.keys() - {"host"} == {name.lower() for name in preflight(APP, "PUT", "x-a")}


@pytest.mark.parametrize("path", ["/kept/a", "//a", "/..%2Fdemo/a", "/%2E%2E/a"])
async def test_a_preflight_for_an_address_that_is_none_never_reaches_the_store(store: FakeStore, path: str) -> None:
    async with running_gateway(store.endpoint, buckets={"demo": {"store_name": "kept"}}) as gateway:
        status, _, _ = await gateway.request("OPTIONS", gateway.raw_url(path), headers=preflight(APP, "GET"))
        refused, _, _ = await gateway.request("GET", gateway.raw_url(path), headers={"Origin": APP})
    assert 400 <= status < 500
    assert 400 <= refused < 500
    assert store.seen == []


async def test_an_answer_of_our_own_asks_for_rules_only_for_a_page(store: FakeStore) -> None:
    store.answers["OPTIONS /demo/a"] = (200, b"", {"Access-Control-Allow-Origin": APP, "Access-Control-Max-Age": "9"})
    async with running_gateway(store.endpoint) as gateway:
        plain = await gateway.request("GET", gateway.raw_url("/demo/a"))
        assert (plain[0], store.seen) == (403, [])
        asked = await gateway.request("GET", gateway.raw_url("/demo/a"), headers={"Origin": APP})
    assert (asked[0], asked[1].get("Access-Control-Allow-Origin")) == (403, APP)
    assert "Access-Control-Max-Age" not in asked[1], "that is for the preflight alone"
    assert [seen.headers["access-control-request-method"] for seen in store.seen] == ["GET"]


async def test_a_store_that_does_not_tell_its_rules_costs_the_page_no_answer() -> None:
    async with running_gateway("http://127.0.0.1:9") as gateway:
        status, headers, _ = await gateway.request("GET", gateway.raw_url("/demo/a"), headers={"Origin": APP})
    assert (status, "Access-Control-Allow-Origin" in headers) == (403, False)
