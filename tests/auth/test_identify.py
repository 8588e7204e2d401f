from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from gateway import errors
from gateway.auth import aws_v2
from gateway.auth.base import Claim, Unsigned
from gateway.auth.identify import SCHEMES, check_life, check_process_coverage, find_claim, identify, recognised
from gateway.credentials import ANONYMOUS, Credential, Secret
from gateway.errors import ApiError, ErrorKind
from gateway.request import ObjectRef, RequestHead, Target, locate, percent_decode
from tests.auth.samples import (
    HEADER_SIGNERS,
    HOST,
    HOSTS,
    IDENTITY,
    KEY_ID,
    KEYRING,
    NOW,
    PATIENT,
    PRESIGNERS,
    SECRET,
    head_of,
    identified,
    presigned,
    with_headers,
    with_query,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from gateway.auth.base import Scheme

    Signer = Callable[[RequestHead, datetime, Secret | None], RequestHead]

TOKEN = Secret("STSTOKEN")


def _kind(call: Callable[[], object]) -> ErrorKind:
    with pytest.raises(ApiError) as refusal:
        call()
    return refusal.value.kind


@pytest.mark.parametrize("sign", HEADER_SIGNERS.values(), ids=list(HEADER_SIGNERS))
def test_a_signed_request_yields_its_identity(sign: Signer) -> None:
    verified = identified(sign(head_of(), NOW, None))
    assert verified.identity is IDENTITY
    assert verified.claim is not None
    assert verified.claim.access_key_id == KEY_ID


def test_a_request_without_claim_is_anonymous() -> None:
    verified = identified(head_of())
    assert (verified.identity, verified.claim, verified.payload) == (ANONYMOUS, None, Unsigned())


def test_an_empty_authorization_is_no_claim() -> None:
    assert find_claim(head_of(headers=(("authorization", " "),))) is None


@pytest.mark.parametrize("value", ["Basic dGVzdDp0ZXN0", "Bearer x", "AWS4-ECDSA-P256-SHA256 Credential=a", "x"])
def test_an_authorization_that_nobody_recognises_is_refused(value: str) -> None:
    head = head_of(headers=(("authorization", value),))
    assert _kind(lambda: find_claim(head)) is errors.UNSUPPORTED_AUTHORIZATION
    beside = with_headers(presigned("aws_v4"), (("authorization", value),))
    assert _kind(lambda: find_claim(beside)) is errors.UNSUPPORTED_AUTHORIZATION


@pytest.mark.parametrize("in_header", HEADER_SIGNERS)
@pytest.mark.parametrize("in_query", PRESIGNERS)
def test_two_claims_are_refused_whichever_they_are(in_header: str, in_query: str) -> None:
    head = HEADER_SIGNERS[in_header](presigned(in_query), NOW, None)
    assert _kind(lambda: find_claim(head)) is errors.MULTIPLE_CLAIMS


@pytest.mark.parametrize("first", PRESIGNERS)
@pytest.mark.parametrize("second", PRESIGNERS)
def test_two_presigned_claims_are_refused(first: str, second: str) -> None:
    one, other = presigned(first), presigned(second)
    head = with_query(one, f"{one.raw_query}&{other.raw_query}")
    refused = errors.INVALID_REQUEST if first == second else errors.MULTIPLE_CLAIMS
    assert _kind(lambda: find_claim(head)) is refused


def test_two_authorization_headers_are_refused() -> None:
    head = HEADER_SIGNERS["aws_v4"](head_of(), NOW, None)
    doubled = with_headers(head, (("authorization", head.one_header("authorization")),))
    assert _kind(lambda: find_claim(doubled)) is errors.INVALID_REQUEST


@pytest.mark.parametrize("name", PRESIGNERS)
def test_a_doubled_claim_parameter_is_refused(name: str) -> None:
    head = presigned(name)
    for parameter in head.parameters:
        doubled = with_query(head, f"{head.raw_query}&{parameter.raw}")
        assert _kind(partial(find_claim, doubled)).status == 400


@pytest.mark.parametrize("sign", HEADER_SIGNERS.values(), ids=list(HEADER_SIGNERS))
@pytest.mark.parametrize("days", [0, 1])
def test_an_unknown_key_is_told_nothing_but_that(sign: Signer, days: int) -> None:
    head = sign(head_of(), NOW, None)
    now = NOW + timedelta(days=days)
    assert _kind(lambda: identified(head, keyring={}, now=now)) is errors.INVALID_ACCESS_KEY_ID


def test_the_secret_that_stands_in_for_an_unknown_key_opens_nothing() -> None:
    head = head_of()
    added = aws_v2.sign(head, locate(head, HOSTS), access_key_id="unknown", secret=Secret("nobody"), now=NOW)
    assert _kind(lambda: identified(with_headers(head, added))) is errors.INVALID_ACCESS_KEY_ID


def test_one_scheme_in_header_and_query_is_two_claims() -> None:
    head = HEADER_SIGNERS["aws_v2"](head_of(raw_query="AWSAccessKeyId=a&Expires=1&Signature=b"), NOW, None)
    assert _kind(lambda: find_claim(head)) is errors.MULTIPLE_CLAIMS


def test_a_claim_does_not_show_its_signature_or_token() -> None:
    claim = Claim("aws_v4", KEY_ID, "0123456789", in_query=False, token="STSTOKEN")
    assert repr(claim) == "Claim(aws_v4, 'testak')"


@pytest.mark.parametrize("sign", HEADER_SIGNERS.values(), ids=list(HEADER_SIGNERS))
class TestTokens:
    keyring = {KEY_ID: Credential(KEY_ID, SECRET, IDENTITY, TOKEN, NOW)}  # noqa: RUF012 - never changed

    def test_the_right_token_is_accepted_to_the_last_second(self, sign: Signer) -> None:
        assert identified(sign(head_of(), NOW, TOKEN), keyring=self.keyring).identity is IDENTITY

    def test_an_expired_token_is_refused_one_second_later(self, sign: Signer) -> None:
        later = NOW + timedelta(seconds=1)
        head = sign(head_of(), NOW, TOKEN)
        assert _kind(lambda: identified(head, keyring=self.keyring, now=later)) is errors.EXPIRED_TOKEN

    def test_a_missing_or_wrong_token_is_refused(self, sign: Signer) -> None:
        for token in (None, Secret("other")):
            head = sign(head_of(), NOW, token)
            assert _kind(partial(identified, head, keyring=self.keyring)) is errors.INVALID_TOKEN

    def test_a_token_for_a_key_without_one_is_refused(self, sign: Signer) -> None:
        assert _kind(lambda: identified(sign(head_of(), NOW, TOKEN))) is errors.INVALID_TOKEN

    def test_a_wrong_signature_is_all_that_a_stranger_learns_about_a_token(self, sign: Signer) -> None:
        keyring = {KEY_ID: replace(self.keyring[KEY_ID], secret=Secret("other"))}
        head, late = sign(head_of(), NOW, Secret("other")), NOW + timedelta(days=1)
        assert _kind(lambda: identified(head, keyring=keyring, now=late)) is errors.SIGNATURE_DOES_NOT_MATCH


@pytest.mark.parametrize("name", PRESIGNERS)
def test_a_presigned_url_carries_its_token(name: str) -> None:
    keyring = {KEY_ID: Credential(KEY_ID, SECRET, IDENTITY, TOKEN)}
    assert identified(presigned(name, token=TOKEN), keyring=keyring).identity is IDENTITY
    assert _kind(lambda: identified(presigned(name), keyring=keyring)) is errors.INVALID_TOKEN


@pytest.mark.parametrize(
    ("raw_path", "kind"),
    [
        ("/b%2Fk", errors.INVALID_BUCKET_NAME),
        ("/h%3A80%3F/k", errors.INVALID_BUCKET_NAME),
        ("/../k", errors.INVALID_BUCKET_NAME),
        (f"/{'b' * 256}/k", errors.INVALID_BUCKET_NAME),
        ("//k", errors.INVALID_URI),
        ("//b/k", errors.INVALID_URI),
    ],
)
def test_an_address_that_could_sign_like_another_is_refused(raw_path: str, kind: errors.ErrorKind) -> None:
    head = head_of(raw_path=raw_path, host="10.0.0.1")
    assert _kind(lambda: identified(head)) is kind


def test_a_target_that_is_not_ascii_is_refused() -> None:
    for head in (head_of(raw_path="/\udcff"), head_of(raw_query="a=\ud800")):
        assert _kind(partial(recognised, head)) is errors.INVALID_URI


_DENY = "deny"


@pytest.mark.parametrize(
    ("scheme", "covered", "addressed", "signed_headers", "setting", "outcome"),
    [
        ("aws_v4", None, "path", ("host",), "refuse", False),
        ("aws_v2", frozenset({"acl"}), "path", (), "accept", _DENY),
        ("oss_v1", frozenset({"x-oss-process"}), "path", (), "refuse", False),
        ("oss_v1", frozenset({"acl"}), "bound", ("host",), "accept", _DENY),
        ("cos", frozenset({"x-oss-process"}), "host", (), "refuse", False),
        ("cos", frozenset(), "host", ("host",), "accept", True),
        ("cos", frozenset(), "host", (), "accept", _DENY),
        ("cos", frozenset(), "bound", (), "accept", True),
        ("cos", frozenset(), "bound", ("host",), "refuse", _DENY),
    ],
)
def test_a_process_parameter_must_be_covered(
    scheme: str,
    covered: frozenset[str] | None,
    addressed: Literal["path", "host", "bound"],
    signed_headers: tuple[str, ...],
    setting: Literal["accept", "refuse"],
    outcome: bool | str,  # noqa: FBT001 - the expected answer
) -> None:
    claim = Claim(scheme, "k", "s", in_query=False, signed_headers=signed_headers, signed_parameters=covered)
    target = Target(ObjectRef("b", "k"), "k", addressed)

    def check() -> bool:
        return check_process_coverage(claim, target, ["x-oss-process"], cos_unsigned=setting)

    if outcome == _DENY:
        assert _kind(check) is errors.PROCESS_NOT_COVERED
    else:
        assert check() is outcome


def test_a_request_without_process_parameter_needs_no_coverage() -> None:
    claim = Claim("aws_v2", "k", "s", in_query=False, signed_parameters=frozenset())
    assert not check_process_coverage(claim, Target(ObjectRef("b", "k"), "k", "path"), [], cos_unsigned="refuse")


@pytest.mark.parametrize("sign", HEADER_SIGNERS.values(), ids=list(HEADER_SIGNERS))
def test_a_refusal_shows_neither_secret_nor_expected_signature(sign: Signer) -> None:
    head = sign(head_of(), NOW, None)
    expected = find_claim(head)
    assert expected is not None
    forged = replace(head, headers=tuple((n, v.replace(expected[1].signature, "forged")) for n, v in head.headers))
    with pytest.raises(ApiError) as refusal:
        identified(forged)
    shown = f"{refusal.value} {refusal.value.detail} {refusal.value.message} {refusal.value.fields}"
    assert refusal.value.kind is errors.SIGNATURE_DOES_NOT_MATCH
    assert expected[1].signature not in shown
    assert SECRET.reveal() not in shown
    assert refusal.value.__cause__ is None


def test_every_scheme_names_its_claim_parameters_in_lower_case() -> None:
    for scheme in SCHEMES:
        assert all(name == name.lower() for name in scheme.CLAIM_PARAMETERS)


@pytest.mark.parametrize("name", PRESIGNERS)
def test_every_parameter_of_a_presigned_url_is_known_as_claim(name: str) -> None:
    scheme: Scheme = next(scheme for scheme in SCHEMES if name == scheme.NAME)
    head = presigned(name, raw_query="versionId=1", token=TOKEN)
    assert {item.name.lower() for item in head.parameters} - scheme.CLAIM_PARAMETERS == {"versionid"}


# Whatever arrives, the answer is a refusal or anonymity, never another exception.

_JUNK = st.text(st.characters(exclude_categories=()), max_size=30)
_NUMBERS = st.sampled_from(["0", "-1", "9" * 30, "9" * 5000, "000000001999999999", "\u0663", "1e9", "20261121T050125Z"])
_FIELDS = st.sampled_from(
    [
        "Credential=testak/20261121/r/s3/aws4_request",
        "Credential=testak/20261121/r/oss/aliyun_v4_request",
        "SignedHeaders=host",
        "SignedHeaders=host;x",
        "AdditionalHeaders=host",
        "Signature=00",
        "AccessKeyId:testak",
        "Signature:00",
        "q-ak=testak",
        "q-sign-time=1;2",
        "q-key-time=1;99999999999999999999",
        "q-header-list=host",
        "q-url-param-list=a",
        "q-signature=00",
        "testak:00",
    ]
)
_AUTHORIZATIONS = st.builds(
    lambda start, parts, joint: start + joint.join(parts),
    st.sampled_from(["AWS4-HMAC-SHA256 ", "AWS ", "OSS ", "OSS2 ", "OSS4-HMAC-SHA256 ", "q-sign-algorithm=sha1&", ""]),
    st.lists(_FIELDS | _JUNK, max_size=8),
    st.sampled_from([",", ", ", "&", ""]),
)
_DATES = st.sampled_from(
    [
        "20261121T050125Z",
        "20261331T996199Z",
        "99991231T235959Z",
        "00010101T000000Z",
        "Sat, 21 Nov 2026 05:01:25 GMT",
        "Sat, 31 Feb 2026 05:01:25 GMT",
        "21 Nov 9999 05:01:25 -9999",
        "21 Nov 1970 00:00:00 +9960",
        "",
    ]
)
_DATE_HEADERS = st.sampled_from(["date", "x-amz-date", "x-oss-date"])


def _outcome(head: RequestHead) -> str:
    try:
        found = find_claim(head)
        identify((head,), found, locate(head, HOSTS), KEYRING, NOW)
    except ApiError:
        return "refused"
    return "anonymous" if found is None else "verified"


@PATIENT
@given(_AUTHORIZATIONS, _DATE_HEADERS, _DATES | _JUNK, st.dictionaries(st.sampled_from(["x-amz-a", "a"]), _JUNK))
@example("AWS4-HMAC-SHA256 Credential=testak/20261121/\ud800/s3/aws4_request,SignedHeaders=host,Signature=\ud800", "x-amz-date", "20261121T050125Z", {})  # fmt: skip  # noqa: E501 - one value
@example("AWS testak:\udcff", "date", "Sat, 21 Nov 2026 05:01:25 GMT", {"x-amz-a": "\ud800\0"})
def test_no_authorization_header_breaks_more_than_itself(
    authorization: str, date_header: str, date: str, headers: dict[str, str]
) -> None:
    given_headers = (("authorization", authorization), (date_header, date), *headers.items())
    head = head_of(headers=(*given_headers, ("x-amz-content-sha256", "UNSIGNED-PAYLOAD")))
    assert _outcome(head) == ("refused" if authorization.strip() else "anonymous")


@PATIENT
@given(st.sampled_from(PRESIGNERS), st.integers(0, 20), _JUNK | _NUMBERS | _FIELDS, st.booleans())
def test_no_query_breaks_more_than_itself(name: str, position: int, junk: str, dropped: bool) -> None:  # noqa: FBT001 - drawn
    pieces = presigned(name, raw_query="versionId=1").raw_query.split("&")
    index = position % len(pieces)
    parameter, _, value = pieces[index].partition("=")
    assume(dropped or junk.lower() != percent_decode(value).lower())
    encoded = "".join(f"%{byte:02X}" for byte in junk.encode("utf-8", "surrogatepass"))
    pieces[index : index + 1] = [] if dropped else [f"{parameter}={encoded}"]
    assert _outcome(head_of(raw_query="&".join(pieces), host=HOST)) != "verified"


@pytest.mark.parametrize(
    ("lives_s", "in_query", "most_s", "fine"),
    [(60, True, 60, True), (61, True, 60, False), (61, True, 0, True), (61, False, 60, True)],
)
def test_a_url_may_live_no_longer_than_the_settings_allow(
    lives_s: int,
    in_query: bool,  # noqa: FBT001
    most_s: int,
    fine: bool,  # noqa: FBT001
) -> None:
    claim = Claim("aws_v4", "k", "s", in_query=in_query, expires_at=NOW + timedelta(seconds=lives_s))
    if fine:
        check_life(claim, NOW, most_s)
        return
    with pytest.raises(ApiError) as caught:
        check_life(claim, NOW, most_s)
    assert caught.value.kind is errors.ACCESS_DENIED
