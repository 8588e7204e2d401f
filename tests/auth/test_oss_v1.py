from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway import errors
from gateway.auth import canonical, oss_v1
from gateway.credentials import EVERYTHING, Credential, Identity, Secret
from gateway.errors import ApiError
from gateway.request import HostMap
from tests.auth.samples import (
    BUCKET,
    KEY_ID,
    KEYRING,
    NOW,
    SECRET,
    head_of,
    identified,
    presigned,
    signed_oss_v1,
    with_headers,
)


def test_the_documented_example_is_verified() -> None:
    # OSS documentation, "Include signatures in the Authorization header", example.
    key_id, secret = "44CF9590006BF252F707", Secret("OtxrzxIsfpFjA7SwPzILwy8Bw21TLhquhboDYROV")
    headers = (
        ("content-md5", "ODBGOERFMDMzQTczRUY3NUE3NzA5QzdFNUYzMDQxNEM="),
        ("content-type", "text/html"),
        ("date", "Thu, 17 Nov 2005 18:49:58 GMT"),
        ("x-oss-meta-author", "foo@bar.com"),
        ("x-oss-magic", "abracadabra"),
        ("authorization", f"OSS {key_id}:26NBxoKdsyly4EDv6inkoDft/yA="),
    )
    host = "oss-example.oss-cn-hangzhou.aliyuncs.com"
    hosts = HostMap((("oss-cn-hangzhou.aliyuncs.com", "oss"),), {})
    head = head_of("PUT", "/nelson", host=host, headers=headers)
    keyring = {key_id: Credential(key_id, secret, Identity("documented", EVERYTHING))}
    now = datetime(2005, 11, 17, 18, 49, 58, tzinfo=UTC)
    assert identified(head, now=now, keyring=keyring, hosts=hosts).identity.name == "documented"


def test_a_missing_date_is_refused() -> None:
    head = head_of(headers=(("authorization", f"OSS {KEY_ID}:x"),))
    with pytest.raises(ApiError) as refusal:
        identified(head)
    assert refusal.value.kind is errors.MISSING_DATE


def test_the_process_of_the_vendor_is_covered_and_that_of_another_is_not() -> None:
    claim = oss_v1.parse(signed_oss_v1(head_of(raw_query="x-oss-process=image%2Fscore")))
    assert claim.covers("x-oss-process")
    assert not claim.covers("ci-process")
    assert not claim.covers("prefix")


def test_another_spelling_of_a_covered_parameter_does_not_slip_through() -> None:
    head = presigned("oss_v1")
    assert oss_v1.parse(head).covers("X-OSS-Process")
    with pytest.raises(ApiError) as refusal:
        identified(head_of(raw_query=f"{head.raw_query}&X-OSS-Process=image%2Fscore"))
    assert refusal.value.kind is errors.SIGNATURE_DOES_NOT_MATCH


def test_one_signature_holds_for_every_address_of_the_bucket() -> None:
    by_host = signed_oss_v1(head_of())
    by_path = head_of(raw_path=f"/{BUCKET}/a.jpg", host="10.0.0.1", headers=by_host.headers[1:])
    by_cname = head_of(host="img.example.com", headers=by_host.headers[1:])
    assert identified(by_path).claim is not None
    assert identified(by_cname, hosts=HostMap((), {"img.example.com": BUCKET})).claim is not None
    with pytest.raises(ApiError):
        identified(by_cname, hosts=HostMap((), {"img.example.com": "another"}))


def test_a_token_without_the_vendors_prefix_is_found() -> None:
    head = with_headers(signed_oss_v1(head_of()), (("security-token", "T"),))
    keyring = {KEY_ID: Credential(KEY_ID, SECRET, KEYRING[KEY_ID].identity, Secret("T"))}
    assert identified(head, keyring=keyring).identity.name == "tester"


def test_the_service_itself_is_signed_as_a_slash() -> None:
    text = f"GET\n\n\n{canonical.http_date(NOW)}\n/"
    signature = canonical.hmac_base64(SECRET, text, "sha1")
    headers = (("date", canonical.http_date(NOW)), ("authorization", f"OSS {KEY_ID}:{signature}"))
    assert identified(head_of(raw_path="/", host="gw.test", headers=headers)).claim is not None
