"""Browser uploads: a signed policy among the fields of a form, of S3 (V4, V2), OSS (V4, V1) and COS. Pure.

Sources: Amazon S3 API Reference, "Browser-Based Uploads Using POST"; OSS documentation, "PostObject"; COS
documentation, "POST Object". Knows what the claim among the fields proves and what the policy permits; must not know
how a form is read, nor what its fields ask of a store.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import b64decode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from gateway.auth import aws_v2, aws_v4, canonical, cos, oss_v1, oss_v4
from gateway.auth.base import MAX_EXPIRES_S, MAX_SKEW, Claim, Payload, Unsigned, check_signature, check_window
from gateway.errors import ACCESS_DENIED, INVALID_ARGUMENT, INVALID_POLICY_DOCUMENT, MULTIPLE_CLAIMS, ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from gateway.auth.base import Scope
    from gateway.credentials import Secret
    from gateway.request import RequestHead, Target

    Fields = Mapping[str, str]  # a form's fields by lower-case name

_MARKS: Mapping[str, frozenset[str]] = {
    aws_v4.NAME: frozenset({"x-amz-algorithm", "x-amz-credential", "x-amz-signature"}),
    aws_v2.NAME: frozenset({"awsaccesskeyid"}),
    oss_v4.NAME: frozenset({"x-oss-signature-version", "x-oss-credential", "x-oss-signature"}),
    oss_v1.NAME: frozenset({"ossaccesskeyid"}),
    cos.NAME: frozenset({"q-sign-algorithm", "q-ak", "q-signature"}),
}
_AWS = (aws_v4.NAME, aws_v2.NAME)
# S3 wants every other field in the policy.
_AWS_FREE = frozenset({"awsaccesskeyid", "policy", "signature", "x-amz-signature"})
_AWS_IGNORED = "x-ignore-"
# OSS and COS want nothing in the policy. What could change rights, cost or metadata must be in it here all the same,
# and with it every vendor's field; of those, these are proven otherwise, or take nothing from the signer.
_VENDOR = ("x-amz-", "x-cos-", "x-oss-")
_VENDOR_FREE = frozenset(
    {
        "x-cos-forbid-overwrite",
        "x-cos-security-token",
        "x-cos-traffic-limit",
        "x-oss-content-type",
        "x-oss-forbid-overwrite",
        "x-oss-security-token",
        "x-oss-signature",
        "x-oss-traffic-limit",
    }
)
_EXPIRATION = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?Z")
_RANGE = "content-length-range"
_MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class SizeRange:
    """How many bytes a file may have; both ends belong to it, None is no end."""

    min_bytes: int = 0
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """What a policy wants of one field: `eq` and `starts-with` have one operand, `in` and `not-in` a list."""

    operator: str
    field: str
    operands: tuple[str, ...]

    def holds(self, value: str | None) -> bool:
        """Tell whether the field's value is as wanted; a field that is not there never is.

        S3 reads a Content-Type with commas as a list, each member of which must start with the prefix.
        """
        if value is None:
            return False
        match self.operator:
            case "starts-with":
                members = re.split(", *", value) if self.field == "content-type" else [value]
                return all(member.startswith(self.operands[0]) for member in members)
            case "not-in":
                return value not in self.operands
            case _:
                return value in self.operands


@dataclass(frozen=True, slots=True)
class Policy:
    """What the signer of a form permits, until when."""

    expires_at: datetime
    conditions: tuple[Condition, ...]
    size: SizeRange


class FormScheme:
    """The claim among a form's fields, in the shape in which `identify` proves claims: one way for all of them."""

    AUTHORIZATION = ""
    CLAIM_PARAMETERS: frozenset[str] = frozenset()

    def __init__(self, name: str, fields: Fields) -> None:
        self.NAME = name
        self._fields = fields

    def recognises(self, _head: RequestHead, /) -> bool:
        """Tell that the form carries the claim for which this was made."""
        return bool(_MARKS[self.NAME] & self._fields.keys())

    def parse(self, _head: RequestHead, /) -> Claim:
        """Read the claim among the fields. Raises INVALID_ARGUMENT or AUTHORIZATION_QUERY_MALFORMED."""
        return _READERS[self.NAME](self._fields)

    def verify(self, _head: RequestHead, claim: Claim, secret: Secret, _target: Target, now: datetime, /) -> Payload:
        """Prove the signature of the policy; what the policy says is for `judge`. Raises ApiError."""
        check_signature(_SIGNERS[self.NAME](self._fields, claim, secret), claim.signature)
        if claim.expires_at is not None:
            check_window(claim.starts_at, claim.expires_at, now)
        return Unsigned()


def recognised(fields: Fields) -> tuple[str, ...]:
    """Return the names of the schemes of which the form carries a claim, whole or not."""
    return tuple(name for name, marks in _MARKS.items() if marks & fields.keys())


def find_claim(fields: Fields, head: RequestHead) -> tuple[FormScheme, Claim] | None:
    """Return the one claim of a form with its scheme, None when it makes none.

    Raises MULTIPLE_CLAIMS, INVALID_ARGUMENT for a part of a claim alone, AUTHORIZATION_QUERY_MALFORMED.
    """
    names = recognised(fields)
    if len(names) > 1:
        raise ApiError(MULTIPLE_CLAIMS, ", ".join(names))
    if not names:
        if {"policy", "signature"} & fields.keys():
            raise _missing("AWSAccessKeyId")
        return None
    scheme = FormScheme(names[0], fields)
    return scheme, scheme.parse(head)


def judge(fields: Fields, claim: Claim, target: Target, now: datetime) -> Policy:
    """Return the form's policy if it permits the form at the time `now`; comes after the signature.

    Raises INVALID_POLICY_DOCUMENT, and ACCESS_DENIED with S3's words when a condition does not hold, or when a field
    is there that no condition speaks of and one should.
    """
    policy = parse_policy(fields["policy"], oss=claim.scheme in (oss_v1.NAME, oss_v4.NAME))
    if now > policy.expires_at:
        raise _denied("Policy expired.")
    values = {"bucket": target.ref.bucket, **fields}
    if claim.scheme == cos.NAME:
        values["q-sign-time"] = fields["q-key-time"]  # what COS calls it in the policy
    if values["bucket"] != target.ref.bucket:
        raise _denied("the field bucket names another bucket.")
    for condition in policy.conditions:
        if not condition.holds(values.get(condition.field)):
            raise _denied(f'Policy Condition failed: ["{condition.operator}", "${condition.field}"].')
    covered = {condition.field for condition in policy.conditions}
    extra = sorted(name for name in values.keys() - covered if _must_be_covered(name, claim.scheme, target))
    if extra:
        raise _denied(f"Extra input fields: {', '.join(extra)}.")
    return policy


def _must_be_covered(name: str, scheme: str, target: Target) -> bool:
    if scheme in _AWS:
        return name not in _AWS_FREE and not name.startswith(_AWS_IGNORED)
    if scheme == cos.NAME and name == "bucket":
        return target.addressed != "bound"  # as for its other claims: a signature must prove the bucket
    return name == "acl" or (name.startswith(_VENDOR) and name not in _VENDOR_FREE)


# The policy


def parse_policy(text: str, *, oss: bool = False) -> Policy:
    """Parse a policy in base64; `oss` permits the operators that OSS alone has. Raises INVALID_POLICY_DOCUMENT."""
    try:
        document = json.loads(_policy_text(text))
    except (ValueError, RecursionError):
        raise _invalid("it is not JSON") from None
    if not isinstance(document, dict) or document.keys() != {"expiration", "conditions"}:
        raise _invalid("it must hold expiration and conditions, and nothing else")
    rows = document["conditions"]
    if not isinstance(rows, list) or not rows:
        raise _invalid("conditions must be a list that is not empty")
    ranges = [row for row in rows if _is_range(row)]
    operators = ("eq", "starts-with", "in", "not-in") if oss else ("eq", "starts-with")
    conditions = tuple(item for row in rows if not _is_range(row) for item in _conditions(row, operators))
    return Policy(_expiration(document["expiration"]), conditions, _size_range(ranges))


def _policy_text(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise _invalid("it is not base64") from None


def _expiration(text: object) -> datetime:
    found = _EXPIRATION.fullmatch(text) if isinstance(text, str) else None
    try:
        return datetime.fromisoformat(f"{found[1] if found else ''}+00:00")
    except ValueError:
        raise _invalid("expiration is not like 2025-12-30T12:00:00.000Z") from None


def _conditions(row: Any, operators: tuple[str, ...]) -> Iterator[Condition]:
    """Yield the conditions of `{"field": "value"}` or of `["operator", "$field", operand]`."""
    if isinstance(row, dict) and row and all(isinstance(value, str) for value in row.values()):
        for name, value in row.items():
            yield Condition("eq", name.lower(), (value,))
        return
    if not isinstance(row, list) or len(row) != 3 or not all(isinstance(item, str) for item in row[:2]):
        raise _invalid("a condition is neither {field: value} nor [operator, $field, value]")
    operator, name, operand = row[0].lower(), row[1].removeprefix("$").lower(), row[2]
    operands = operand if operator in ("in", "not-in") else [operand]
    is_list = isinstance(operands, list) and all(isinstance(item, str) for item in operands)
    if operator not in operators or not is_list:
        raise _invalid("a condition has an unknown operator or an operand of the wrong type")
    yield Condition(operator, name, tuple(operands))


def _is_range(row: Any) -> bool:
    return isinstance(row, list) and row[:1] == [_RANGE]


def _size_range(rows: Iterable[list[Any]]) -> SizeRange:
    size = SizeRange()
    for row in rows:
        bounds = [_byte_count(item) for item in row[1:]]
        if len(bounds) != 2:
            raise _invalid(f"{_RANGE} has two bounds")
        highest = bounds[1] if size.max_bytes is None else min(bounds[1], size.max_bytes)
        size = SizeRange(max(bounds[0], size.min_bytes), highest)
    return size


def _byte_count(item: object) -> int:
    text = item if isinstance(item, str) else str(item)
    if isinstance(item, bool) or not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise _invalid(f"the bounds of {_RANGE} are whole numbers of bytes")
    return int(text)


def _invalid(why: str) -> ApiError:
    return ApiError(INVALID_POLICY_DOCUMENT, why, message=f"Invalid Policy: {why}.")


def _denied(why: str) -> ApiError:
    return ApiError(ACCESS_DENIED, f"policy: {why}", message=f"Invalid according to Policy: {why}")


# Claims


def _required(fields: Fields, *names: str) -> list[str]:
    for name in names:
        if not fields.get(name.lower()):
            raise _missing(name)
    return [fields[name.lower()] for name in names]


def _missing(name: str) -> ApiError:
    message = (
        f"Bucket POST must contain a field named '{name}'. If it is specified, please check the order of the fields."
    )
    return ApiError(INVALID_ARGUMENT, f"no field {name}", message=message)


def _read_aws_v4(fields: Fields) -> Claim:
    words = _required(fields, "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "policy")
    if words[0] != aws_v4.ALGORITHM:
        raise canonical.malformed("the algorithm is not known", in_query=True)
    parsed = canonical.parse_credential(words[1], aws_v4.TERMINATOR, ("s3",), in_query=True)
    return _v4_claim(aws_v4.NAME, parsed, words[2], words[3], fields.get("x-amz-security-token"))


def _read_oss_v4(fields: Fields) -> Claim:
    words = _required(fields, "x-oss-signature-version", "x-oss-credential", "x-oss-date", "x-oss-signature", "policy")
    if words[0] != oss_v4.ALGORITHM:
        raise canonical.malformed("the signature version is not known", in_query=True)
    parsed = canonical.parse_credential(words[1], oss_v4.TERMINATOR, oss_v4.SERVICES, in_query=True)
    return _v4_claim(oss_v4.NAME, parsed, words[2], words[3], fields.get("x-oss-security-token"))


def _v4_claim(scheme: str, parsed: tuple[str, Scope], date: str, signature: str, token: str | None) -> Claim:
    """Make the claim; a signing key is good for seven days, here as in URLs."""
    access_key_id, scope = parsed
    signed_at = canonical.parse_date(date, in_query=True)
    if scope.date != signed_at.strftime("%Y%m%d"):
        raise canonical.malformed("the date of the credential is not that of the form", in_query=True)
    return Claim(
        scheme=scheme,
        access_key_id=access_key_id,
        signature=signature,
        in_query=True,  # like a URL, a form is signed for somebody else to use
        signed_at=signed_at,
        starts_at=signed_at - MAX_SKEW,
        expires_at=signed_at + timedelta(seconds=MAX_EXPIRES_S),
        scope=scope,
        token=token or None,
    )


def _read_aws_v2(fields: Fields) -> Claim:
    access_key_id, signature, _ = _required(fields, "AWSAccessKeyId", "signature", "policy")
    token = fields.get("x-amz-security-token")
    return Claim(aws_v2.NAME, access_key_id, signature, in_query=True, token=token or None)


def _read_oss_v1(fields: Fields) -> Claim:
    access_key_id, signature, _ = _required(fields, "OSSAccessKeyId", "Signature", "policy")
    token = fields.get("x-oss-security-token")
    return Claim(oss_v1.NAME, access_key_id, signature, in_query=True, token=token or None)


def _read_cos(fields: Fields) -> Claim:
    names = ("q-sign-algorithm", "q-ak", "q-key-time", "q-signature", "policy")
    algorithm, access_key_id, key_time, signature, _ = _required(fields, *names)
    if algorithm != "sha1":
        raise canonical.malformed("the algorithm is not known", in_query=True)
    start, _, end = key_time.partition(";")
    return Claim(
        scheme=cos.NAME,
        access_key_id=access_key_id,
        signature=signature,
        in_query=True,
        starts_at=canonical.parse_unix(start),
        expires_at=canonical.parse_unix(end),
        token=fields.get("x-cos-security-token") or None,
    )


# Signatures of the policy, as it stands in its field


def _sign_v4(prefix: str, terminator: str, policy: str, claim: Claim, secret: Secret) -> str:
    scope, _ = canonical.scope_and_time(claim)
    return canonical.hmac_sha256(canonical.signing_key(prefix, secret, scope, terminator), policy).hex()


def _sign_cos(fields: Fields, _claim: Claim, secret: Secret) -> str:
    """Sign the SHA-1 of the policy's own text; the key is valid for the key time alone."""
    key = hmac.digest(canonical.to_bytes(secret.reveal()), canonical.to_bytes(fields["q-key-time"]), "sha1").hex()
    digest = hashlib.sha1(_policy_text(fields["policy"]), usedforsecurity=False).hexdigest()
    return hmac.digest(key.encode("ascii"), digest.encode("ascii"), "sha1").hex()


_READERS: Mapping[str, Callable[[Fields], Claim]] = {
    aws_v4.NAME: _read_aws_v4,
    aws_v2.NAME: _read_aws_v2,
    oss_v4.NAME: _read_oss_v4,
    oss_v1.NAME: _read_oss_v1,
    cos.NAME: _read_cos,
}
_SIGNERS: Mapping[str, Callable[[Fields, Claim, Secret], str]] = {
    aws_v4.NAME: lambda fields, claim, secret: _sign_v4("AWS4", aws_v4.TERMINATOR, fields["policy"], claim, secret),
    aws_v2.NAME: lambda fields, _, secret: canonical.hmac_base64(secret, fields["policy"], "sha1"),
    oss_v4.NAME: lambda fields, claim, secret: _sign_v4(
        "aliyun_v4", oss_v4.TERMINATOR, fields["policy"], claim, secret
    ),
    oss_v1.NAME: lambda fields, _, secret: canonical.hmac_base64(secret, fields["policy"], "sha1"),
    cos.NAME: _sign_cos,
}
