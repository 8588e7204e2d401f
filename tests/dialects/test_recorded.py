"""What the vendors' SDKs really sent, interpreted: nothing may be misread, and S3 may refuse nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.dialects import registry
from gateway.dialects.base import Analyse, Forward
from gateway.dialects.process import oss_parameters, with_body
from gateway.errors import ApiError
from gateway.request import HostMap, ObjectRef, RequestHead, Target, percent_decode

VECTORS = Path(__file__).resolve().parents[2] / ".." / "shared" / "vectors"
HOSTS = HostMap((), {})
SCHEME_OF = {
    "oss2": "oss_v4",
    "alibabacloud_oss_v2": "oss_v4",
    "ali_oss_node": "oss_v4",
    "cos_python": "cos",
    "cos_node": "cos",
    "boto3": "aws_v4",
    "boto3_tls": "aws_v4",
    "aiobotocore": "aws_v4",
    "aws_sdk_js_v3": "aws_v4",
    "awscli": "aws_v4",
    "minio_node": "aws_v4",
    "minio_python": "aws_v4",
    "s3cmd": "aws_v4",
}
SCORED = re.compile("x-oss-process=image(%2F|/)(score|info)|ci-process=AssessQuality|imageInfo")
# Appending and other image operations: S3 has no such calls.
UNTRANSLATED = re.compile(r"[?&](append|x-oss-process=)")
CLAIM = re.compile(
    "(OSSAccessKeyId|Expires|Signature|security-token|x-oss-(?!process)|q-|x-cos-security)", re.IGNORECASE
)

pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="the recorded requests are not beside the project")


def recorded(sdk: str) -> list[tuple[str, RequestHead]]:
    lines = (VECTORS / f"{sdk}.jsonl").read_text().splitlines()
    return [(row["label"], request(row)) for row in map(json.loads, lines)]


def request(row: dict[str, Any]) -> RequestHead:
    headers = tuple((name.lower(), value) for name, value in row["headers"])
    target, authority = row["path"], dict(headers).get("host", "")
    if target.startswith("http://"):
        authority, _, path = target.removeprefix("http://").partition("/")
        target = f"/{path}"
    path, _, query = target.partition("?")
    head = RequestHead(row["method"], path, query, authority, headers)
    return with_body(head, row["body_head"].encode()) if row["method"] == "POST" and oss_parameters(head) else head


def target_of(head: RequestHead) -> Target:
    """Find the bucket as the recording knows it: in the path, or else in a host name or a binding."""
    path = head.raw_path.removeprefix("/")
    if path.startswith("examplebucket"):
        bucket, _, raw_key = path.partition("/")
        return Target(ObjectRef(bucket, percent_decode(raw_key)), raw_key, "path")
    return Target(ObjectRef("examplebucket", percent_decode(path)), path, "host")


def outcome(head: RequestHead, scheme: str) -> tuple[str, str]:
    dialect = registry.select(head, (scheme,), HOSTS, "s3")
    try:
        intent = dialect.interpret(head, target_of(head))
    except ApiError as error:
        return dialect.NAME, error.kind.code
    return dialect.NAME, {Analyse: "analyse", Forward: "forward"}[type(intent)]


def expected(head: RequestHead) -> str:
    if SCORED.search(head.raw_query):
        return "analyse"
    return "NotImplemented" if UNTRANSLATED.search(f"?{head.raw_query}") else "forward"


def unsigned(head: RequestHead) -> RequestHead:
    """Take the claim out of a presigned query, as the handler does before it asks a dialect."""
    kept = "&".join(parameter.raw for parameter in head.parameters if not CLAIM.match(parameter.name))
    return RequestHead(head.method, head.raw_path, kept, head.authority, head.headers)


@pytest.mark.parametrize("sdk", [sdk for sdk, scheme in SCHEME_OF.items() if not scheme.startswith("aws")])
def test_every_call_of_a_vendors_sdk_is_scored_translated_or_refused_as_it_should_be(sdk: str) -> None:
    dialect = "cos" if SCHEME_OF[sdk] == "cos" else "oss"
    heads = [(label, unsigned(head)) for label, head in recorded(sdk)]
    found = [(label, outcome(head, SCHEME_OF[sdk]), (dialect, expected(head))) for label, head in heads]
    assert [row for row in found if row[1] != row[2]] == []
    assert {row[1][1] for row in found} >= {"analyse", "forward"}


@pytest.mark.parametrize("sdk", [sdk for sdk, scheme in SCHEME_OF.items() if scheme.startswith("aws")])
def test_every_call_of_an_s3_client_goes_to_the_store_with_a_right_of_s3(sdk: str) -> None:
    for label, head in recorded(sdk):
        intent = registry.select(head, ("aws_v4",), HOSTS, "s3").interpret(head, target_of(head))
        assert isinstance(intent, Forward), label
        assert intent.action.startswith("s3:"), label
        assert (intent.store.method, intent.store.raw_query) == (head.method, head.raw_query), label
