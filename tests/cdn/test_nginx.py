"""The nginx recipe of `docs/cdn.md` in front of a gateway and a real store: what it shares, and what it never does."""

from __future__ import annotations

import hmac
import http.client
import random
import subprocess
import time
from base64 import b64encode
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from gateway.app import utc_now
from gateway.auth import aws_v4, cos, oss_v1, oss_v2, oss_v4
from gateway.request import RequestHead
from tests.cdn.nginx import CACHE, block, nginx, put_in
from tests.imaging.pictures import encode, photo_like
from tests.proc import eventually
from tests.served import Place, Served, serving
from tests.stores_up.debian import install

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.store, pytest.mark.timeout(400)]

SETTINGS = """
[buckets.shop]
anonymous = "configured"
anonymous_prefixes = ["public/"]
[buckets.other]
anonymous = "configured"
anonymous_prefixes = ["public/"]
[dialects.s3]
hosts = ["s3.localhost"]
[dialects.cos]
hosts = ["cos.localhost"]
"""
SECRET_BYTES, COS_HOST = b"for nobody without a signature", "shop.cos.localhost"
BIG = random.Random(5).randbytes(3_500_000)  # noqa: S311 # bytes, not secrets
Headers = dict[str, str]


@dataclass(frozen=True)
class Front:
    """nginx, the gateway behind it, and the folder where nginx keeps what it shares."""

    authority: str
    gateway: Served
    folder: Path

    @property
    def place(self) -> Place:
        """The gateway as clients see it through nginx."""
        return Place(self.authority, self.gateway.place.key_id, self.gateway.place.secret)

    def get(self, target: str, headers: Headers | None = None, method: str = "GET") -> tuple[int, Headers, bytes]:
        connection = http.client.HTTPConnection(self.authority, timeout=30)
        connection.request(method, target, headers=headers or {})
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        eventually(self._is_settled)
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body

    def _is_settled(self) -> bool:
        """Tell whether nginx has put away what it has answered; a file that it still writes has a dot in its name."""
        return not any("." in file.name for file in (self.folder / "cache").rglob("*"))

    def put(self, path: str, body: bytes, *headers: tuple[str, str]) -> None:
        assert self.place.request("PUT", path, headers, body)[0] == 200

    def asked(self, status: int | None = None) -> int:
        """Return how many requests the gateway has answered, of one status or all."""
        connection = http.client.HTTPConnection(self.gateway.admin, timeout=30)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        connection.close()
        counted = (line for line in lines if line.startswith("gateway_requests_total{"))
        return sum(int(line.split()[-1]) for line in counted if status is None or f'"{status}"' in line)


@pytest.fixture(scope="module")
def front(swift: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    install("nginx")
    folder = tmp_path_factory.mktemp("cdn")
    trusting = block("toml").replace("[server]\n", "")
    with serving(
        folder, f"http://{swift.authority}", swift.key_id, swift.secret.reveal(), SETTINGS, server=trusting
    ) as gateway:
        for bucket in ("shop", "other"):
            assert gateway.place.request("PUT", f"/{bucket}")[0] == 200
        with nginx(folder, gateway.place.authority) as authority:
            yield Front(authority, gateway, folder)


def test_a_public_object_is_fetched_once_and_then_served_from_the_cache(front: Front) -> None:
    front.put("/shop/public/a%20b%2Bc//d.txt", b"hello", ("content-type", "text/plain"))
    before = front.asked()
    first, second, third = (front.get("/shop/public/a%20b%2Bc//d.txt") for _ in range(3))
    assert [answer[1]["x-cache"] for answer in (first, second, third)] == ["MISS", "HIT", "HIT"]
    assert [answer[0] for answer in (first, second, third)] == [200] * 3
    assert first[2] == second[2] == third[2] == b"hello"
    assert second[1]["content-type"] == "text/plain"
    assert front.asked() == before + 1
    assert front.get("/shop/public/a%20b%2Bc//d.txt", method="HEAD")[1]["content-length"] == "5"


def test_slices_are_fetched_as_they_are_needed_and_joined_without_a_seam(front: Front) -> None:
    front.put("/shop/public/big", BIG)
    before = front.asked()
    status, headers, body = front.get("/shop/public/big", {"Range": "bytes=1048570-1048585"})
    assert (status, body, front.asked()) == (206, BIG[1_048_570:1_048_586], before + 2)
    assert headers["content-range"] == f"bytes 1048570-1048585/{len(BIG)}"
    assert front.get("/shop/public/big")[2] == BIG
    assert front.asked() == before + 4, "two of the four slices were there"
    assert front.get("/shop/public/big", {"Range": "bytes=-3"})[2] == BIG[-3:]
    assert front.get("/shop/public/big", {"Range": "bytes=3400000-"})[2] == BIG[3_400_000:]
    assert front.get("/shop/public/big", {"If-None-Match": headers["etag"]})[0] == 304
    assert front.asked() == before + 4
    assert front.get("/shop/public/big", {"Range": "bytes=99999999-"})[0] == 416


def test_an_empty_object_comes_too(front: Front) -> None:
    front.put("/shop/public/empty", b"")
    assert front.get("/shop/public/empty")[::2] == (200, b"")


def test_what_is_stale_is_asked_for_again_and_a_304_renews_it(front: Front) -> None:
    brief = ("cache-control", "max-age=1")
    front.put("/shop/public/brief", b"one", brief)
    assert front.get("/shop/public/brief")[1]["x-cache"] == "MISS"
    before, unchanged = front.asked(), front.asked(304)
    time.sleep(2.1)  # nginx counts whole seconds
    status, headers, body = front.get("/shop/public/brief")
    assert (status, headers["x-cache"], body) == (200, "REVALIDATED", b"one")
    assert (front.asked(), front.asked(304)) == (before + 1, unchanged + 1)
    front.put("/shop/public/brief", b"three", brief)
    time.sleep(2.1)
    status, headers, body = front.get("/shop/public/brief")
    assert (status, headers["x-cache"], body) == (200, "EXPIRED", b"three")


def test_the_purging_lines_remove_an_entry(front: Front) -> None:
    front.put("/shop/public/gone", b"old")
    assert [front.get("/shop/public/gone")[1]["x-cache"] for _ in range(2)] == ["MISS", "HIT"]
    front.put("/shop/public/gone", b"new")
    assert front.get("/shop/public/gone")[2] == b"old"
    changes = {"HOST:PORT/BUCKET/KEY": f"{front.authority}/shop/public/gone", CACHE: f"{front.folder}/cache"}
    subprocess.run(["/bin/sh", "-e", "-c", put_in(block("sh"), changes)], check=True)
    assert front.get("/shop/public/gone")[2] == b"new"


def by_sigv4(front: Front, path: str) -> tuple[str, Headers]:
    signed = aws_v4.presign(
        *("GET", path, "", front.authority),
        access_key_id=front.place.key_id,
        secret=front.place.secret,
        region="us-east-1",
        expires_s=60,
        now=utc_now(),
    )
    return f"{path}?{signed}", {}


def by_sigv4_spelt_otherwise(front: Front, path: str) -> tuple[str, Headers]:
    return by_sigv4(front, path)[0].replace("X-Amz-", "X%2DAmz%2D"), {}


def by_sigv4_header(front: Front, path: str) -> tuple[str, Headers]:
    signature = aws_v4.sign(
        *("GET", path, "", (("host", front.authority),)),
        access_key_id=front.place.key_id,
        secret=front.place.secret,
        region="us-east-1",
        payload="UNSIGNED-PAYLOAD",
        now=utc_now(),
    )
    return path, dict(signature)


def sha1(front: Front, text: str) -> str:
    secret = front.place.secret.reveal().encode()
    return b64encode(hmac.digest(secret, text.encode(), "sha1")).decode()


def by_sigv2(front: Front, path: str) -> tuple[str, Headers]:
    expires = int(time.time()) + 60
    signature = quote(sha1(front, f"GET\n\n\n{expires}\n{path}"), safe="")
    return f"{path}?AWSAccessKeyId={front.place.key_id}&Expires={expires}&Signature={signature}", {}


def by_header_of(word: str) -> Callable[[Front, str], tuple[str, Headers]]:
    def signed(front: Front, path: str) -> tuple[str, Headers]:
        date = formatdate(usegmt=True)
        signature = sha1(front, f"GET\n\n\n{date}\n{path}")
        return path, {"Date": date, "Authorization": f"{word} {front.place.key_id}:{signature}"}

    return signed


def by_oss(presign: Callable[..., str], **more: str) -> Callable[[Front, str], tuple[str, Headers]]:
    def signed(front: Front, path: str) -> tuple[str, Headers]:
        bucket, _, key = path.removeprefix("/").partition("/")
        given: dict[str, Any] = {"access_key_id": front.place.key_id, "secret": front.place.secret, **more}
        return f"{path}?{presign('GET', bucket, key, '', expires_s=60, now=utc_now(), **given)}", {}

    return signed


def by_cos(front: Front, path: str) -> tuple[str, Headers]:
    key = path.removeprefix("/shop")
    signed = cos.presign(
        *("GET", key, "", COS_HOST),
        access_key_id=front.place.key_id,
        secret=front.place.secret,
        expires_s=60,
        now=utc_now(),
    )
    return f"{key}?{signed}", {"Host": COS_HOST}


def by_cos_header(front: Front, path: str) -> tuple[str, Headers]:
    key = path.removeprefix("/shop")
    head = RequestHead("GET", key, "", COS_HOST, (("host", COS_HOST),))
    signed = cos.sign(head, access_key_id=front.place.key_id, secret=front.place.secret, expires_s=60, now=utc_now())
    return key, {"Host": COS_HOST, **dict(signed)}


FORMS = {
    "SigV4 URL": by_sigv4,
    "SigV4 URL, names encoded": by_sigv4_spelt_otherwise,
    "SigV4 header": by_sigv4_header,
    "SigV2 URL": by_sigv2,
    "SigV2 header": by_header_of("AWS"),
    "OSS V1 URL": by_oss(oss_v1.presign),
    "OSS V1 header": by_header_of("OSS"),
    "OSS V2 URL": by_oss(oss_v2.presign),
    "OSS V4 URL": by_oss(oss_v4.presign, region="cn-hangzhou"),
    "COS URL": by_cos,
    "COS header": by_cos_header,
}


@pytest.mark.parametrize("form", FORMS)
def test_what_a_signature_opened_is_never_given_to_the_unsigned(front: Front, form: str) -> None:
    path = f"/shop/private/{form.replace(' ', '').replace(',', '')}"
    front.put(path, SECRET_BYTES, ("cache-control", "public, max-age=600"))
    target, headers = FORMS[form](front, path)
    for _ in range(3):
        status, told, body = front.get(target, headers)
        assert (status, told["x-cache"], body) == (200, "BYPASS", SECRET_BYTES), body
    bare, host = target.partition("?")[0], {name: headers[name] for name in headers if name == "Host"}
    unsigned = [bare, f"{bare}?", f"{bare}?x=1", path, path.replace("private", "%70rivate")]
    for without in unsigned:
        status, told, body = front.get(without, host)
        assert (status, body.count(SECRET_BYTES)) == (403, 0), without
    if "?" in target:
        broken = target[:-1] + ("1" if target.endswith("0") else "0")
        assert front.get(broken, host)[2].count(SECRET_BYTES) == 0, "a broken signature opens nothing"


def test_a_signed_request_for_a_public_object_is_not_answered_from_the_cache(front: Front) -> None:
    front.put("/shop/public/both", b"1")
    assert [front.get("/shop/public/both")[1]["x-cache"] for _ in range(2)] == ["MISS", "HIT"]
    assert front.get(*by_sigv4(front, "/shop/public/both"))[1]["x-cache"] == "BYPASS"
    assert front.get("/shop/public/both", {"Cookie": "CloudFront-Policy=x"})[1]["x-cache"] == "BYPASS"


def test_what_is_sent_through_it_arrives_whole_and_conditions_hold(front: Front) -> None:
    front.put("/shop/private/up", BIG)
    status, headers, body = front.place.request("GET", "/shop/private/up", (("range", "bytes=1048000-2100000"),))
    assert (status, body) == (206, BIG[1_048_000:2_100_001])
    assert front.place.request("GET", "/shop/private/up", (("if-none-match", headers["etag"]),))[0] == 304
    assert front.place.request("DELETE", "/shop/private/up")[0] == 204
    assert front.place.request("GET", "/shop/private/up")[0] == 404


def test_a_score_is_kept_by_nobody(front: Front) -> None:
    front.put("/shop/private/photo.jpg", encode(photo_like(160, 120), "JPEG", quality=90))
    path = "/shop/private/photo.jpg"
    signed = oss_v1.presign(
        *("GET", "shop", "private/photo.jpg", "x-oss-process=image/score"),
        access_key_id=front.place.key_id,
        secret=front.place.secret,
        expires_s=60,
        now=utc_now(),
    )
    for _ in range(2):
        status, headers, body = front.get(f"{path}?{signed}")
        assert (status, headers["x-cache"], headers["cache-control"]) == (200, "BYPASS", "private"), body
    assert front.get(f"{path}?x-oss-process=image/score")[0] == 403


def test_no_header_of_a_client_chooses_what_is_kept_for_others(front: Front) -> None:
    front.put("/shop/public/name", b"the shop's")
    front.put("/other/public/name", b"the other's")
    host = {"Host": "shop.s3.localhost"}
    poison = {
        **host,
        "X-Forwarded-Host": "other.s3.localhost",
        "X-Amz-Expected-Bucket-Owner": "x",
        "Range": "bytes=0-1",
    }
    assert front.get("/public/name", poison)[2] == b"th"
    assert front.get("/public/name", host)[2] == b"the shop's"
    assert front.get("/public/name", {"Host": "other.s3.localhost"})[2] == b"the other's"
