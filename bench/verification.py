"""Verifying one request of each scheme, from the head to a proven identity, beside botocore's signing of the same."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from time import process_time
from typing import TYPE_CHECKING, Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bench.tools import Row, interleaved
from gateway.auth import aws_v2, aws_v4, cos, oss_v1, oss_v2, oss_v4
from gateway.auth.identify import find_claim, identify
from gateway.credentials import EVERYTHING, Credential, Identity, Secret
from gateway.request import HostMap, RequestHead, locate

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.request import Headers

ROUNDS, REPEATS = 9, 300
HOST, PATH, QUERY = "photos.cos.localhost", "/dir/a%20b.jpg", "versionId=3&response-cache-control=no-store"
HOSTS = HostMap((("cos.localhost", "cos"),), {})
SECRET = Secret("bench-secret")
KEYRING = {"AK": Credential("AK", SECRET, Identity("bench", EVERYTHING))}
NOW = datetime.now(UTC)


def rows() -> list[Row]:
    measures: dict[str, Callable[[], float]] = {
        name: partial(microseconds, partial(verify, head)) for name, head in signed_heads().items()
    }
    figures = interleaved({"botocore": lambda: microseconds(sign_with_botocore), **measures}, ROUNDS)
    own = figures.pop("botocore")
    beside = f"botocore signs in {own:.0f} us"
    return [
        Row(f"verify {name} / botocore's signing", f"{each:.0f} us", beside, each / own)
        for name, each in figures.items()
    ]


def signed_heads() -> dict[str, RequestHead]:
    """One request signed in the header of each scheme."""
    base: Headers = (("host", HOST), ("accept", "*/*"), ("user-agent", "bench"))
    bare = RequestHead("GET", PATH, QUERY, HOST, base)
    target = locate(bare, HOSTS)
    key: dict[str, Any] = {"access_key_id": "AK", "secret": SECRET, "now": NOW}
    added = {
        "AWS SigV4": aws_v4.sign("GET", PATH, QUERY, base[:1], region="r", payload="UNSIGNED-PAYLOAD", **key),
        "AWS SigV2": aws_v2.sign(bare, target, **key),
        "OSS V1": oss_v1.sign(bare, target, **key),
        "OSS V2": oss_v2.sign(bare, target, **key),
        "OSS V4": oss_v4.sign(bare, target, region="r", **key),
        "COS": cos.sign(bare, expires_s=600, **key),
    }
    return {name: RequestHead("GET", PATH, QUERY, HOST, (*base, *headers)) for name, headers in added.items()}


def verify(head: RequestHead) -> None:
    # A head caches what it has parsed, and each request has a head of its own.
    fresh = RequestHead(head.method, head.raw_path, head.raw_query, head.authority, head.headers)
    identify((fresh,), find_claim(fresh), locate(fresh, HOSTS), KEYRING, NOW)


def sign_with_botocore() -> None:
    request = AWSRequest("GET", f"http://{HOST}{PATH}?{QUERY}", headers={"Accept": "*/*", "User-Agent": "bench"})
    S3SigV4Auth(Credentials("AK", "bench-secret"), "s3", "r").add_auth(request)


def microseconds(function: Callable[[], None]) -> float:
    started = process_time()
    for _ in range(REPEATS):
        function()
    return (process_time() - started) / REPEATS * 1e6
