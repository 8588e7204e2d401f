"""Signed forms of each vendor, signed here by the vendors' own words and not by the gateway's code."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from gateway.auth import identify, post_policy
from gateway.credentials import EVERYTHING, Credential, Identity, Secret
from gateway.errors import ApiError
from gateway.request import ObjectRef, RequestHead, Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.auth.post_policy import Policy

SCHEMES = ("aws_v4", "aws_v2", "oss_v4", "oss_v1", "cos")
VENDOR = {"aws_v4": "x-amz-", "aws_v2": "x-amz-", "oss_v4": "x-oss-", "oss_v1": "x-oss-", "cos": "x-cos-"}
TOKEN = {name: f"{prefix}security-token" for name, prefix in VENDOR.items()}


def sha1(key: str, text: str) -> bytes:
    return hmac.digest(key.encode(), text.encode(), "sha1")


def v4(prefix: str, secret: str, scope: str, policy: str) -> str:
    key = (prefix + secret).encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    return hmac.digest(key, policy.encode(), "sha256").hex()


def claim_fields(scheme: str, key_id: str, now: datetime) -> dict[str, str]:
    """The fields of the claim that stand in the policy too."""
    date, second = now.strftime("%Y%m%dT%H%M%SZ"), int(now.timestamp())
    return {
        "aws_v4": {
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "x-amz-credential": f"{key_id}/{date[:8]}/us-east-1/s3/aws4_request",
            "x-amz-date": date,
        },
        "aws_v2": {"AWSAccessKeyId": key_id},
        "oss_v4": {
            "x-oss-signature-version": "OSS4-HMAC-SHA256",
            "x-oss-credential": f"{key_id}/{date[:8]}/cn-hangzhou/oss/aliyun_v4_request",
            "x-oss-date": date,
        },
        "oss_v1": {"OSSAccessKeyId": key_id},
        "cos": {"q-sign-algorithm": "sha1", "q-ak": key_id, "q-key-time": f"{second};{second + 600}"},
    }[scheme]


def signature(scheme: str, secret: str, policy: str, fields: Mapping[str, str]) -> tuple[str, str]:
    """The field that holds the signature, and the signature of a policy in base64."""
    match scheme:
        case "aws_v4":
            scope = fields["x-amz-credential"].partition("/")[2]
            return "x-amz-signature", v4("AWS4", secret, scope, policy)
        case "oss_v4":
            scope = fields["x-oss-credential"].partition("/")[2]
            return "x-oss-signature", v4("aliyun_v4", secret, scope, policy)
        case "cos":
            digest = hashlib.sha1(b64decode(policy)).hexdigest()  # noqa: S324 # as COS
            return "q-signature", sha1(sha1(secret, fields["q-key-time"]).hex(), digest).hex()
        case _:
            return "Signature" if scheme == "oss_v1" else "signature", b64encode(sha1(secret, policy)).decode()


def encoded(document: object) -> str:
    return b64encode(json.dumps(document).encode()).decode()


def signed_form(
    scheme: str,
    conditions: list[Any],
    fields: Mapping[str, str],
    *,
    key_id: str,
    secret: str,
    now: datetime | None = None,
    expiration: str = "2999-12-30T12:00:00.000Z",
) -> dict[str, str]:
    """A form's fields, the file apart: the given ones, the claim, and a policy of the conditions and the claim."""
    own = claim_fields(scheme, key_id, now or datetime.now(UTC))
    named = [{"q-sign-time" if name == "q-key-time" else name: value} for name, value in own.items()]
    in_policy = [] if scheme in ("aws_v2", "oss_v1") else named
    policy = encoded({"expiration": expiration, "conditions": [*conditions, *in_policy]})
    name, value = signature(scheme, secret, policy, own)
    return {**fields, **own, "policy": policy, name: value}


NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
KEY_ID, SECRET = "FORMKEY", "form-secret"
ALICE = Identity("alice", EVERYTHING)
KEYS = {
    KEY_ID: Credential(KEY_ID, Secret(SECRET), ALICE),
    "TEMPORARY": Credential("TEMPORARY", Secret(SECRET), ALICE, Secret("the-token")),
}
TARGET = Target(ObjectRef("photos", ""), "", "host")
BOUND = Target(ObjectRef("photos", ""), "", "bound")
POST = RequestHead("POST", "/", "", "photos.localhost", ())
CONDITIONS: list[Any] = [{"bucket": "photos"}, ["starts-with", "$key", "in/"]]


def form(scheme: str, conditions: list[Any] | None = None, **changes: Any) -> dict[str, str]:
    options: dict[str, Any] = {"key_id": KEY_ID, "secret": SECRET, "now": NOW, **changes}
    fields = options.pop("fields", {"key": "in/a.jpg"})
    return signed_form(scheme, CONDITIONS if conditions is None else conditions, fields, **options)


def judged(fields: Mapping[str, str], target: Target = TARGET, now: datetime = NOW) -> Policy:
    """Prove and judge as the journey does; returns the policy."""
    lower = {name.lower(): value for name, value in fields.items()}
    found = post_policy.find_claim(lower, POST)
    verified = identify.identify((POST,), found, target, KEYS, now)
    assert verified.claim is not None
    assert verified.identity is ALICE
    return post_policy.judge(lower, verified.claim, target, now)


def refusal(fields: Mapping[str, str], target: Target = TARGET, now: datetime = NOW) -> tuple[int, str, str]:
    with pytest.raises(ApiError) as refused:
        judged(fields, target, now)
    return refused.value.kind.status, refused.value.kind.code, refused.value.message
