from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import errors
from gateway.auth import aws_v4
from gateway.auth.base import Chunked, Scope, Sha256, Unsigned
from gateway.credentials import EVERYTHING, Credential, Identity, Secret
from gateway.errors import ApiError, ErrorKind
from tests.auth.samples import (
    HOST,
    KEY_ID,
    NOW,
    PATIENT,
    REGION,
    SECRET,
    head_of,
    identified,
    presigned,
    signed_aws_v4,
    with_headers,
)

if TYPE_CHECKING:
    from gateway.request import Headers, RequestHead

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
SECOND = timedelta(seconds=1)
# Amazon S3 API Reference, "Signature Calculations for the Authorization Header" and "Authenticating Requests: Using
# Query Parameters": the key and the host of all examples.
DOC_SECRET = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
DOC_ID = "AKIAIOSFODNN7EXAMPLE"
DOC_HOST = "examplebucket.s3.amazonaws.com"
DOC_NOW = datetime(2013, 5, 24, tzinfo=UTC)


def _refusal(head: RequestHead, now: datetime = NOW) -> ErrorKind:
    with pytest.raises(ApiError) as refusal:
        identified(head, now=now)
    return refusal.value.kind


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "payload", "signature"),
    [
        (
            "GET",
            "/test.txt",
            "",
            (("range", "bytes=0-9"),),
            EMPTY_SHA256,
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "PUT",
            "/test%24file.text",
            "",
            (("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")),
            hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        ("GET", "/", "lifecycle", (), EMPTY_SHA256, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        (
            "GET",
            "/",
            "max-keys=2&prefix=J",
            (),
            EMPTY_SHA256,
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_the_documented_examples_are_reproduced(
    method: str, path: str, query: str, headers: Headers, payload: str, signature: str
) -> None:
    added = aws_v4.sign(
        method,
        path,
        query,
        (("host", DOC_HOST), *headers),
        access_key_id=DOC_ID,
        secret=DOC_SECRET,
        region="us-east-1",
        payload=payload,
        now=DOC_NOW,
    )
    assert dict(added)["authorization"].endswith(f", Signature={signature}")


def test_the_documented_url_is_reproduced() -> None:
    query = aws_v4.presign(
        "GET",
        "/test.txt",
        "",
        DOC_HOST,
        access_key_id=DOC_ID,
        secret=DOC_SECRET,
        region="us-east-1",
        expires_s=86400,
        now=DOC_NOW,
    )
    assert query == (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def test_sign_returns_the_headers_to_add_in_order() -> None:
    added = aws_v4.sign(
        "GET",
        "/k",
        "",
        (("host", "h"),),
        access_key_id="id",
        secret=SECRET,
        region="r",
        payload="UNSIGNED-PAYLOAD",
        now=NOW,
        token=Secret("t"),
    )
    assert [name for name, _ in added] == [
        "x-amz-date",
        "x-amz-content-sha256",
        "x-amz-security-token",
        "authorization",
    ]


def test_a_url_may_be_dated_fifteen_minutes_ahead_and_no_more() -> None:
    head = presigned("aws_v4")
    start = NOW - timedelta(minutes=15)
    assert identified(head, now=start).claim is not None
    assert _refusal(head, start - SECOND) is errors.REQUEST_NOT_YET_VALID


@pytest.mark.parametrize("expires_s", [1, 604_800])
def test_a_url_may_live_from_a_second_to_a_week(expires_s: int) -> None:
    assert identified(presigned("aws_v4", expires_s=expires_s)).claim is not None


@pytest.mark.parametrize("expires_s", [0, -1, 604_801])
def test_another_life_of_a_url_is_refused(expires_s: int) -> None:
    assert _refusal(presigned("aws_v4", expires_s=expires_s)) is errors.INVALID_ARGUMENT


def test_the_scope_must_bear_the_date_of_the_request() -> None:
    head = signed_aws_v4(head_of())
    moved = replace(head, headers=tuple((n, v.replace("/20261121/", "/20261120/")) for n, v in head.headers))
    assert _refusal(moved) is errors.AUTHORIZATION_HEADER_MALFORMED
    url = presigned("aws_v4")
    query = url.raw_query.replace("%2F20261121%2F", "%2F20261120%2F")
    assert _refusal(replace(url, raw_query=query)) is errors.AUTHORIZATION_QUERY_MALFORMED


def test_the_date_header_serves_where_x_amz_date_is_missing() -> None:
    head = signed_aws_v4(head_of())
    headers = tuple(item for item in head.headers if item[0] != "x-amz-date")
    claim = aws_v4.parse(with_headers(replace(head, headers=headers), (("date", "Sat, 21 Nov 2026 05:01:25 GMT"),)))
    assert claim.signed_at == NOW


@pytest.mark.parametrize("form", ["header", "query"])
def test_an_unsigned_vendor_header_is_refused(form: str) -> None:
    head = signed_aws_v4(head_of()) if form == "header" else presigned("aws_v4")
    added = with_headers(head, (("x-amz-acl", "public-read"),))
    with pytest.raises(ApiError) as refusal:
        identified(added)
    assert refusal.value.kind is errors.ACCESS_DENIED
    assert refusal.value.fields == (("HeadersNotSigned", "x-amz-acl"),)
    assert identified(with_headers(head, (("range", "bytes=0-3"),))).claim is not None


def test_host_must_be_signed() -> None:
    head = signed_aws_v4(head_of())
    unsigned = replace(head, headers=tuple((n, v.replace("host;", "")) for n, v in head.headers))
    assert _refusal(unsigned) is errors.AUTHORIZATION_HEADER_MALFORMED


def test_a_signed_header_that_is_not_there_is_refused() -> None:
    head = signed_aws_v4(head_of(headers=(("x-amz-acl", ""),)))
    dropped = replace(head, headers=tuple(item for item in head.headers if item[0] != "x-amz-acl"))
    assert identified(head).claim is not None
    assert _refusal(dropped) is errors.ACCESS_DENIED


def test_the_payload_header_must_be_there() -> None:
    head = signed_aws_v4(head_of())
    dropped = replace(head, headers=tuple(item for item in head.headers if item[0] != "x-amz-content-sha256"))
    assert _refusal(dropped) is errors.INVALID_REQUEST


def _signed_payload(payload: str) -> RequestHead:
    head = head_of("PUT")
    added = aws_v4.sign(
        "PUT", "/a.jpg", "", head.headers, access_key_id=KEY_ID, secret=SECRET, region="r", payload=payload, now=NOW
    )
    return with_headers(head, added)


@pytest.mark.parametrize(
    ("literal", "payload"),
    [
        ("UNSIGNED-PAYLOAD", Unsigned()),
        (EMPTY_SHA256, Sha256(EMPTY_SHA256)),
        (EMPTY_SHA256.upper(), Sha256(EMPTY_SHA256)),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", Chunked("STREAMING-UNSIGNED-PAYLOAD-TRAILER")),
    ],
)
def test_the_payload_header_says_how_the_body_is_proven(literal: str, payload: object) -> None:
    assert identified(_signed_payload(literal)).payload == payload


@pytest.mark.parametrize("mode", ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"])
def test_signed_chunks_start_from_the_requests_own_signature_which_is_never_shown(mode: str) -> None:
    verified = identified(_signed_payload(mode))
    assert isinstance(verified.payload, Chunked)
    assert verified.claim is not None
    seed = verified.payload.seed
    assert seed is not None
    scope = Scope(NOW.strftime("%Y%m%d"), "r", "s3")
    expected = (
        aws_v4.signing_key(SECRET, scope),
        verified.claim.signature,
        NOW.strftime("%Y%m%dT%H%M%SZ"),
        scope.text("aws4_request"),
    )
    assert (seed.key, seed.signature, seed.signed_at, seed.scope) == expected
    shown = repr(verified.payload)
    assert seed.signature not in shown
    assert repr(seed.key) not in shown


@pytest.mark.parametrize("literal", ["unsigned-payload", EMPTY_SHA256[1:], "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"])
def test_another_payload_header_is_refused(literal: str) -> None:
    assert _refusal(_signed_payload(literal)) is errors.INVALID_ARGUMENT


def _presigned_with_payload(line: str, raw_query: str, headers: Headers) -> RequestHead:
    """Sign a URL whose payload line is `line`, which presign never does and aws-sdk-js does."""
    scope = Scope(f"{NOW:%Y%m%d}", REGION, "s3")
    credential = quote(f"{KEY_ID}/{scope.text('aws4_request')}", safe="")
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256{raw_query}&X-Amz-Credential={credential}&X-Amz-Date={NOW:%Y%m%dT%H%M%SZ}"
        "&X-Amz-Expires=60&X-Amz-SignedHeaders=host"
    )
    ordered = "&".join(sorted(query.split("&")))
    request = f"PUT\n/a.jpg\n{ordered}\nhost:{HOST}\n\nhost\n{line}"
    key = aws_v4.signing_key(SECRET, scope)
    signature = aws_v4._signature(key, scope.text("aws4_request"), f"{NOW:%Y%m%dT%H%M%SZ}", request)
    return head_of("PUT", raw_query=f"{query}&X-Amz-Signature={signature}", headers=headers)


def test_a_url_takes_its_payload_from_query_then_header_then_none() -> None:
    other = hashlib.sha256(b"x").hexdigest()
    in_query = f"&X-Amz-Content-Sha256={EMPTY_SHA256}"
    header = (("x-amz-content-sha256", other),)
    assert identified(_presigned_with_payload("UNSIGNED-PAYLOAD", "", ())).payload == Unsigned()
    assert identified(_presigned_with_payload(other, "", header)).payload == Sha256(other)
    assert identified(_presigned_with_payload(EMPTY_SHA256, in_query, ())).payload == Sha256(EMPTY_SHA256)
    assert _refusal(_presigned_with_payload(EMPTY_SHA256, in_query, header)) is errors.ACCESS_DENIED


def test_an_access_key_may_hold_colons_slashes_and_equals_signs() -> None:
    key_id = "tenant:user/role=x"
    head = head_of()
    added = aws_v4.sign(
        "GET",
        "/a.jpg",
        "",
        head.headers,
        access_key_id=key_id,
        secret=SECRET,
        region="r",
        payload=EMPTY_SHA256,
        now=NOW,
    )
    credential = Credential(key_id, SECRET, Identity("swift", EVERYTHING))
    assert identified(with_headers(head, added), keyring={key_id: credential}).identity.name == "swift"


def test_any_region_is_accepted() -> None:
    claim = identified(signed_aws_v4(head_of())).claim
    assert claim is not None
    assert claim.scope == Scope("20261121", REGION, "s3")


def test_runs_of_blanks_in_a_signed_header_count_as_one() -> None:
    head = signed_aws_v4(head_of(headers=(("x-amz-meta-a", "one two"),)))
    spaced = tuple((n, "  one   two " if n == "x-amz-meta-a" else v) for n, v in head.headers)
    assert identified(replace(head, headers=spaced)).claim is not None


def test_the_signing_key_is_the_documented_one() -> None:
    # AWS General Reference, "Deriving the signing key": the secret of the S3 examples, but for IAM.
    key = aws_v4.signing_key(Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), Scope("20120215", "us-east-1", "iam"))
    assert key.hex() == "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d"


def _plainly_signed(method: str, raw_path: str, raw_query: str, headers: Headers, signing: dict[str, Any]) -> Headers:
    """Sign step by step as the Amazon S3 API Reference has it, sharing no code with the gateway."""
    now, region, service, token = signing["now"], signing["region"], signing["service"], signing["token"]
    moment = f"{now.year:04}{now.month:02}{now.day:02}T{now.hour:02}{now.minute:02}{now.second:02}Z"
    added = [("x-amz-date", moment), ("x-amz-content-sha256", signing["payload"])]
    added += [("x-amz-security-token", token.reveal())] if token else []
    lines: dict[str, list[str]] = {}
    for name, value in [*headers, *added]:
        lines.setdefault(name, []).append(re.sub(" +", " ", value.strip(" \t")))
    pairs = [piece.partition("=") for piece in raw_query.split("&") if piece]
    query = sorted((quote(unquote_to_bytes(n), safe="~"), quote(unquote_to_bytes(v), safe="~")) for n, _, v in pairs)
    request = [method, quote(unquote_to_bytes(raw_path), safe="/~") or "/", "&".join(f"{n}={v}" for n, v in query)]
    request += [f"{name}:{','.join(values)}" for name, values in sorted(lines.items())]
    request += ["", ";".join(sorted(lines)), signing["payload"]]
    digest = hashlib.sha256("\n".join(request).encode("utf-8", "surrogateescape")).hexdigest()
    scope = [moment[:8], region, service, "aws4_request"]
    key = f"AWS4{signing['secret'].reveal()}".encode()
    for step in [*scope, f"AWS4-HMAC-SHA256\n{moment}\n{'/'.join(scope)}\n{digest}"]:
        key = hmac.new(key, step.encode(), "sha256").digest()
    credential = "/".join([signing["access_key_id"], *scope])
    value = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={';'.join(sorted(lines))}, Signature={key.hex()}"
    return (*added, ("authorization", value))


_WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_PIECES = st.sampled_from(["", "a", "b=", "b=1", "B=%2f", "a=x+y", "%61=%20", "=", "a=b=c", "%E4%BD%A0=%ff", "~=-._"])
_NAMES = st.sampled_from(["accept", "range", "content-type", "x-amz-acl", "x-amz-meta-a", "x-amz-meta-b", "zz"])
_VALUES = st.text("ab ,\t  \u00a0\udcff中", max_size=12)
_SIGNINGS = st.fixed_dictionaries(
    {
        "access_key_id": st.sampled_from(["any", "tenant:user/role=x"]),
        "secret": st.builds(Secret, _WORDS),
        "region": st.sampled_from(["us-east-1", REGION, ""]),
        "service": st.sampled_from(["s3", "s3express"]),
        "payload": st.sampled_from([EMPTY_SHA256, "UNSIGNED-PAYLOAD"]),
        "now": st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants naive bounds
        "token": st.none() | st.builds(Secret, st.sampled_from(["t", " a  b+/=", ""])),
    }
)


@PATIENT
@given(
    st.sampled_from(["GET", "HEAD", "PUT", "PROPFIND"]),
    st.lists(st.sampled_from(["/", "a", "%2F", "%7e", "~", ".", "+", " ", "%e4%bd%a0", "é", "%FF"]), max_size=8),
    st.lists(_PIECES, max_size=4),
    st.lists(st.tuples(_NAMES, _VALUES), max_size=5),
    _SIGNINGS,
)
def test_any_request_is_signed_as_the_documentation_has_it_step_by_step(
    method: str, path: list[str], query: list[str], headers: list[tuple[str, str]], signing: dict[str, Any]
) -> None:
    request = (method, "".join(path), "&".join(query), (("host", "h:9000"), *headers))
    assert aws_v4.sign(*request, **signing) == _plainly_signed(*request, signing)
