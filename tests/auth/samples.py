"""Requests signed by the schemes' own signers, for tests that need a valid claim to start from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hypothesis import settings

from gateway.auth import aws_v2, aws_v4, cos, identify, oss_v1, oss_v2, oss_v4
from gateway.credentials import EVERYTHING, Credential, Identity, Keyring, Secret
from gateway.request import HostMap, RequestHead, Target, locate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.request import Headers

PATIENT = settings(deadline=None)  # a busy machine is no failure
NOW = datetime(2026, 11, 21, 5, 1, 25, tzinfo=UTC)
KEY_ID = "testak"
SECRET = Secret("testsk")
IDENTITY = Identity("tester", EVERYTHING)
KEYRING: Keyring = {KEY_ID: Credential(KEY_ID, SECRET, IDENTITY)}
BUCKET = "examplebucket"
HOST = f"{BUCKET}.gw.test:9000"
HOSTS = HostMap((("gw.test", "s3"),), {})
REGION = "eu-central-1"


def head_of(
    method: str = "GET", raw_path: str = "/a.jpg", raw_query: str = "", *, host: str = HOST, headers: Headers = ()
) -> RequestHead:
    return RequestHead(method, raw_path, raw_query, host, (("host", host), *headers))


def with_headers(head: RequestHead, headers: Headers) -> RequestHead:
    return replace(head, headers=(*head.headers, *headers))


def with_query(head: RequestHead, raw_query: str) -> RequestHead:
    return replace(head, raw_query=raw_query)


def target_of(head: RequestHead) -> Target:
    return locate(head, HOSTS)


def identified(
    head: RequestHead, *, now: datetime = NOW, keyring: Keyring = KEYRING, hosts: HostMap = HOSTS
) -> identify.Verified:
    return identify.identify((head,), identify.find_claim(head), locate(head, hosts), keyring, now)


def signed_aws_v4(head: RequestHead, now: datetime = NOW, token: Secret | None = None) -> RequestHead:
    payload = "UNSIGNED-PAYLOAD"
    added = aws_v4.sign(
        head.method,
        head.raw_path,
        head.raw_query,
        head.headers,
        access_key_id=KEY_ID,
        secret=SECRET,
        region=REGION,
        payload=payload,
        now=now,
        token=token,
    )
    return with_headers(head, added)


def signed_aws_v2(head: RequestHead, now: datetime = NOW, token: Secret | None = None) -> RequestHead:
    added = aws_v2.sign(head, target_of(head), access_key_id=KEY_ID, secret=SECRET, now=now, token=token)
    return with_headers(head, added)


def signed_oss_v1(head: RequestHead, now: datetime = NOW, token: Secret | None = None) -> RequestHead:
    added = oss_v1.sign(head, target_of(head), access_key_id=KEY_ID, secret=SECRET, now=now, token=token)
    return with_headers(head, added)


def signed_oss_v2(head: RequestHead, now: datetime = NOW, token: Secret | None = None) -> RequestHead:
    added = oss_v2.sign(
        head,
        target_of(head),
        access_key_id=KEY_ID,
        secret=SECRET,
        now=now,
        token=token,
        additional_headers=("host",),
    )
    return with_headers(head, added)


def signed_oss_v4(head: RequestHead, now: datetime = NOW, token: Secret | None = None) -> RequestHead:
    added = oss_v4.sign(
        head,
        target_of(head),
        access_key_id=KEY_ID,
        secret=SECRET,
        region=REGION,
        now=now,
        token=token,
        additional_headers=("host",),
    )
    return with_headers(head, added)


def signed_cos(head: RequestHead, now: datetime = NOW, token: Secret | None = None) -> RequestHead:
    added = cos.sign(head, access_key_id=KEY_ID, secret=SECRET, expires_s=900, now=now, token=token)
    return with_headers(head, added)


HEADER_SIGNERS: Mapping[str, Callable[[RequestHead, datetime, Secret | None], RequestHead]] = {
    "aws_v4": signed_aws_v4,
    "aws_v2": signed_aws_v2,
    "oss_v1": signed_oss_v1,
    "oss_v2": signed_oss_v2,
    "oss_v4": signed_oss_v4,
    "cos": signed_cos,
}


def presigned(
    name: str,
    method: str = "GET",
    key: str = "a.jpg",
    raw_query: str = "",
    *,
    expires_s: int = 600,
    now: datetime = NOW,
    token: Secret | None = None,
) -> RequestHead:
    """Return the request that a URL presigned by the named scheme makes."""
    path = "/" + quote(key, safe="/~")
    common: dict[str, Any] = {
        "access_key_id": KEY_ID,
        "secret": SECRET,
        "expires_s": expires_s,
        "now": now,
        "token": token,
    }
    match name:
        case "aws_v4":
            query = aws_v4.presign(method, path, raw_query, HOST, region=REGION, **common)
        case "cos":
            query = cos.presign(method, path, raw_query, HOST, **common)
        case "oss_v4":
            query = oss_v4.presign(method, BUCKET, key, raw_query, region=REGION, **common)
        case _:
            presign = {"oss_v1": oss_v1.presign, "oss_v2": oss_v2.presign}[name]
            query = presign(method, BUCKET, key, raw_query, **common)
    return head_of(method, path, query)


PRESIGNERS = ("aws_v4", "oss_v1", "oss_v2", "oss_v4", "cos")
