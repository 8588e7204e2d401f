"""Tencent COS signatures (`q-sign-algorithm=sha1`), in the Authorization header and in the query. Pure.

Source: COS documentation, "Request signature". Only the headers and parameters that the claim lists are covered, and
the bucket stands in the host alone: a request whose host is not signed proves no bucket.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from gateway.auth import canonical
from gateway.auth.base import Claim, Payload, Unsigned, check_signature, check_time
from gateway.errors import ACCESS_DENIED, INVALID_REQUEST, MULTIPLE_CLAIMS, SIGNATURE_DOES_NOT_MATCH, ApiError
from gateway.request import parse_query, percent_decode, split_port, with_blanks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from gateway.credentials import Secret
    from gateway.request import Headers, RequestHead, Target

NAME = "cos"
CLAIM_PARAMETERS = frozenset(
    {
        "q-sign-algorithm",
        "q-ak",
        "q-sign-time",
        "q-key-time",
        "q-header-list",
        "q-url-param-list",
        "q-signature",
        "x-cos-security-token",
        "x-ci-security-token",
    }
)

AUTHORIZATION = "q-sign-algorithm="
_VENDOR = "x-cos-"
_REQUIRED = ("q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-signature")
_LISTS = ("q-header-list", "q-url-param-list")
_TOKENS = ("x-cos-security-token", "x-ci-security-token")


def recognises(head: RequestHead) -> bool:
    """Tell whether the request carries a COS claim, whole or not."""
    return canonical.is_authorization(head, AUTHORIZATION) or _in_query(head)


def parse(head: RequestHead) -> Claim:
    """Read the claim from the Authorization header or the query. Raises ApiError when it is malformed."""
    if _in_query(head) and canonical.is_authorization(head, AUTHORIZATION):
        raise ApiError(MULTIPLE_CLAIMS)
    in_query = _in_query(head)
    fields = _fields(head, in_query=in_query)
    algorithm, access_key_id, sign_time, key_time, signature = canonical.all_required(
        fields, _REQUIRED, in_query=in_query
    )
    if algorithm != "sha1":
        raise canonical.malformed("the algorithm is not known", in_query=in_query)
    starts, ends = zip(*(_window(text, in_query=in_query) for text in (sign_time, key_time)), strict=True)
    if not all(name in fields for name in _LISTS):
        raise canonical.malformed("a list is missing", in_query=in_query)
    headers, parameters = (_names(fields[name], in_query=in_query) for name in _LISTS)
    return Claim(
        scheme=NAME,
        access_key_id=access_key_id,
        signature=canonical.parse_signature(signature, in_query=in_query),
        in_query=in_query,
        starts_at=max(starts),
        expires_at=min(ends),
        signed_headers=headers,
        signed_parameters=frozenset(percent_decode(name).lower() for name in parameters),
        token=_token(head),
    )


def verify(head: RequestHead, claim: Claim, secret: Secret, target: Target, now: datetime) -> Payload:
    """Prove the claim and that it names the bucket; nothing is promised about the body. Raises ApiError."""
    fields = _fields(head, in_query=claim.in_query)
    names = _names(fields["q-url-param-list"], in_query=claim.in_query)
    parameters = _listed_parameters(canonical.named_values(with_blanks(head)), names)
    values = canonical.received_values(head)

    def expected(host: str) -> str:
        headers = _listed_headers({**values, "host": host}, claim.signed_headers)
        text = _http_string(head.method, head.raw_path, parameters, headers)
        return _signature(secret, fields["q-sign-time"], fields["q-key-time"], text)

    # cos-python-sdk-v5 signs the host without the port that it then sends
    check_signature(expected(head.authority), claim.signature, expected(split_port(head.authority)[0]))
    _check_all_signed(values, claim)
    _check_bucket_is_proven(claim, target)
    check_time(claim, now)
    return Unsigned()


def sign(
    head: RequestHead,
    *,
    access_key_id: str,
    secret: Secret,
    expires_s: int,
    now: datetime,
    token: Secret | None = None,
) -> Headers:
    """Return the headers to add to a request so that it is signed: all its headers and all its parameters are."""
    added: Headers = () if token is None else (("x-cos-security-token", token.reveal()),)
    values = {**canonical.received_values(head), **dict(added)}
    fields = _sign(
        head.method, head.raw_path, canonical.named_values(with_blanks(head)), values, secret, now, expires_s
    )
    pairs = {"q-sign-algorithm": "sha1", "q-ak": access_key_id, **fields}
    return (*added, ("authorization", "&".join(f"{name}={value}" for name, value in pairs.items())))


def presign(  # noqa: PLR0913 - the parts of a request, each under its own name
    method: str,
    raw_path: str,
    raw_query: str,
    host: str,
    *,
    access_key_id: str,
    secret: Secret,
    expires_s: int,
    now: datetime,
    token: Secret | None = None,
) -> str:
    """Return the whole raw query of a signed URL: the given one, all of it signed, and the claim.

    `host` is what the Host header will be, port included.
    """
    parameters = [(item.name, item.value) for item in parse_query(raw_query)]
    if token is not None:
        parameters.append(("x-cos-security-token", token.reveal()))
    fields = _sign(method, raw_path, parameters, {"host": host}, secret, now, expires_s)
    claim = {"q-sign-algorithm": "sha1", "q-ak": access_key_id, **fields}
    return canonical.canonical_query([*parameters, *claim.items()])


def _in_query(head: RequestHead) -> bool:
    return head.has_parameter("q-sign-algorithm", "q-ak", "q-signature")


def _fields(head: RequestHead, *, in_query: bool) -> dict[str, str]:
    if in_query:
        return canonical.query_fields(head, (*_REQUIRED, *_LISTS))
    return canonical.parse_fields(head.one_header("authorization"), "&", "=")


def _window(text: str, *, in_query: bool) -> tuple[datetime, datetime]:
    start, _, end = text.partition(";")
    return canonical.parse_unix(start, in_query=in_query), canonical.parse_unix(end, in_query=in_query)


def _names(text: str, *, in_query: bool) -> tuple[str, ...]:
    """Split a list of names: already percent-encoded, and lower-cased by every SDK after that."""
    return canonical.parse_header_names(text.lower(), in_query=in_query)


def _token(head: RequestHead) -> str | None:
    found = [head.one_header(name) or head.parameter(name) for name in _TOKENS]
    return next((token for token in found if token), None)


def _listed_parameters(parameters: Iterable[tuple[str, str]], names: Iterable[str]) -> str:
    """Return `name=value&...` of the listed ones, both encoded, the name lower-cased after that."""
    found: dict[str, list[str]] = {}
    for name, value in parameters:
        found.setdefault(canonical.encode(name).lower(), []).append(canonical.encode(value))
    return "&".join(f"{name}={_only(found.get(name, []))}" for name in names)


def _only(values: list[str]) -> str:
    """Return the one value of a listed parameter: with none or several, what was signed is not what is asked."""
    if not values:
        raise ApiError(SIGNATURE_DOES_NOT_MATCH, "a listed parameter is not in the query")
    if len(values) > 1:
        raise ApiError(INVALID_REQUEST, "a listed parameter is sent several times")
    return values[0]


def _listed_headers(values: Mapping[str, str], names: Iterable[str]) -> str:
    if not all(name in values for name in names):
        raise ApiError(SIGNATURE_DOES_NOT_MATCH, "a listed header is not in the request")
    return "&".join(f"{name}={canonical.encode(values[name])}" for name in names)


def _http_string(method: str, raw_path: str, parameters: str, headers: str) -> str:
    return f"{method.lower()}\n{percent_decode(raw_path) or '/'}\n{parameters}\n{headers}\n"


def _signature(secret: Secret, sign_time: str, key_time: str, http_string: str) -> str:
    key = hmac.digest(canonical.to_bytes(secret.reveal()), canonical.to_bytes(key_time), "sha1").hex()
    digest = hashlib.sha1(canonical.to_bytes(http_string), usedforsecurity=False).hexdigest()
    to_sign = f"sha1\n{sign_time}\n{digest}\n"
    return hmac.digest(key.encode("ascii"), canonical.to_bytes(to_sign), "sha1").hex()


def _check_all_signed(values: Mapping[str, str], claim: Claim) -> None:
    """Refuse an x-cos-* header that nobody signed: it could make a copy, or an ACL, of somebody else's upload.

    The token, which SDKs add after they have signed, is compared with the key's own.
    """
    for name in canonical.prefixed(values, _VENDOR):
        if name not in (*claim.signed_headers, *_TOKENS):
            message = "There were headers present in the request which were not signed."
            raise ApiError(ACCESS_DENIED, message=message, fields=(("HeadersNotSigned", name),))


def _check_bucket_is_proven(claim: Claim, target: Target) -> None:
    """Refuse where the signature leaves the bucket open, unless the configuration binds the host to one bucket.

    COS knows no path-style addresses: its clients sign the key alone, so a first path segment proves no bucket.
    """
    if target.addressed == "bound":
        return
    if "host" not in claim.signed_headers:
        raise ApiError(ACCESS_DENIED, message="The signature does not cover the host, so it proves no bucket.")
    if target.addressed == "path" and target.ref.bucket:
        raise ApiError(ACCESS_DENIED, message="A COS request names its bucket in the host, not in the path.")


def _sign(
    method: str,
    raw_path: str,
    parameters: Iterable[tuple[str, str]],
    values: Mapping[str, str],
    secret: Secret,
    now: datetime,
    expires_s: int,
) -> dict[str, str]:
    """Return the fields of a claim, the key's id apart, that lists every parameter and header given."""
    start = int(now.timestamp())
    window = f"{start};{start + expires_s}"
    parameters = list(parameters)
    header_names = sorted(values)
    parameter_names = sorted({canonical.encode(name).lower() for name, _ in parameters})
    text = _http_string(
        method, raw_path, _listed_parameters(parameters, parameter_names), _listed_headers(values, header_names)
    )
    return {
        "q-sign-time": window,
        "q-key-time": window,
        "q-header-list": ";".join(header_names),
        "q-url-param-list": ";".join(parameter_names),
        "q-signature": _signature(secret, window, window, text),
    }
