"""A verified request is refused after any change to what its scheme covers, for every recorded request.

Each mutation yields the changed variants of one request; a cell (scheme and form, mutation) counts their refusals.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from gateway.auth.identify import SCHEMES, check_process_coverage, find_claim, identify
from gateway.credentials import EVERYTHING, Credential, Identity, Keyring, Secret
from gateway.errors import ApiError
from gateway.request import HostMap, RequestHead, locate
from tests.vectors import FOLDER, MISSING, in_scope, keyring_for, moment_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from gateway.auth.base import Claim

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=MISSING)

_CLAIM_PARAMETERS = {scheme.NAME: scheme.CLAIM_PARAMETERS for scheme in SCHEMES}
_VENDOR_HEADER = {
    **dict.fromkeys(("aws_v4", "aws_v2"), "x-amz-"),
    **dict.fromkeys(("oss_v1", "oss_v2", "oss_v4"), "x-oss-"),
    "cos": "x-cos-",
}
_PROCESS = {"x-oss-process": "image%2Fscore", "ci-process": "AssessQuality"}


@dataclass(frozen=True)
class Case:
    """One request that verifies, with all that its verification depends on."""

    name: str
    head: RequestHead
    claim: Claim
    hosts: HostMap
    keyring: Keyring
    now: datetime

    @property
    def form(self) -> str:
        return f"{self.claim.scheme} {'query' if self.claim.in_query else 'header'}"

    @property
    def addressed(self) -> str:
        return locate(self.head, self.hosts).addressed

    def is_verified(self) -> bool:
        """Tell whether identification names anybody; a process parameter must moreover be covered."""
        try:
            target = locate(self.head, self.hosts)
            verified = identify((self.head,), find_claim(self.head), target, self.keyring, self.now)
            names = [item.name for item in self.head.parameters if item.name in _PROCESS]
            if verified.claim is not None:
                check_process_coverage(verified.claim, target, names, cos_unsigned="refuse")
        except ApiError:
            return False
        return verified.claim is not None


@cache
def cases() -> tuple[Case, ...]:
    cases = []
    for recording in in_scope():
        found = find_claim(recording.head)
        if recording.verdict == "verify" and found is not None:
            head = recording.head
            cases.append(Case(str(recording), head, found[1], recording.hosts, keyring_for(head), moment_of(head)))
    return tuple(cases)


def _changed(case: Case, **fields: object) -> Case:
    return replace(case, head=replace(case.head, **fields))  # type: ignore[arg-type] # names of RequestHead's fields


def _rewritten(case: Case, rewrite: Callable[[str], str]) -> Iterator[Case]:
    """Rewrite the claim where it stands: in the query, or in Authorization; nothing when it has no such text."""
    if case.claim.in_query:
        variant = _changed(case, raw_query=rewrite(case.head.raw_query))
    else:
        headers = tuple(
            (name, rewrite(value) if name == "authorization" else value) for name, value in case.head.headers
        )
        variant = _changed(case, headers=headers)
    if variant.head != case.head:
        yield variant


def method(case: Case) -> Iterator[Case]:
    yield from (_changed(case, method=verb) for verb in ("GET", "PUT", "DELETE") if verb != case.head.method)


def path(case: Case) -> Iterator[Case]:
    raw = case.head.raw_path
    yield _changed(case, raw_path=raw + "x")
    yield _changed(case, raw_path=raw + "%00")
    if not raw.endswith("/"):
        yield _changed(case, raw_path=raw[:-1] + ("b" if raw[-1] != "b" else "c"))
    if raw != "/":
        yield _changed(case, raw_path="/" + raw)


def bucket(case: Case) -> Iterator[Case]:
    if case.addressed == "path" and case.head.raw_path != "/":
        yield _changed(case, raw_path="/x" + case.head.raw_path[1:])
    if case.addressed == "host":
        yield _changed(case, authority="x" + case.head.authority)
    if case.addressed == "bound" and case.claim.scheme.startswith("oss"):
        yield replace(case, hosts=HostMap((), {case.head.host: "another"}))


def _covered_headers(case: Case) -> list[str]:
    names = set(case.claim.signed_headers)
    if case.claim.scheme in ("oss_v2", "oss_v4"):
        present = {name for name, _ in case.head.headers}
        names |= {name for name in present if name.startswith("x-oss-") or name in ("content-type", "content-md5")}
    if case.claim.scheme == "oss_v2":
        names.add("date")
    if case.claim.in_query or any(name in ("x-amz-date", "x-oss-date") for name, _ in case.head.headers):
        names -= {"date"}  # then it is another text that stands on the date's line
    return sorted(names)


def header_changed(case: Case) -> Iterator[Case]:
    for covered in _covered_headers(case):
        if covered == "host":
            yield _changed(case, authority="x." + case.head.authority)
            continue
        for suffix in ("x", "\u00a0"):  # a no-break space is a byte of the value, not white space around it
            headers = tuple((name, value + suffix if name == covered else value) for name, value in case.head.headers)
            if headers != case.head.headers:
                yield _changed(case, headers=headers)


def header_dropped(case: Case) -> Iterator[Case]:
    for covered in _covered_headers(case):
        if covered != "host" and case.head.header(covered):
            yield _changed(case, headers=tuple(item for item in case.head.headers if item[0] != covered))


def header_repeated(case: Case) -> Iterator[Case]:
    for covered in _covered_headers(case):
        if covered != "host" and case.head.header(covered):
            yield _changed(case, headers=(*case.head.headers, (covered, "x")))


def vendor_header_added(case: Case) -> Iterator[Case]:
    prefix = _VENDOR_HEADER.get(case.claim.scheme)
    if prefix:
        yield _changed(case, headers=(*case.head.headers, (prefix + "meta-added", "x")))


def _covered_parameters(case: Case) -> list[str]:
    """Return the raw pieces of the query that the signature covers or that are the claim."""
    own = _CLAIM_PARAMETERS[case.claim.scheme] if case.claim.in_query else frozenset()
    return [item.raw for item in case.head.parameters if case.claim.covers(item.name) or item.name.lower() in own]


def parameter_changed(case: Case) -> Iterator[Case]:
    pieces = case.head.raw_query.split("&")
    for covered in _covered_parameters(case):
        changed = covered + ("x" if "=" in covered else "=x")
        yield _changed(case, raw_query="&".join(changed if piece == covered else piece for piece in pieces))


def parameter_dropped(case: Case) -> Iterator[Case]:
    pieces = case.head.raw_query.split("&")
    for covered in _covered_parameters(case):
        yield _changed(case, raw_query="&".join(piece for piece in pieces if piece != covered))


def parameter_repeated(case: Case) -> Iterator[Case]:
    for covered in _covered_parameters(case):
        yield _changed(case, raw_query=f"{case.head.raw_query}&{covered}")


def parameter_added(case: Case) -> Iterator[Case]:
    for name in ("uploads", "acl", "versionId=1", "prefix=x"):
        if case.claim.covers(name.partition("=")[0]) and not case.head.has_parameter(name.partition("=")[0]):
            yield _changed(case, raw_query=f"{case.head.raw_query}&{name}".lstrip("&"))


def process_added(case: Case) -> Iterator[Case]:
    for name, value in _PROCESS.items():
        yield _changed(case, raw_query=f"{case.head.raw_query}&{name}={value}".lstrip("&"))


def date(case: Case) -> Iterator[Case]:
    name = next((n for n, _ in case.head.headers if n in ("x-amz-date", "x-oss-date")), "date")
    if not case.claim.in_query and case.claim.signed_at is not None:
        headers = tuple((n, _next_second(v) if n == name else v) for n, v in case.head.headers)
        yield _changed(case, headers=headers)
    elif case.claim.scheme == "cos":
        for field in ("q-sign-time", "q-key-time"):
            yield from _rewritten(case, partial(re.sub, field + r"=(\d)", field + r"=1\1"))
    else:
        pattern = r"((?:Expires|-Date|-date|x-oss-expires)=\d*)(\d)"
        yield from _rewritten(case, lambda text: re.sub(pattern, lambda m: m[1] + str((int(m[2]) + 1) % 10), text))


def _next_second(text: str) -> str:
    """Return the date with another last digit of its seconds."""
    return re.sub(r"(\d)(Z| GMT| \+0000)$", lambda match: f"{(int(match[1]) + 1) % 10}{match[2]}", text)


def region(case: Case) -> Iterator[Case]:
    if case.claim.scope is not None:
        old, new = case.claim.scope.region, "xx-north-9"
        yield from _rewritten(
            case, lambda text: text.replace(f"/{old}/", f"/{new}/").replace(f"%2F{old}%2F", f"%2F{new}%2F")
        )


def service(case: Case) -> Iterator[Case]:
    if case.claim.scope is not None:
        old = case.claim.scope.service
        for new in {"iam", "oss-cloudbox", "s3", "oss"} - {old}:
            yield from _rewritten(case, partial(re.sub, rf"(/|%2F){old}(/|%2F)", rf"\g<1>{new}\2"))


def access_key(case: Case) -> Iterator[Case]:
    other = Credential("otherk", Secret("othersk"), Identity("other", EVERYTHING), case.keyring["testak"].token)
    for variant in _rewritten(case, lambda text: text.replace("testak", "otherk")):
        yield variant
        yield replace(variant, keyring={**case.keyring, "otherk": other})


def secret(case: Case) -> Iterator[Case]:
    yield replace(case, keyring={"testak": replace(case.keyring["testak"], secret=Secret("testsK"))})


def token(case: Case) -> Iterator[Case]:
    credential = case.keyring["testak"]
    wanted = None if credential.token else Secret("STSTOKEN")
    yield replace(case, keyring={"testak": replace(credential, token=wanted)})
    yield replace(case, keyring={"testak": replace(credential, token=Secret("STSTOKEM"))})


def signature(case: Case) -> Iterator[Case]:
    text = case.claim.signature
    for position in (0, len(text) // 2, len(text) - 2):
        other = "0" if text[position] != "0" else "1"
        changed = text[:position] + other + text[position + 1 :]
        yield from _rewritten(case, _replacing(text, changed))
        yield from _rewritten(case, _replacing(quote(text, safe=""), quote(changed, safe="")))


def _replacing(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


MUTATIONS = (
    *(method, path, bucket, header_changed, header_dropped, header_repeated, vendor_header_added),
    *(parameter_changed, parameter_dropped, parameter_repeated, parameter_added, process_added),
    *(date, region, service, access_key, secret, token, signature),
)
_FORMS = (
    *("aws_v4 header", "aws_v4 query", "aws_v2 header", "aws_v2 query", "oss_v1 header", "oss_v1 query"),
    *("oss_v2 header", "oss_v2 query", "oss_v4 header", "oss_v4 query", "cos header", "cos query"),
)
# What a scheme does not cover, or what no recording of that form carries.
_ABSENT = {
    *((form, name) for form in _FORMS for name in ("region", "service") if not form.startswith(("aws_v4", "oss_v4"))),
    *((form, "parameter_added") for form in _FORMS if form.startswith("cos")),
    *((f"{scheme} query", "header_changed") for scheme in ("aws_v2", "oss_v2", "oss_v4")),
    *((f"{scheme} query", "header_dropped") for scheme in ("aws_v2", "oss_v2", "oss_v4", "cos")),
    *((f"{scheme} query", "header_repeated") for scheme in ("aws_v2", "oss_v2", "oss_v4", "cos")),
}


@cache
def _outcomes() -> tuple[Counter[tuple[str, str]], tuple[str, ...]]:
    """Return how often each (form, mutation) was refused, and every mutation that survived."""
    refused: Counter[tuple[str, str]] = Counter()
    survivors = []
    for case in cases():
        for mutation in MUTATIONS:
            for variant in mutation(case):
                if not variant.is_verified():
                    refused[case.form, mutation.__name__] += 1
                else:
                    survivors.append(
                        f"{case.name} {mutation.__name__} {variant.head.raw_path}?{variant.head.raw_query}"
                    )
    return refused, tuple(survivors)


def test_the_unchanged_requests_are_accepted() -> None:
    assert len(cases()) == 501
    assert [case.name for case in cases() if not case.is_verified()] == []


def test_no_mutation_survives() -> None:
    assert _outcomes()[1] == ()


@pytest.mark.parametrize("form", _FORMS)
def test_every_mutation_was_tried_on_every_form_that_covers_it(form: str) -> None:
    tried = {name for (of, name), count in _outcomes()[0].items() if of == form and count > 0}
    assert tried == {mutation.__name__ for mutation in MUTATIONS if (form, mutation.__name__) not in _ABSENT}
