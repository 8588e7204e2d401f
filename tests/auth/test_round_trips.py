"""What the schemes sign they verify, for every key, query and header, and the vendors' own signers agree.

botocore, oss2 and qcloud_cos share no code with the gateway; none of them needs a network to sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import oss2.auth
import oss2.http
import pytest
import requests
from botocore.auth import HmacV1Auth, HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st
from qcloud_cos import CosConfig
from qcloud_cos.cos_auth import CosS3Auth

from gateway.request import RequestHead
from tests.auth.samples import (
    BUCKET,
    HEADER_SIGNERS,
    HOST,
    KEY_ID,
    NOW,
    PATIENT,
    PRESIGNERS,
    REGION,
    SECRET,
    head_of,
    identified,
    presigned,
)
from tests.vectors import moment_of

if TYPE_CHECKING:
    from collections.abc import Iterable

AWKWARD_KEYS = (
    *("a b", " ", "a+b", "%25", "%", "a//b", "./a", "a/../b", "dir/", "中文/图片.jpg", "ñandú", "🐼.png"),
    *("~!*'();:@&=$,?#[]", "q=1&b=2", "a?acl", "\n", "\x00", "a\u00a0"),
)
_CHARACTERS = st.characters(codec="utf-8")
_TEXT = st.text(_CHARACTERS, min_size=1, max_size=12)
_KEYS = st.sampled_from(AWKWARD_KEYS) | _TEXT
# A prefix keeps the drawn names from being those of a claim or of a sub-resource, which have tests of their own.
_QUERIES = st.dictionaries(_TEXT.map("p".__add__), st.text(_CHARACTERS, max_size=8), max_size=3)
_HEADER_VALUES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=12)
_METHODS = st.sampled_from(["GET", "PUT", "HEAD", "POST", "DELETE"])


def _path(key: str) -> str:
    return "/" + quote(key, safe="/~")


def _query(parameters: dict[str, str]) -> str:
    return urlencode(parameters, quote_via=quote)


def _distinct(parameters: dict[str, str]) -> dict[str, str]:
    """Leave out a second spelling of one name: COS cannot tell them apart."""
    seen: dict[str, str] = {}
    for name in parameters:
        seen.setdefault(quote(name).lower(), name)
    return {name: parameters[name] for name in seen.values()}


@pytest.mark.parametrize("name", HEADER_SIGNERS)
@PATIENT
@given(_METHODS, _KEYS, _QUERIES, _HEADER_VALUES)
def test_a_signed_request_is_verified(name: str, method: str, key: str, parameters: dict[str, str], value: str) -> None:
    headers = (("content-type", value), ("x-amz-meta-a", value), ("x-oss-meta-a", value), ("x-cos-meta-a", value))
    head = head_of(method, _path(key), _query(_distinct(parameters)), headers=headers)
    verified = identified(HEADER_SIGNERS[name](head, NOW, None))
    assert verified.claim is not None
    assert verified.claim.scheme == name


@pytest.mark.parametrize("name", PRESIGNERS)
@PATIENT
@given(_METHODS, _KEYS, _QUERIES)
def test_a_presigned_url_is_verified(name: str, method: str, key: str, parameters: dict[str, str]) -> None:
    verified = identified(presigned(name, method, key, _query(_distinct(parameters))))
    assert verified.claim is not None
    assert (verified.claim.scheme, verified.claim.in_query) == (name, True)


def _is_verified(head: RequestHead, scheme: str) -> bool:
    """Verify at the moment the vendor's signer took from its own clock."""
    verified = identified(head, now=moment_of(head))
    return verified.claim is not None and verified.claim.scheme == scheme


def _received(method: str, url: str, headers: Iterable[tuple[str, object]]) -> RequestHead:
    parts = urlsplit(url)
    received = tuple((name.lower(), str(value)) for name, value in headers)
    extra = tuple(item for item in received if item[0] != "host")
    return RequestHead(method, parts.path, parts.query, HOST, (("host", HOST), *extra))


_AWS = Credentials(KEY_ID, SECRET.reveal())
_AWS_SIGNERS = {
    "aws_v4 header": lambda: S3SigV4Auth(_AWS, "s3", REGION),
    "aws_v4 query": lambda: S3SigV4QueryAuth(_AWS, "s3", REGION, expires=600),
    "aws_v2 header": lambda: HmacV1Auth(_AWS),
    "aws_v2 query": lambda: HmacV1QueryAuth(_AWS, expires=600),
}


@pytest.mark.parametrize("form", _AWS_SIGNERS)
@PATIENT
@given(
    _METHODS, _KEYS, st.sampled_from(["", "versionId=1%2B2", "acl", "prefix=a%20b&uploads", "partNumber=1&uploadId=x"])
)
@example("GET", "a", "response-content-disposition=attachment%3B%20filename%3D%22a%26b.jpg%22")
def test_what_botocore_signs_is_verified(form: str, method: str, key: str, raw_query: str) -> None:
    url = f"http://{HOST}{_path(key)}{'?' if raw_query else ''}{raw_query}"
    headers = {"x-amz-meta-color": "red  blue", "content-type": "image/jpeg"}
    request = AWSRequest(method, url, headers={} if "query" in form else headers, auth_path=f"/{BUCKET}{_path(key)}")
    _AWS_SIGNERS[form]().add_auth(request)
    assert _is_verified(_received(method, request.url, request.headers.items()), form.split(maxsplit=1)[0])


_OSS_SIGNERS = {"oss_v1": oss2.auth.Auth, "oss_v2": oss2.auth.AuthV2, "oss_v4": oss2.auth.AuthV4}
_OSS_QUERIES = st.sampled_from([{}, {"acl": ""}, {"x-oss-process": "image/score"}, {"prefix": "a b/+", "uploads": ""}])


def _oss_request(method: str, key: str, parameters: dict[str, str], headers: dict[str, str]) -> Any:
    url = f"http://{HOST}{_path(key)}"
    return oss2.http.Request(method, url, params=dict(parameters), headers=headers, region=REGION, product="oss")


@pytest.mark.parametrize("scheme", _OSS_SIGNERS)
@PATIENT
@given(_METHODS, _KEYS, _OSS_QUERIES)
def test_what_oss2_signs_in_headers_is_verified(scheme: str, method: str, key: str, parameters: dict[str, str]) -> None:
    headers = {"x-oss-meta-color": "red", "content-type": "image/jpeg", "range": "bytes=0-3"}
    request = _oss_request(method, key, parameters, headers)
    _OSS_SIGNERS[scheme](KEY_ID, SECRET.reveal())._sign_request(request, BUCKET, key)
    url = f"{request.url}?{_query(request.params)}"
    assert _is_verified(_received(method, url, request.headers.items()), scheme)


@pytest.mark.parametrize("scheme", _OSS_SIGNERS)
@PATIENT
@given(_METHODS, _KEYS, _OSS_QUERIES)
def test_what_oss2_presigns_is_verified(scheme: str, method: str, key: str, parameters: dict[str, str]) -> None:
    request = _oss_request(method, key, parameters, {})
    url = _OSS_SIGNERS[scheme](KEY_ID, SECRET.reveal())._sign_url(request, BUCKET, key, 600)
    assert _is_verified(_received(method, url, ()), scheme)


@PATIENT
@given(_METHODS, _KEYS, st.sampled_from([{}, {"ci-process": "AssessQuality"}, {"uploads": "", "Prefix": "a b/+~!"}]))
def test_what_the_cos_sdk_signs_is_verified(method: str, key: str, parameters: dict[str, str]) -> None:
    config = CosConfig(Region="ap-beijing", SecretId=KEY_ID, SecretKey=SECRET.reveal())
    url = f"http://{HOST}{_path(key)}?{_query(parameters)}"
    request = requests.Request(method, f"http://{HOST}/", headers={"x-cos-meta-color": "red, blue"}).prepare()
    request.url = url
    CosS3Auth(config, key, parameters)(request)
    head = _received(method, url, request.headers.items())
    if key.startswith("/"):  # the SDK drops one slash before it signs, and its URL would not hold it either
        head = RequestHead(method, _path(key)[1:], head.raw_query, HOST, head.headers)
    assert _is_verified(head, "cos")
