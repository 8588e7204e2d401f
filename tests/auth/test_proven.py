"""A signed URL that was proven is believed again: that very one, in its time, under its key, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.auth import identify
from gateway.auth.proven import _ADMITTED_EACH, _MOST, _MOST_PARAMETERS, _OVERLOOKED, ProvenUrl, ProvenUrls, Shown
from gateway.credentials import Credential, Secret
from gateway.errors import EXPIRED_TOKEN, INVALID_TOKEN, REQUEST_EXPIRED, REQUEST_NOT_YET_VALID, ApiError
from gateway.journeys.who import Who
from gateway.request import ObjectRef, RequestHead, Target
from tests.auth import samples
from tests.auth.samples import HEADER_SIGNERS, KEY_ID, KEYRING, NOW, PRESIGNERS, head_of, presigned, with_headers
from tests.auth.test_mutations import MUTATIONS, Case, cases
from tests.vectors import FOLDER, MISSING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.auth.identify import Verified

needs_vectors = pytest.mark.skipif(not FOLDER.is_dir(), reason=MISSING)


def remembering(head: RequestHead, verified: Verified) -> ProvenUrls:
    proven = ProvenUrls()
    assert verified.claim
    assert verified.credential
    add(proven, head, verified)
    assert proven.find(head) is None, "most URLs are asked for once"
    add(proven, head, verified)
    return proven


def add(proven: ProvenUrls, head: RequestHead, verified: Verified, times: int = 1) -> None:
    (scheme,) = identify.recognised(head)
    shown = Shown((scheme,), (scheme.NAME,), "s3", Target(ObjectRef("b", "k"), "k", "path"))
    for _ in range(times):
        proven.add(head, shown, verified, head.without_parameters(scheme.CLAIM_PARAMETERS))


def known(proven: ProvenUrls, head: RequestHead) -> ProvenUrl:
    """What is remembered of a head."""
    shown = proven.find(head)
    assert shown
    assert shown.proven
    return shown.proven


def of_case(case: Case) -> ProvenUrls:
    return remembering(case.head, samples.identified(case.head, now=case.now, keyring=case.keyring, hosts=case.hosts))


def is_believed(proven: ProvenUrls, case: Case) -> bool:
    shown = proven.find(case.head)
    try:
        return bool(shown and shown.proven and identify.again(shown.proven, case.head, case.keyring, case.now))
    except ApiError:
        return False


@needs_vectors
def test_every_recorded_url_is_believed_again_and_none_of_its_mutations() -> None:
    urls = [case for case in cases() if case.claim.in_query]
    assert {case.claim.scheme for case in urls} == {*PRESIGNERS, "aws_v2"}
    believed, tried = [], 0
    for case in urls:
        proven = of_case(case)
        assert is_believed(proven, case)
        for mutation in MUTATIONS:
            for variant in mutation(case):
                tried += 1
                if variant.hosts == case.hosts and is_believed(proven, variant):
                    believed.append(f"{case.name} {mutation.__name__}")
    assert (believed, tried > 1000) == ([], True)


@needs_vectors
def test_headers_that_are_overlooked_are_those_on_which_no_proof_depends() -> None:
    for case in cases():
        if case.claim.in_query:
            proven = of_case(case)
            for name in _OVERLOOKED:
                variant = replace(case, head=with_headers(case.head, ((name, "changed"),)))
                assert is_believed(proven, variant) == (name not in case.claim.signed_headers)
                assert variant.is_verified() or not is_believed(proven, variant)


@pytest.mark.parametrize("header", ["authorization", "content-type", "cookie", "date", "x-amz-meta-a", "x-unheard-of"])
def test_any_other_header_makes_it_another_request(header: str) -> None:
    head = presigned("aws_v4")
    proven = remembering(head, samples.identified(head))
    assert proven.find(head)
    assert proven.find(with_headers(head, ((header, "x"),))) is None


@pytest.mark.parametrize("name", PRESIGNERS)
def test_its_window_is_looked_at_each_time(name: str) -> None:
    head = presigned(name, expires_s=600)
    url = known(remembering(head, samples.identified(head)), head)
    assert identify.again(url, head, KEYRING, NOW + timedelta(seconds=600))
    with pytest.raises(ApiError) as late:
        identify.again(url, head, KEYRING, NOW + timedelta(seconds=601))
    assert late.value.kind is REQUEST_EXPIRED
    if url.claim.starts_at:
        with pytest.raises(ApiError) as early:
            identify.again(url, head, KEYRING, url.claim.starts_at - timedelta(seconds=1))
        assert early.value.kind is REQUEST_NOT_YET_VALID


@pytest.mark.parametrize(
    "changed",
    [
        lambda _: {},
        lambda key: {KEY_ID: replace(key, secret=Secret("another"))},
        lambda key: {KEY_ID: replace(key)},  # read anew
    ],
    ids=["gone", "another", "read anew"],
)
def test_a_key_that_is_not_the_same_any_more_proves_nothing(
    changed: Callable[[Credential], dict[str, Credential]],
) -> None:
    head = presigned("aws_v4")
    url = known(remembering(head, samples.identified(head)), head)
    assert identify.again(url, head, changed(KEYRING[KEY_ID]), NOW) is None


def test_a_temporary_key_that_ends_takes_its_urls_with_it() -> None:
    ends = NOW + timedelta(seconds=60)
    keyring = {KEY_ID: replace(KEYRING[KEY_ID], token=Secret("t"), expires_at=ends)}
    head = presigned("aws_v4", token=Secret("t"))
    url = known(remembering(head, samples.identified(head, keyring=keyring)), head)
    with pytest.raises(ApiError) as refused:
        identify.again(url, head, keyring, ends + timedelta(seconds=1))
    assert refused.value.kind is EXPIRED_TOKEN
    with pytest.raises(ApiError) as refused:
        identify.again(replace(url, claim=replace(url.claim, token="u")), head, keyring, NOW)
    assert refused.value.kind is INVALID_TOKEN


@pytest.mark.parametrize("name", HEADER_SIGNERS)
def test_a_claim_in_a_header_is_proven_each_time(name: str) -> None:
    head = HEADER_SIGNERS[name](head_of(raw_query="versionId=1"), NOW, None)
    assert remembering(head, samples.identified(head)).find(head) is None


def test_of_the_request_that_proved_it_only_what_is_the_same_each_time_is_kept() -> None:
    head = replace(with_headers(presigned("aws_v4", raw_query="a=1"), (("range", "bytes=0-1"),)), peer="192.0.2.1")
    asked = known(remembering(head, samples.identified(head)), head).asked
    assert asked == RequestHead("GET", head.raw_path, "a=1", head.authority, ())


def test_what_is_remembered_is_bounded() -> None:
    proven = ProvenUrls()
    heads = [presigned("aws_v4", key=f"{number}.jpg") for number in range(_MOST + _ADMITTED_EACH)]
    verified = samples.identified(heads[0])
    for head in heads:
        add(proven, head, verified, times=2)
    found = [proven.find(head) is not None for head in heads]
    assert found == [False, *[True] * (_MOST - 1), *[False] * (_ADMITTED_EACH - 1), True]


def test_what_is_long_or_has_many_parts_is_not_remembered() -> None:
    proven = ProvenUrls()
    short = presigned("aws_v4")
    verified = samples.identified(short)
    many = "&".join(f"a{number}=" for number in range(_MOST_PARAMETERS + 1))
    for long in (
        *(presigned("aws_v4", key="x" * 5000), with_headers(short, (("x-a", "x" * 5000),))),
        presigned("aws_v4", raw_query=many),
    ):
        add(proven, long, verified, times=2)
        assert proven.find(long) is None
    most = presigned("aws_v4", raw_query=many.removesuffix(f"&a{_MOST_PARAMETERS}="))
    add(proven, most, verified, times=2)
    assert proven.find(most)


def test_of_more_urls_in_turn_than_there_are_places_nearly_as_many_are_found_as_there_are() -> None:
    proven = ProvenUrls()
    heads = [presigned("aws_v4", key=f"{number}.jpg") for number in range(4 * _MOST)]
    verified = samples.identified(heads[0])
    for _ in range(5):
        found = 0
        for head in heads:
            if proven.find(head):
                found += 1
            else:
                add(proven, head, verified)
    assert 0.8 * _MOST <= found <= _MOST


def test_another_proof_of_the_same_url_costs_no_other_its_place() -> None:
    proven = ProvenUrls()
    heads = [presigned("aws_v4", key=f"{number}.jpg") for number in range(_MOST)]
    verified = samples.identified(heads[0])
    for head in (*heads, heads[-1]):
        add(proven, head, verified, times=2)
    assert proven.find(heads[0])


def test_new_settings_begin_with_nothing() -> None:
    before, after = (Who(None, None, "", None, None) for _ in range(2))  # type: ignore[arg-type] # nothing else of it
    assert before.proven is not after.proven
