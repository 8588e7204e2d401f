"""A form is believed when its policy was signed by the key that it names, and by nobody else."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest

from gateway.auth import identify, post_policy
from gateway.auth.post_policy import SizeRange
from gateway.credentials import Credential, Secret
from gateway.errors import ApiError
from gateway.request import ObjectRef, Target
from tests.auth.forms import ALICE, CONDITIONS, KEY_ID, NOW, POST, SCHEMES, TOKEN, form, judged, refusal

each_scheme = pytest.mark.parametrize("scheme", SCHEMES)


@each_scheme
def test_a_form_of_each_vendor_is_taken(scheme: str) -> None:
    assert judged(form(scheme)).size == SizeRange()


@each_scheme
def test_names_of_fields_mean_the_same_in_any_case(scheme: str) -> None:
    conditions = [{"BUCKET": "photos"}, ["Starts-With", "$KEY", "in/"]]
    assert judged({name.upper(): value for name, value in form(scheme, conditions).items()})


@each_scheme
def test_any_change_of_the_policy_or_of_the_signature_is_refused(scheme: str) -> None:
    right = form(scheme)
    sealed = [name for name in right if name.lower() == "policy" or "signature" in name.lower()]
    changed = 0
    for name in (name for name in sealed if not name.endswith("-version")):
        for position, old in enumerate(right[name]):
            new = "A" if old != "A" else "B"
            text = right[name][:position] + new + right[name][position + 1 :]
            code = refusal({**right, name: text})[1]
            # COS signs what the policy's base64 stands for, so it must be base64 first
            assert code == "SignatureDoesNotMatch" or (scheme == "cos" and code == "InvalidPolicyDocument"), position
            changed += 1
    assert changed > 170


@each_scheme
def test_a_form_signed_with_another_secret_or_by_nobody_is_refused(scheme: str) -> None:
    assert refusal(form(scheme, secret="another"))[:2] == (403, "SignatureDoesNotMatch")
    assert refusal(form(scheme, key_id="NOBODY"))[:2] == (403, "InvalidAccessKeyId")
    assert refusal(form(scheme, key_id="NOBODY", secret="nobody"))[:2] == (403, "InvalidAccessKeyId")


@each_scheme
def test_each_field_of_the_claim_is_needed_and_proven(scheme: str) -> None:
    right = form(scheme)
    for name in right.keys() - {"key"}:
        status, _, _ = refusal({**right, name: ""})
        assert status in (400, 403), name
        status, _, _ = refusal({**right, name: right[name] + "0"})
        assert status in (400, 403), name
        rest = {given: value for given, value in right.items() if given != name}
        if post_policy.recognised({given.lower(): value for given, value in rest.items()}):
            assert refusal(rest)[:2] == (400, "InvalidArgument"), name


def test_a_part_of_a_claim_alone_is_refused_and_none_at_all_is_none() -> None:
    for name in ("policy", "signature"):
        with pytest.raises(ApiError) as refused:
            post_policy.find_claim({"key": "k", name: "x"}, POST)
        assert "field named 'AWSAccessKeyId'" in refused.value.message
    assert post_policy.find_claim({"key": "k"}, POST) is None


def test_two_claims_in_one_form_are_refused() -> None:
    for first in SCHEMES:
        for second in SCHEMES:
            if first != second:
                assert refusal({**form(first), **form(second)})[:2] == (400, "InvalidArgument")


@each_scheme
def test_a_form_carries_the_claim_it_was_made_for(scheme: str) -> None:
    found = post_policy.find_claim({name.lower(): value for name, value in form(scheme).items()}, POST)
    assert found is not None
    assert found[0].recognises(POST)
    assert (found[0].NAME, found[1].access_key_id) == (scheme, KEY_ID)
    assert not found[0].CLAIM_PARAMETERS


@each_scheme
def test_the_token_belongs_to_its_key(scheme: str) -> None:
    name = TOKEN[scheme]
    fields = {"key": "in/a.jpg", name: "the-token"}
    conditions = [*CONDITIONS, {name: "the-token"}]
    assert judged(form(scheme, conditions, key_id="TEMPORARY", fields=fields))
    assert refusal(form(scheme, conditions, fields=fields))[1] in ("InvalidToken", "InvalidSecurityToken")
    assert refusal(form(scheme, key_id="TEMPORARY"))[1] in ("InvalidToken", "InvalidSecurityToken")


@pytest.mark.parametrize("scheme", ["aws_v4", "oss_v4"])
def test_a_v4_form_is_good_from_its_date_on_for_seven_days(scheme: str) -> None:
    right = form(scheme)
    for moment in (NOW - timedelta(minutes=15), NOW + timedelta(days=7)):
        assert judged(right, now=moment)
    for moment in (NOW - timedelta(minutes=15, seconds=1), NOW + timedelta(days=7, seconds=1)):
        assert refusal(right, now=moment)[:2] == (403, "AccessDenied")


def test_a_cos_form_is_good_in_its_key_time() -> None:
    right = form("cos")
    for moment in (NOW, NOW + timedelta(seconds=600)):
        assert judged(right, now=moment)
    for moment in (NOW - timedelta(seconds=1), NOW + timedelta(seconds=601)):
        assert refusal(right, now=moment)[:2] == (403, "AccessDenied")


@pytest.mark.parametrize(
    ("scheme", "name", "value"),
    [
        ("aws_v4", "x-amz-algorithm", "AWS4-HMAC-SHA1"),
        ("aws_v4", "x-amz-credential", f"{KEY_ID}/20260304/us-east-1/iam/aws4_request"),
        ("aws_v4", "x-amz-credential", KEY_ID),
        ("aws_v4", "x-amz-date", "20260305T000000Z"),
        ("aws_v4", "x-amz-date", "yesterday"),
        ("oss_v4", "x-oss-signature-version", "OSS2"),
        ("oss_v4", "x-oss-credential", f"{KEY_ID}/20260304/cn-hangzhou/s3/aliyun_v4_request"),
        ("oss_v4", "x-oss-date", "20260303T000000Z"),
        ("cos", "q-sign-algorithm", "md5"),
        ("cos", "q-key-time", "1772600767"),
        ("cos", "q-key-time", "now;later"),
    ],
)
def test_a_malformed_claim_is_refused(scheme: str, name: str, value: str) -> None:
    status, code, _ = refusal({**form(scheme), name: value})
    assert (status, code) == (400, "AuthorizationQueryParametersError")


EXAMPLE_POLICY = """{ "expiration": "2015-12-30T12:00:00.000Z",
  "conditions": [
    {"bucket": "sigv4examplebucket"},
    ["starts-with", "$key", "user/user1/"],
    {"acl": "public-read"},
    {"success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html"},
    ["starts-with", "$Content-Type", "image/"],
    {"x-amz-meta-uuid": "14365123651274"},
    {"x-amz-server-side-encryption": "AES256"},
    ["starts-with", "$x-amz-meta-tag", ""],

    {"x-amz-credential": "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"},
    {"x-amz-algorithm": "AWS4-HMAC-SHA256"},
    {"x-amz-date": "20151229T000000Z" }
  ]
}
""".strip().replace("\n", "\r\n")


def test_the_example_of_the_s3_documentation_verifies() -> None:
    """Amazon S3 API Reference, "Example: Browser-Based Upload using HTTP POST (Using AWS Signature Version 4)"."""
    key_id = "AKIAIOSFODNN7EXAMPLE"
    fields = {
        "key": "user/user1/a.jpg",
        "acl": "public-read",
        "success_action_redirect": "http://sigv4examplebucket.s3.amazonaws.com/successful_upload.html",
        "content-type": "image/jpeg",
        "x-amz-meta-uuid": "14365123651274",
        "x-amz-server-side-encryption": "AES256",
        "x-amz-credential": f"{key_id}/20151229/us-east-1/s3/aws4_request",
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-date": "20151229T000000Z",
        "x-amz-meta-tag": "",
        "policy": b64encode(EXAMPLE_POLICY.encode()).decode(),
        "x-amz-signature": "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e",
    }
    keys = {key_id: Credential(key_id, Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), ALICE)}
    target = Target(ObjectRef("sigv4examplebucket", ""), "", "host")
    moment = datetime(2015, 12, 29, 12, tzinfo=UTC)
    verified = identify.identify((POST,), post_policy.find_claim(fields, POST), target, keys, moment)
    assert verified.claim is not None
    policy = post_policy.judge(fields, verified.claim, target, moment)
    assert policy.expires_at == datetime(2015, 12, 30, 12, tzinfo=UTC)
