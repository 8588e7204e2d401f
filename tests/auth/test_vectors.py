"""Every recorded request of the S3, OSS and COS SDKs gets the verdict that EXPECT.csv gives it."""

from __future__ import annotations

from collections import Counter

import pytest

from gateway.auth.base import Chunked, Sha256, Unsigned
from gateway.auth.identify import Verified, check_process_coverage, find_claim, identify
from gateway.errors import ApiError
from gateway.request import HostMap, locate
from tests.vectors import COS_BUCKET, FOLDER, MISSING, OTHER_VENDORS, Recording, in_scope, keyring_for, moment_of
from tests.vectors import recordings as all_recordings

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=MISSING)

_PROCESS = ("x-oss-process", "ci-process")
_SCHEMES = {
    "aws4": "aws_v4",
    "aws2": "aws_v2",
    "oss1": "oss_v1",
    "oss2": "oss_v2",
    "oss4": "oss_v4",
    "cosh": "cos",
    "cosq": "cos",
}


def _with_verdict(verdict: str) -> list[Recording]:
    return [recording for recording in in_scope() if recording.verdict == verdict]


def _identified(recording: Recording, hosts: HostMap) -> Verified:
    head = recording.head
    return identify((head,), find_claim(head), locate(head, hosts), keyring_for(head), moment_of(head))


@pytest.mark.parametrize("recording", _with_verdict("verify"), ids=str)
def test_a_recorded_request_is_verified_by_the_expected_scheme(recording: Recording) -> None:
    verified = _identified(recording, recording.hosts)
    assert verified.identity.name == "recorded"
    assert verified.claim is not None
    assert verified.claim.scheme == _SCHEMES[recording.why[:4]]
    assert verified.claim.in_query == (recording.why[4 if verified.claim.scheme != "cos" else 3] == "q")


@pytest.mark.parametrize("recording", _with_verdict("verify"), ids=str)
def test_the_payload_is_what_the_client_declared(recording: Recording) -> None:
    declared = recording.head.header("x-amz-content-sha256") or ""
    payload = _identified(recording, recording.hosts).payload
    if recording.why != "aws4h" or declared == "UNSIGNED-PAYLOAD":
        assert payload == Unsigned()
    else:
        # No SDK of the recordings signed its chunks.
        assert payload == (Chunked(declared) if declared.startswith("STREAMING-") else Sha256(declared))


@pytest.mark.parametrize("recording", _with_verdict("verify"), ids=str)
def test_every_recorded_process_parameter_is_covered(recording: Recording) -> None:
    found = find_claim(recording.head)
    assert found is not None
    names = [item.name for item in recording.head.parameters if item.name in _PROCESS]
    target = locate(recording.head, recording.hosts)
    assert check_process_coverage(found[1], target, names, cos_unsigned="refuse") is False


@pytest.mark.parametrize("recording", [*_with_verdict("refuse"), *_with_verdict("setting")], ids=str)
def test_a_recorded_request_that_proves_too_little_is_refused(recording: Recording) -> None:
    with pytest.raises(ApiError) as refusal:
        _identified(recording, recording.hosts)
    assert refusal.value.kind.status == 403


@pytest.mark.parametrize("recording", _with_verdict("setting"), ids=str)
def test_a_host_bound_to_one_bucket_lets_a_cos_request_without_bucket_in(recording: Recording) -> None:
    hosts = HostMap((), {recording.head.host: COS_BUCKET})
    verified = _identified(recording, hosts)
    assert verified.claim is not None
    assert verified.claim.scheme == "cos"
    assert locate(recording.head, hosts).ref.bucket == COS_BUCKET


@pytest.mark.parametrize("recording", _with_verdict("anonymous"), ids=str)
def test_a_recorded_request_without_claim_is_anonymous(recording: Recording) -> None:
    verified = _identified(recording, recording.hosts)
    assert (verified.identity.name, verified.claim, verified.payload) == ("anonymous", None, Unsigned())


def test_every_recording_is_judged_or_belongs_to_another_module() -> None:
    assert {recording.file for recording in all_recordings()} - {r.file for r in in_scope()} == set(OTHER_VENDORS)
    assert Counter(recording.verdict for recording in in_scope()) == {
        "verify": 501,
        "refuse": 10,
        "setting": 9,
        "anonymous": 8,
    }
