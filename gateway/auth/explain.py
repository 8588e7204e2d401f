"""Why a signature does not match: what was received, and which small change would have made it match. Pure.

Tries changes that proxies, clients and people make by mistake. Tells names, hosts, paths and dates; never a secret, a
token, a computed signature or a string to sign.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.auth.candidates import candidates, difference
from gateway.auth.identify import find_claim
from gateway.errors import ApiError
from gateway.request import locate, percent_decode, percent_encode, split_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from gateway.auth.base import Claim, Scheme
    from gateway.auth.candidates import PublicFace
    from gateway.credentials import Keyring, Secret
    from gateway.request import HostMap, RequestHead, Target

    Verifies = Callable[[RequestHead, Secret], bool]

_METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE")
_ENCODINGS = ("identity", "gzip", "gzip, deflate", "gzip, deflate, br")
_MAX_KEYS = 100  # other keys' secrets that are tried
_HIDDEN = ("token", "authorization", "signature", "cookie", "customer-key")
_MAX_LEFT_OUT = 16  # parameters that are left out for a try, each of them a verification


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the gateway knows besides the request: keys, host names, proxies, the time."""

    keyring: Keyring
    hosts: HostMap
    face: PublicFace
    now: datetime


def explain(head: RequestHead, around: Surroundings) -> tuple[tuple[str, str], ...]:
    """Return rows of (name, text) that explain how the request's signature was read, and what is wrong with it."""
    try:
        found = find_claim(head)
    except ApiError as error:
        return (("Verdict", f"The claim is not readable: {error.message} {error.detail}".strip()),)
    if found is None:
        return (("Verdict", "The request carries no signature of a known scheme."),)
    scheme, claim = found
    target = locate(head, around.hosts)
    return (*_received(head, scheme, claim, target), *_verdict(head, scheme, claim, target, around))


def _received(head: RequestHead, scheme: Scheme, claim: Claim, target: Target) -> Iterator[tuple[str, str]]:
    yield "Scheme", f"{claim.scheme}, in the {'query' if claim.in_query else 'header'}"
    yield "AccessKeyId", claim.access_key_id
    yield "Method", head.method
    yield "Host", head.authority
    yield "Path", head.raw_path
    yield "Bucket", f"{target.ref.bucket} (from the {target.addressed})"
    yield "Key", target.ref.key
    if claim.scope is not None:
        yield "Scope", f"{claim.scope.date}/{claim.scope.region}/{claim.scope.service}"
    for name in claim.signed_headers:
        hidden = any(word in name for word in _HIDDEN)
        yield "SignedHeader", f"{name}: {'(hidden)' if hidden else head.header(name) or '(not received)'}"
    used_up = scheme.CLAIM_PARAMETERS if claim.in_query else frozenset()
    names = {item.name for item in head.parameters if item.name.lower() not in used_up}
    covered = sorted(name for name in names if claim.covers(name))
    yield "SignedParameters", " ".join(covered) or "(none)"
    for name, moment in (
        ("SignedAt", claim.signed_at),
        ("ValidFrom", claim.starts_at),
        ("ValidUntil", claim.expires_at),
    ):
        if moment is not None:
            yield name, f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _verdict(
    head: RequestHead, scheme: Scheme, claim: Claim, target: Target, around: Surroundings
) -> Iterator[tuple[str, str]]:
    own = around.keyring.get(claim.access_key_id)
    if own is None:
        yield "Verdict", "No key of this id is known here."
    elif refusal := _refusal(scheme, head, claim, own.secret, target, around.now):
        at_its_time = _refusal(scheme, head, claim, own.secret, target, _own_time(claim, around.now))
        if at_its_time is None:
            yield "Verdict", f"The signature matches, but {refusal.message} It is {around.now:%Y-%m-%dT%H:%M:%SZ} here."
            return
        yield "Verdict", at_its_time.message
    else:
        yield "Verdict", "The signature matches."
        return
    moment = _own_time(claim, around.now)

    def verifies(changed: RequestHead, secret: Secret) -> bool:
        return _refusal(scheme, changed, claim, secret, locate(changed, around.hosts), moment) is None

    matched = list(_matches(head, claim, target, around, verifies))
    for what in matched or ["no small change that is known here"]:
        yield "WouldMatch", what


def _matches(
    head: RequestHead, claim: Claim, target: Target, around: Surroundings, verifies: Verifies
) -> Iterator[str]:
    own = around.keyring.get(claim.access_key_id)
    if own is not None:
        for form in candidates(head, claim, target, around.face, lambda changed: locate(changed, around.hosts)):
            if form != head and verifies(form, own.secret):
                yield difference(head, form)
        for what, changed in _variants(head, claim):
            if changed != head and verifies(changed, own.secret):
                yield what
    for credential in list(around.keyring.values())[:_MAX_KEYS]:
        if credential is not own and verifies(head, credential.secret):
            yield f"the secret of key {credential.access_key_id}"


def _variants(head: RequestHead, claim: Claim) -> Iterator[tuple[str, RequestHead]]:
    """Yield (what changed, the changed request) for the mistakes that are common."""
    for method in _METHODS:
        yield f"method {method}", replace(head, method=method)
    host, port = split_port(head.authority)
    for other in (host, head.authority.lower(), *(f"{host}:{number}" for number in (80, 443, 9000) if not port)):
        yield f"host {other}", _with(head, "host", other, authority=other)
    yield "the path encoded once more", replace(head, raw_path=percent_encode(head.raw_path, safe="/"))
    yield "the path decoded once", replace(head, raw_path=percent_encode(percent_decode(head.raw_path), safe="/%"))
    yield "+ in the path as %20", replace(head, raw_path=head.raw_path.replace("+", "%20"))
    yield "a slash at the end of the path", replace(head, raw_path=head.raw_path + "/")
    yield "no slash at the end of the path", replace(head, raw_path=head.raw_path.removesuffix("/") or "/")
    yield "+ in the query as %20", replace(head, raw_query=head.raw_query.replace("+", "%20"))
    for item in head.parameters[-_MAX_LEFT_OUT:]:
        rest = "&".join(other.raw for other in head.parameters if other is not item)
        yield f"without the parameter {item.name}", replace(head, raw_query=rest)
    if "accept-encoding" in claim.signed_headers:
        for value in _ENCODINGS:
            yield f"accept-encoding {value}", _with(head, "accept-encoding", value)
    for name in ("content-type", "content-md5", "content-length"):
        if head.header(name) is not None:
            yield f"without the header {name}", replace(head, headers=tuple(h for h in head.headers if h[0] != name))


def _with(head: RequestHead, name: str, value: str, *, authority: str = "") -> RequestHead:
    headers = tuple((given, value if given == name else text) for given, text in head.headers)
    return replace(head, headers=headers, authority=authority or head.authority)


def _own_time(claim: Claim, now: datetime) -> datetime:
    """Return a moment at which the claim cannot be refused for its age."""
    return claim.signed_at or claim.starts_at or claim.expires_at or now


def _refusal(
    scheme: Scheme, head: RequestHead, claim: Claim, secret: Secret, target: Target, now: datetime
) -> ApiError | None:
    try:
        scheme.verify(head, claim, secret, target, now)
    except ApiError as error:
        return error
    return None
