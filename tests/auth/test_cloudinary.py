from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.auth import api_key, cloudinary
from gateway.body.form import FormReader, FormRules, parse_boundary
from gateway.credentials import EVERYTHING, Credential, Identity, Secret
from gateway.errors import ApiError
from gateway.request import RequestHead
from tests.conftest import SHARED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.credentials import Keyring

NOW = datetime(2026, 11, 26, tzinfo=UTC)
SIGNER = Identity("signer", EVERYTHING)
KEYS: Keyring = {
    "123456": Credential("123456", Secret("abcd"), SIGNER),
    "temporary": Credential("temporary", Secret("abcd"), SIGNER, token=Secret("t")),
    "ended": Credential("ended", Secret("abcd"), SIGNER, expires_at=NOW - timedelta(seconds=1)),
    "public": Credential("public", Secret("abcd"), SIGNER, kept="public"),
}


def recorded() -> Iterator[Any]:
    """Yield every recorded form with a signature, those whose file was too long for the record included."""
    for path in sorted(SHARED.glob("vectors/cloudinary_*.jsonl")):
        for number, line in enumerate(path.read_text().splitlines()):
            row = json.loads(line)
            head = row["body_head"].encode() if row["body_enc"] == "text" else b64decode(row["body_head"])
            if b'name="signature"' in head:
                yield pytest.param(row, head, id=f"{path.stem}-{number}-{row['label']}")


def fields_of(row: dict[str, Any], head: bytes) -> dict[str, str]:
    content_type = next(value for name, value in row["headers"] if name == "Content-Type")
    reader = FormReader(parse_boundary(content_type), FormRules(1 << 20, anywhere=True))
    reader.feed(head)
    return {name.removesuffix("[]"): value for name, value in reader.fields.items()}


VECTORS = list(recorded())


@pytest.mark.skipif(not VECTORS, reason="the recorded requests are not here (../shared/vectors)")
def test_there_are_recorded_forms_of_both_sdks() -> None:
    assert len(VECTORS) > 20


@pytest.mark.parametrize(("row", "head"), VECTORS)
def test_a_recorded_signature_is_right_and_each_signed_field_counts(row: dict[str, Any], head: bytes) -> None:
    fields = fields_of(row, head)
    if len(fields.get("signature", "")) not in (40, 64) or "api_key" not in fields:
        pytest.skip("the record ends inside of the fields")
    now = datetime.fromtimestamp(int(fields["timestamp"]), UTC)
    assert cloudinary.verify(fields, KEYS, now).identity is SIGNER
    for name in set(fields) - {"signature", "api_key", "file"}:
        with pytest.raises(ApiError) as caught:
            cloudinary.verify({**fields, name: fields[name] + "1"}, KEYS, now)
        assert caught.value.kind.code in ("SignatureDoesNotMatch", "InvalidArgument")


def test_the_vendors_own_example_comes_out() -> None:
    signature = cloudinary.sign({"public_id": "sample_image", "timestamp": "1315060510"}, Secret("abcd"))
    assert signature == "b4ad47fb4e25c7bf5f92a20089f9db59bc302313"


def test_replies_and_notifications_are_signed_as_the_sdks_verify_them() -> None:
    text = "public_id=a&b&version=7abcd"
    assert cloudinary.sign_reply("a&b", 7, Secret("abcd"), "sha256") == hashlib.sha256(text.encode()).hexdigest()
    digest = hashlib.sha256(b'{"a":1}1700000000abcd').hexdigest()
    assert cloudinary.sign_notification('{"a":1}', 1_700_000_000, Secret("abcd"), "sha256") == digest


def form(**fields: str) -> dict[str, str]:
    given = {"timestamp": str(int(NOW.timestamp())), **fields}
    return {"api_key": "123456", **given, "signature": cloudinary.sign(given, Secret("abcd"), "sha256")}


def refusal(fields: dict[str, str], now: datetime = NOW, versions: tuple[str, ...] = ("1", "2")) -> str:
    with pytest.raises(ApiError) as caught:
        cloudinary.verify(fields, KEYS, now, versions)
    return f"{caught.value.kind.code}: {caught.value.message}"


def test_an_ampersand_cannot_pass_for_a_parameter_where_version_1_is_forbidden() -> None:
    honest = {"timestamp": str(int(NOW.timestamp())), "public_id": "a&tags=b"}
    text = cloudinary.string_to_sign(honest, "1")
    forged = {**honest, "public_id": "a", "tags": "b"}
    assert text == cloudinary.string_to_sign(forged, "1")
    signature = cloudinary.digest(text, Secret("abcd"), "sha1")
    fields = {"api_key": "123456", **forged, "signature": signature}
    assert cloudinary.verify(fields, KEYS, NOW)
    assert refusal({**fields, "public_id": "a&tags=b", "tags": ""}, versions=("2",)).startswith("SignatureDoesNot")


@pytest.mark.parametrize("age_s", [-3601, 3601])
def test_an_hour_is_the_most_that_a_timestamp_may_be_off(age_s: int) -> None:
    inside = timedelta(seconds=age_s - 1 if age_s > 0 else age_s + 1)
    assert cloudinary.verify(form(), KEYS, NOW + inside)
    told = refusal(form(), NOW + timedelta(seconds=age_s))
    assert told.startswith("AccessDenied: Stale request - reported time is 2026-11-26 00:00:00 UTC which is more than")


def test_a_refusal_shows_what_the_request_said_and_no_secret() -> None:
    told = refusal({**form(public_id="x"), "signature": "0" * 40})
    assert told.endswith(f"Invalid Signature {'0' * 40}. String to sign - 'public_id=x&timestamp=1795651200'.")
    assert "abcd" not in told


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"api_key": "nobody"}, "InvalidAccessKeyId: Unknown API key nobody"),
        ({"api_key": "public"}, "InvalidAccessKeyId: Unknown API key public"),
        ({"api_key": ""}, "InvalidAccessKeyId: Unknown API key "),
        ({"api_key": "temporary"}, "InvalidToken: "),
        ({"api_key": "ended"}, "ExpiredToken: "),
        ({"timestamp": ""}, "InvalidArgument: Missing required parameter - timestamp"),
        ({"timestamp": "soon"}, "InvalidArgument: Invalid timestamp"),
        ({"timestamp": "9" * 12}, "InvalidArgument: Invalid timestamp"),
        ({"signature": "short"}, "SignatureDoesNotMatch: Invalid Signature short"),
        ({"signature": "é" * 40}, "SignatureDoesNotMatch: Invalid Signature é"),
    ],
)
def test_nobody_else_gets_in(changed: dict[str, str], told: str) -> None:
    assert refusal({**form(), **changed}).startswith(told)


def test_knowing_what_stands_in_for_an_unknown_key_opens_nothing() -> None:
    fields = {"timestamp": str(int(NOW.timestamp())), "api_key": "stranger"}
    signature = cloudinary.sign(fields, api_key.NOBODY.secret)
    assert refusal({**fields, "signature": signature}) == "InvalidAccessKeyId: Unknown API key stranger"


def head(authorization: str) -> RequestHead:
    return RequestHead("GET", "/v1_1/demo/ping", "", "h", (("host", "h"), ("authorization", authorization)))


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("Basic MTIzNDU2OmFiY2Q=", ""),
        ("basic MTIzNDU2OmFiY2Q=", ""),
        ("Basic MTIzNDU2OmFiY2U=", "SignatureDoesNotMatch"),
        ("Basic bm9ib2R5Om5vYm9keQ==", "InvalidAccessKeyId"),  # nobody:nobody
        ("Basic cHVibGljOmFiY2Q=", "InvalidAccessKeyId"),
        ("Basic ZW5kZWQ6YWJjZA==", "ExpiredToken"),
        ("Basic dGVtcG9yYXJ5OmFiY2Q=", "InvalidToken"),
        ("Basic MTIzNDU2", "SignatureDoesNotMatch"),
        ("Basic ***", "SignatureDoesNotMatch"),
    ],
)
def test_a_secret_in_clear_is_held_against_its_key(authorization: str, code: str) -> None:
    assert outcome(authorization) == (code or SIGNER.name)


def outcome(authorization: str) -> str:
    try:
        claim = api_key.parse_basic(head(authorization))
        return api_key.verify(claim, KEYS, NOW).identity.name if claim else ""
    except ApiError as error:
        return error.kind.code


def test_what_is_no_basic_claim_is_none() -> None:
    assert api_key.parse_basic(head("Bearer MTIz")) is None
    assert api_key.parse_basic(replace(head(""), headers=())) is None


@pytest.mark.parametrize(
    ("key", "usable"), [("123456", True), ("temporary", False), ("ended", False), ("public", False)]
)
def test_only_a_lasting_secret_in_force_could_prove_a_key_in_clear(key: str, usable: bool) -> None:  # noqa: FBT001
    assert api_key.is_usable(KEYS[key], NOW) is usable
