from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth import aws_v4, cloudfront
from gateway.auth.identify import Verified, check_process_coverage, find_claim, identify
from gateway.credentials import EVERYTHING, Credential, Identity, Secret
from gateway.errors import ApiError
from gateway.request import HostMap, RequestHead, locate, percent_encode

NOW = datetime(2026, 11, 21, 5, 0, 0, tzinfo=UTC)
SOON = int(NOW.timestamp()) + 60
RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
HOSTS = HostMap((), {"img.example.com": "photos"})
URL = "https://img.example.com/a%20b.jpg"


def pem(key: Any) -> Secret:
    return Secret(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def holder(name: str, secret: Secret) -> Credential:
    return Credential(name, secret, Identity(name, EVERYTHING), kept="public")


KEYRING = {"KRSA": holder("KRSA", pem(RSA_KEY)), "KEC": holder("KEC", pem(EC_KEY))}
KEYRING["KBAD"] = holder("KBAD", Secret("no public key"))
KEYRING["KED"] = holder("KED", pem(ed25519.Ed25519PrivateKey.generate()))
KEYRING["KSECRET"] = Credential("KSECRET", pem(RSA_KEY), Identity("hmac", EVERYTHING))


def url_safe(data: bytes) -> str:
    return b64encode(data).decode().replace("+", "-").replace("=", "_").replace("/", "~")


def signature(key_id: str, policy: bytes) -> str:
    digest = SHA1()  # noqa: S303 # CloudFront's choice, whatever the key
    if key_id == "KEC":
        return url_safe(EC_KEY.sign(policy, ec.ECDSA(digest)))
    return url_safe(RSA_KEY.sign(policy, padding.PKCS1v15(), digest))


def canned(url: str = URL, expires: int = SOON) -> bytes:
    """The documented text of a canned policy: no blank in it."""
    policy = {"Statement": [{"Resource": url, "Condition": {"DateLessThan": {"AWS:EpochTime": expires}}}]}
    return json.dumps(policy, separators=(",", ":")).encode()


def custom(resource: str, **conditions: Any) -> bytes:
    condition = {"DateLessThan": {"AWS:EpochTime": SOON}, **conditions}
    return json.dumps({"Statement": [{"Resource": resource, "Condition": condition}]}).encode()


def head(
    query: str = "", path: str = "/a%20b.jpg", method: str = "GET", cookie: str = "", peer: str = ""
) -> RequestHead:
    headers = (("host", "img.example.com"), *((("cookie", cookie),) if cookie else ()))
    return RequestHead(method, path, query, "img.example.com", headers, peer)


def with_policy(policy: bytes, key_id: str = "KRSA", **options: Any) -> RequestHead:
    return head(f"Policy={url_safe(policy)}&Signature={signature(key_id, policy)}&Key-Pair-Id={key_id}", **options)


def with_expires(key_id: str = "KRSA", expires: int = SOON, **options: Any) -> RequestHead:
    signed = signature(key_id, canned(expires=expires))
    return head(f"Expires={expires}&Signature={signed}&Key-Pair-Id={key_id}", **options)


def identified(request: RequestHead, now: datetime = NOW) -> Verified:
    return identify((request,), find_claim(request), locate(request, HOSTS), KEYRING, now)


@pytest.mark.parametrize("key_id", ["KRSA", "KEC"])
def test_canned_and_custom_policies_verify_with_both_kinds_of_keys(key_id: str) -> None:
    assert identified(with_expires(key_id)).identity.name == key_id
    assert identified(with_policy(custom("https://img.example.com/*"), key_id)).identity.name == key_id
    assert identified(with_policy(custom("http*://img.example.com/a*.jpg"), key_id, method="HEAD"))


def test_a_canned_url_keeps_its_own_parameters() -> None:
    policy = canned(f"{URL}?versionId=3&x=%2f")
    query = f"versionId=3&Expires={SOON}&Signature={signature('KRSA', policy)}&x=%2f&Key-Pair-Id=KRSA"
    assert identified(head(query)).identity.name == "KRSA"
    with pytest.raises(ApiError, match="SignatureDoesNotMatch"):
        identified(head(query.replace("versionId=3", "versionId=4")))


def test_signed_cookies_verify() -> None:
    policy = custom("https://img.example.com/*")
    cookie = f"a=b; CloudFront-Policy={url_safe(policy)}; CloudFront-Signature={signature('KRSA', policy)}; "
    verified = identified(head(cookie=cookie + "CloudFront-Key-Pair-Id=KRSA"))
    assert verified.claim is not None
    assert not verified.claim.in_query


@pytest.mark.parametrize(
    ("request_head", "code"),
    [
        (with_expires(path="/other.jpg"), "SignatureDoesNotMatch"),
        (with_expires(method="PUT"), "MethodNotAllowed"),
        (with_policy(custom("https://img.example.com/thumbs/*")), "SignatureDoesNotMatch"),
        (with_policy(custom("https://other.example.com/*")), "SignatureDoesNotMatch"),
        (with_policy(custom("no-url*")), "SignatureDoesNotMatch"),
        (with_policy(custom("https://img.example.com/*", IpAddress={"AWS:SourceIp": "192.0.2.0/24"})), "AccessDenied"),
        (
            with_policy(custom("https://img.example.com/*", DateGreaterThan={"AWS:EpochTime": SOON - 10})),
            "AccessDenied",
        ),
        (head("Expires=1&Signature=&Key-Pair-Id=KRSA"), "SignatureDoesNotMatch"),
        (head("Expires=1&Signature=AAAA&Key-Pair-Id=KRSA&Policy=AAAA"), "AuthorizationQuery"),
        (head("Signature=AAAA&Key-Pair-Id=KRSA"), "AuthorizationQuery"),
        (head("Expires=soon&Signature=AAAA&Key-Pair-Id=KRSA"), "AuthorizationQuery"),
        (head("Expires=99999999999&Signature=AAAA&Key-Pair-Id=KRSA"), "AuthorizationQuery"),
        (head("Policy=e30_&Signature=AAAA&Key-Pair-Id=KRSA"), "AuthorizationQuery"),
        (head("Policy=!&Signature=AAAA&Key-Pair-Id=KRSA"), "AuthorizationQuery"),
        (head(f"Policy={'A' * 5000}&Signature=AAAA&Key-Pair-Id=KRSA"), "AuthorizationQuery"),
        (
            with_policy(b'{"Statement":[{"Resource":3,"Condition":{"DateLessThan":{"AWS:EpochTime":1}}}]}'),
            "Authorization",
        ),
        (with_policy(custom("*", DateLessThan={"AWS:EpochTime": True})), "AuthorizationQuery"),
        (with_expires("KBAD"), "SignatureDoesNotMatch"),
        (with_expires("KED"), "SignatureDoesNotMatch"),
        (with_expires("KNONE"), "InvalidAccessKeyId"),
        (head(with_expires().raw_query, cookie="CloudFront-Key-Pair-Id=KRSA"), "InvalidArgument"),
    ],
)
def test_what_the_policy_does_not_allow_is_refused(request_head: RequestHead, code: str) -> None:
    with pytest.raises(ApiError, match=code):
        identified(request_head)


def test_a_public_key_is_no_shared_secret_and_a_secret_no_public_key() -> None:
    """Everybody may know the public key: whoever signs with its text as an HMAC secret has proven nothing."""
    query = aws_v4.presign(
        "GET",
        "/a%20b.jpg",
        "",
        "img.example.com",
        access_key_id="KRSA",
        secret=pem(RSA_KEY),
        region="r",
        expires_s=60,
        now=NOW,
    )
    for request_head in (head(query), with_expires("KSECRET")):
        with pytest.raises(ApiError, match="InvalidAccessKeyId"):
            identified(request_head)


def test_a_wildcard_stays_within_its_part_of_the_url() -> None:
    """Anybody may add a query; it must not satisfy what a policy says of the host or of the path."""
    for resource, path, extra in (
        ("http*://img.example.com/demo/k", "/demo/secret", "x=://img.example.com/demo/k"),
        ("https://img.example.com/b/thumbs/*.jpg", "/b/thumbs/secret.txt", "x=.jpg"),
        ("https://*.example.com/b/k", "/secret", "x=.example.com/b/k"),
        ("https://img.example.com/b/?.jpg", "/b/", "x.jpg"),
    ):
        signed = with_policy(custom(resource))
        with pytest.raises(ApiError, match="SignatureDoesNotMatch"):
            identified(head(f"{extra}&{signed.raw_query}", path=path))
    for resource in ("https://img.example.com/b/*", "*", "*://img.example.com/*", "https://img.example.com/b/k?x=*"):
        signed = with_policy(custom(resource))
        assert identified(head(f"x=1&{signed.raw_query}", path="/b/k")).identity.name == "KRSA"


def test_a_network_of_the_policy_is_checked_against_the_client() -> None:
    policy = custom("https://img.example.com/*", IpAddress={"AWS:SourceIp": "192.0.2.7/24"})
    assert identified(with_policy(policy, peer="192.0.2.9")).identity.name == "KRSA"


def test_the_last_second_is_valid_and_the_next_is_not() -> None:
    at = datetime.fromtimestamp(SOON, UTC)
    assert identified(with_expires(), at)
    with pytest.raises(ApiError, match="expired"):
        identified(with_expires(), at + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("request_head", "covered"),
    [
        (with_expires(), True),
        (with_policy(custom(URL)), True),
        (with_policy(custom(f"{URL}?a=1"), path="/a%20b.jpg"), True),
        (with_policy(custom("https://img.example.com/*")), False),
        (with_policy(custom("http*://img.example.com/a%20b.jpg?x=?")), False),
    ],
)
def test_a_pattern_covers_no_process_parameter(request_head: RequestHead, covered: bool) -> None:  # noqa: FBT001 # a table
    found = find_claim(request_head)
    assert found is not None
    target = locate(request_head, HOSTS)
    if covered:
        assert check_process_coverage(found[1], target, ["x-oss-process"], cos_unsigned="accept") is False
    else:
        with pytest.raises(ApiError, match="AccessDenied"):
            check_process_coverage(found[1], target, ["x-oss-process"], cos_unsigned="accept")


@given(st.integers(0, 10_000))
def test_a_flipped_bit_of_the_policy_or_the_signature_is_refused(position: int) -> None:
    policy = custom("https://img.example.com/*")
    data = bytearray(policy)
    data[position % len(data)] ^= 1 << position % 8
    signed = signature("KEC", policy)
    with pytest.raises(ApiError):
        identified(head(f"Policy={url_safe(bytes(data))}&Signature={signed}&Key-Pair-Id=KEC"))


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=10))
def test_nonsense_is_refused_and_never_an_accident(policy: str, signed: str, key_id: str) -> None:
    query = f"Policy={percent_encode(policy)}&Signature={percent_encode(signed)}&Key-Pair-Id={percent_encode(key_id)}"
    with pytest.raises(ApiError):
        identified(head(query))


def test_the_scheme_is_named_in_the_claim() -> None:
    assert cloudfront.parse(with_expires()).scheme == cloudfront.NAME
