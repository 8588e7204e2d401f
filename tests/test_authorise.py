from __future__ import annotations

from ipaddress import IPv4Address, ip_network
from typing import TYPE_CHECKING, Any, Literal

import pytest

from gateway.authorise import authorise, needed
from gateway.credentials import ANONYMOUS, EVERYTHING, Identity, Statement
from gateway.dialects.base import Analyse, Forward, Intent, StoreRequest
from gateway.errors import ACCESS_DENIED, ApiError
from gateway.request import ObjectRef
from gateway.settings import BucketRoute, load, route

if TYPE_CHECKING:
    from gateway.authorise import MayDelete
    from gateway.request import Headers

HERE, ELSEWHERE = IPv4Address("192.0.2.1"), IPv4Address("198.51.100.1")
SCORE = Analyse(("s3:GetObject", "oss:ProcessImm"), None, "x-oss-process")
SAVING = Analyse(("s3:GetObject",), None, "x-oss-process", "score", ObjectRef("closed-125", "results/k"))
BUCKETS: dict[str, Any] = {
    "closed": {"aliases": ["closed-125"]},
    "open": {"anonymous": "store"},
    "other": {"anonymous": "store", "scoring": False},
    "partly": {"anonymous": "configured", "anonymous_prefixes": ["public/"]},
}


def route_of(name: str) -> BucketRoute:
    return route(load(None, {}, {"upstream": {"main": {"endpoint": "http://s"}}, "buckets": BUCKETS}), name)


def forward(action: str, *also: str, headers: Headers = ()) -> Forward:
    return Forward(action, StoreRequest("PUT", "k", "", headers), translated=False, also=also)


def copying(source: str) -> Forward:
    return forward("s3:PutObject", headers=(("x-amz-copy-source", source),))


def asked(
    identity: Identity, intent: Intent, bucket: str, key: str, address: IPv4Address | None = HERE
) -> MayDelete | None:
    return authorise(identity, address, intent, route_of(bucket), key, route_of)


def is_allowed(identity: Identity, intent: Intent, bucket: str, key: str, address: IPv4Address | None = HERE) -> bool:
    try:
        asked(identity, intent, bucket, key, address)
    except ApiError as error:
        return error.kind is not ACCESS_DENIED
    return True


def identity(*rows: tuple[Literal["allow", "deny"], str, str], networks: tuple[str, ...] = ()) -> Identity:
    found = tuple(ip_network(text) for text in networks)
    return Identity("x", tuple(Statement(row[0], (row[1],), (row[2],), found) for row in rows))


ALL_OF_IT = Identity("root", EVERYTHING)
READER = identity(("allow", "s3:Get*", "closed/*"))


@pytest.mark.parametrize(
    ("who", "intent", "bucket", "allowed"),
    [
        (READER, forward("s3:GetObject"), "closed", True),
        (READER, forward("s3:GetObject"), "closed-125", True),
        (READER, forward("s3:GetObject"), "open", False),
        (READER, forward("s3:PutObject"), "closed", False),
        (READER, forward("s3:GetObject", "s3:PutObjectAcl"), "closed", False),
        (READER, SCORE, "closed", False),
        (ALL_OF_IT, SCORE, "closed", True),
        (ALL_OF_IT, SCORE, "other", False),
        (identity(("allow", "*", "*"), ("deny", "*", "closed/k")), forward("s3:GetObject"), "closed-125", False),
    ],
)
def test_every_action_is_needed_on_the_configured_name(
    who: Identity,
    intent: Intent,
    bucket: str,
    allowed: bool,  # noqa: FBT001 # a table
) -> None:
    assert is_allowed(who, intent, bucket, "k") is allowed


def test_a_score_needs_both_rights_and_a_header_adds_its_own() -> None:
    assert needed(SCORE) == ("s3:GetObject", "oss:ProcessImm")
    assert needed(forward("s3:PutObject", "s3:PutObjectAcl")) == ("s3:PutObject", "s3:PutObjectAcl")


def test_the_source_of_a_copy_must_be_readable_under_its_configured_name() -> None:
    writer = identity(("allow", "s3:PutObject", "open/*"), ("allow", "s3:GetObject", "closed/a*"))
    assert is_allowed(writer, copying("/closed-125/a%20b"), "open", "k")
    assert not is_allowed(writer, copying("closed-125/b"), "open", "k")
    assert not is_allowed(writer, copying("other/a"), "open", "k")


def test_saving_needs_the_right_to_write_there_under_the_configured_name() -> None:
    def writer(*rows: tuple[Literal["allow", "deny"], str, str]) -> Identity:
        return identity(("allow", "s3:GetObject", "open/*"), *rows)

    assert is_allowed(writer(("allow", "s3:PutObject", "closed/results/*")), SAVING, "open", "k")
    assert not is_allowed(writer(("allow", "s3:PutObject", "closed/other/*")), SAVING, "open", "k")
    assert not is_allowed(writer(), SAVING, "open", "k")
    assert not is_allowed(ANONYMOUS, SAVING, "open", "k")


def test_the_address_decides_where_statements_name_networks() -> None:
    office = identity(("allow", "*", "*"), networks=("192.0.2.0/24",))
    found = [is_allowed(office, SCORE, "closed", "k", address) for address in (HERE, ELSEWHERE, None)]
    assert found == [True, False, False]


@pytest.mark.parametrize(
    ("intent", "bucket", "key", "allowed"),
    [
        (forward("s3:GetObject"), "closed", "k", False),
        (forward("s3:GetObject"), "partly", "k", False),
        (forward("s3:GetObject"), "partly", "public/k", True),
        (forward("s3:PutObject"), "partly", "public/k", False),
        (SCORE, "partly", "public/k", False),
        (forward("s3:GetObject"), "open", "k", True),
        (forward("s3:ListBucket"), "open", "", True),
        (forward("s3:DeleteObject"), "open", "", True),
        (forward("s3:PutObject", "s3:PutObjectAcl"), "open", "k", True),
        (SCORE, "open", "k", False),
        (SCORE, "other", "k", False),
        (copying("other/k"), "open", "k", True),
        (copying("closed/k"), "open", "k", False),
        (copying("open/k"), "partly", "public/k", False),
        (forward("s3:ListAllMyBuckets"), "", "", False),
    ],
)
def test_the_anonymous_get_what_the_bucket_says_and_never_a_score(
    intent: Intent,
    bucket: str,
    key: str,
    allowed: bool,  # noqa: FBT001 # a table
) -> None:
    assert is_allowed(ANONYMOUS, intent, bucket, key) is allowed


def test_a_batch_delete_by_somebody_with_the_whole_bucket_needs_no_look_at_its_keys() -> None:
    assert asked(ALL_OF_IT, forward("s3:DeleteObject"), "closed", "") is None
    both = identity(("allow", "s3:DeleteObject*", "closed/*"), ("deny", "*", "open/*"))
    assert asked(both, forward("s3:DeleteObject"), "closed", "") is None


@pytest.mark.parametrize(
    ("who", "also", "may"),
    [
        (identity(("allow", "*", "*"), ("deny", "*", "closed/private/*")), (), {"a", "a@1"}),
        (identity(("allow", "s3:DeleteObject", "closed/*")), (), {"a", "private/a"}),
        (identity(("allow", "s3:DeleteObjectVersion", "closed/private/*")), (), {"private/a@1"}),
        (identity(("allow", "s3:Delete*", "closed/*")), ("s3:BypassGovernanceRetention",), set()),
        (identity(("allow", "s3:*", "closed")), (), set()),
        (READER, (), set()),
    ],
)
def test_any_other_batch_delete_is_judged_key_by_key(who: Identity, also: tuple[str, ...], may: set[str]) -> None:
    may_delete = asked(who, forward("s3:DeleteObject", *also), "closed-125", "")
    assert may_delete is not None
    keys = ("a", "private/a")
    found = {key for key in keys if may_delete(key, False)} | {f"{key}@1" for key in keys if may_delete(key, True)}  # noqa: FBT003 # the type names it
    assert found == may
