"""CloudFront's signed URLs and signed cookies, for clients that keep them when the origin moves. Pure.

Source: Amazon CloudFront Developer Guide, "Use signed URLs" and "Use signed cookies": canned and custom policies,
RSA 2048 and ECDSA P-256, both over SHA-1. The key is a public one: the credential's secret holds its PEM text.
"""

from __future__ import annotations

import binascii
import json
import re
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from gateway.auth.base import Claim, Payload, Unsigned, check_window
from gateway.errors import (
    ACCESS_DENIED,
    AUTHORIZATION_QUERY_MALFORMED,
    METHOD_NOT_ALLOWED,
    MULTIPLE_CLAIMS,
    SIGNATURE_DOES_NOT_MATCH,
    ApiError,
)
from gateway.proxies import is_within
from gateway.request import query_without

if TYPE_CHECKING:
    from gateway.credentials import Secret
    from gateway.request import RequestHead, Target

NAME = "cloudfront"
AUTHORIZATION = ""  # it has cookies instead
CLAIM_PARAMETERS = frozenset({"expires", "policy", "signature", "key-pair-id"})

_PARAMETERS = {"Expires": "expires", "Policy": "policy", "Signature": "signature", "Key-Pair-Id": "key"}
_COOKIES = {f"CloudFront-{name}": field for name, field in _PARAMETERS.items()}
_URL_SAFE = str.maketrans("-_~", "+=/")
_MAX_POLICY_BYTES = 4096


@dataclass(frozen=True, slots=True)
class _Policy:
    """What a policy allows: a resource pattern in a window of time, perhaps from some networks only."""

    resource: str
    starts_at: datetime | None
    expires_at: datetime
    network: str | None


def recognises(head: RequestHead) -> bool:
    """Tell whether the request carries a CloudFront claim in its query or its cookies."""
    return head.has_parameter("Key-Pair-Id") or "CloudFront-Key-Pair-Id" in _cookies(head)


def parse(head: RequestHead) -> Claim:
    """Read the claim. Raises ApiError when it is malformed, or in query and cookies at once."""
    fields, in_query = _fields(head)
    policy = _policy(head, fields)
    return Claim(
        scheme=NAME,
        access_key_id=fields["key"],
        signature=fields["signature"],
        in_query=in_query,
        starts_at=policy.starts_at,
        expires_at=policy.expires_at,
        signed_parameters=None if _is_exact(policy.resource) else frozenset(),
    )


def verify(head: RequestHead, claim: Claim, secret: Secret, target: Target, now: datetime) -> Payload:
    """Prove the claim with the public key in `secret` (PEM); its policy must allow this URL now. Raises ApiError."""
    del target  # the policy names a whole URL, bucket and key among it
    fields, _ = _fields(head)
    signature = _decode(claim.signature)
    signed = (
        [_decode(fields["policy"])] if "policy" in fields else [_canned(url, fields["expires"]) for url in _urls(head)]
    )
    if not any(_is_signed_by(secret.reveal(), signature, text) for text in signed):
        raise ApiError(SIGNATURE_DOES_NOT_MATCH)
    policy = _policy(head, fields)
    if not any(re.fullmatch(_pattern(policy.resource), url, re.DOTALL) for url in _urls(head)):
        # As good as a wrong signature: it may be the one for the address before a proxy (`candidates`).
        raise ApiError(SIGNATURE_DOES_NOT_MATCH, "the policy is for another resource")
    if policy.network is not None and not is_within(head.peer, [ip_network(policy.network, strict=False)]):
        raise ApiError(ACCESS_DENIED, "the policy is for another network")
    check_window(policy.starts_at, policy.expires_at, now)
    if head.method not in ("GET", "HEAD"):
        raise ApiError(METHOD_NOT_ALLOWED, "a CloudFront URL is for reading")
    return Unsigned()


def _cookies(head: RequestHead) -> dict[str, str]:
    text = head.header("cookie")
    if not text:
        return {}
    pairs = (pair.partition("=") for pair in text.split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _fields(head: RequestHead) -> tuple[dict[str, str], bool]:
    """Return the claim's fields and whether they stand in the query. Raises ApiError when some are missing."""
    cookies = _cookies(head)
    by_cookie = {field: cookies[name] for name, field in _COOKIES.items() if name in cookies}
    by_query = {field: value for name, field in _PARAMETERS.items() if (value := head.parameter(name)) is not None}
    in_query = head.has_parameter("Key-Pair-Id")
    if in_query and "key" in by_cookie:
        raise ApiError(MULTIPLE_CLAIMS)
    fields = by_query if in_query else by_cookie
    if not {"signature", "key"} <= fields.keys() or ("policy" in fields) == ("expires" in fields):
        raise ApiError(AUTHORIZATION_QUERY_MALFORMED, "Signature, Key-Pair-Id and either Policy or Expires are needed")
    return fields, in_query


def _urls(head: RequestHead) -> list[str]:
    """Return the URL without the claim, in both schemes: who ends TLS in front of us decides which one we see."""
    query = query_without(head.parameters, CLAIM_PARAMETERS if head.has_parameter("Key-Pair-Id") else frozenset())
    rest = f"{head.authority}{head.raw_path}" + (f"?{query}" if query else "")
    return [f"https://{rest}", f"http://{rest}"]


def _policy(head: RequestHead, fields: dict[str, str]) -> _Policy:
    if "policy" not in fields:
        return _Policy(_urls(head)[0].replace("https", "http*", 1), None, _moment(fields["expires"]), None)
    try:
        (statement,) = json.loads(_decode(fields["policy"]))["Statement"]
        conditions = statement["Condition"]
        resource = statement.get("Resource", "*")
        network = conditions["IpAddress"]["AWS:SourceIp"] if "IpAddress" in conditions else None
        if not isinstance(resource, str) or (network is not None and not ip_network(network, strict=False)):
            raise _malformed("the policy's resource or network")
        starts = conditions.get("DateGreaterThan")
        starts_at = _moment(starts["AWS:EpochTime"]) if starts is not None else None
        return _Policy(resource, starts_at, _moment(conditions["DateLessThan"]["AWS:EpochTime"]), network)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _malformed("the policy") from None


def _moment(seconds: Any) -> datetime:
    text = str(seconds)
    if isinstance(seconds, bool) or not (text.isascii() and text.isdigit()) or len(text) > len("9999999999"):
        raise _malformed("a time")
    return datetime.fromtimestamp(int(text), UTC)


def _decode(text: str) -> bytes:
    """Decode CloudFront's base64, which writes `-`, `_` and `~` for `+`, `=` and `/`."""
    if len(text) > _MAX_POLICY_BYTES:
        raise _malformed("a field is too long")
    try:
        return b64decode(text.translate(_URL_SAFE).encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("base64") from None


def _malformed(what: str) -> ApiError:
    return ApiError(AUTHORIZATION_QUERY_MALFORMED, f"{what} is not readable")


def _canned(url: str, expires: str) -> bytes:
    """Return the policy that a URL with `Expires` stands for, byte for byte as its signer wrote it."""
    condition = f'{{"DateLessThan":{{"AWS:EpochTime":{expires}}}}}'
    return f'{{"Statement":[{{"Resource":"{url}","Condition":{condition}}}]}}'.encode("utf-8", "surrogateescape")


def _is_exact(resource: str) -> bool:
    """Tell whether a resource names one URL: a pattern may match one with parameters that its maker never saw."""
    rest = resource.removeprefix("http*://")
    return "*" not in rest and rest.count("?") <= 1


def _pattern(resource: str) -> str:
    """Turn a resource into a regular expression for the whole URL.

    A wildcard stays within its part of the URL, or it would reach another host or, past a `?` that anybody may add,
    any object; only a `*` at the very end takes a query along, as the makers of such policies expect. The first `?`
    begins the query and stands for itself; later ones are wildcards.
    """
    scheme, separator, rest = resource.partition("://")
    if not separator:
        return ".*" if resource == "*" else "(?!)"
    location, question, query = rest.partition("?")
    open_end = location.endswith("*") and not question
    authority, slash, path = location.partition("/")
    parts = [
        {"http*": "https?", "*": "https?"}.get(scheme, re.escape(scheme)),
        "://",
        _wild(authority, "[^/?]"),
        slash + _wild(path, "[^?]"),
        r"\?" + _wild(query, ".") if question else "",
        r"(\?.*)?" if open_end else "",
    ]
    return "".join(parts)


def _wild(text: str, one: str) -> str:
    return re.escape(text).replace(r"\*", f"{one}*").replace(r"\?", one)


def _is_signed_by(pem: str, signature: bytes, text: bytes) -> bool:
    """Tell whether the signature over the text is this public key's; a key that is none signs nothing."""
    try:
        key = load_pem_public_key(pem.encode())
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, text, padding.PKCS1v15(), SHA1())  # noqa: S303 # CloudFront's choice
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, text, ec.ECDSA(SHA1()))  # noqa: S303 # the same
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True
