from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.credentials import (
    ANONYMOUS,
    EVERYTHING,
    Address,
    Identity,
    KeyFileError,
    Keyring,
    Network,
    Secret,
    Statement,
    parse_keys,
)
from gateway.proxies import parse_address
from gateway.request import ObjectRef

HERE = IPv4Address("192.0.2.7")
KEYS = """
[[identity]]
name = "app"
[[identity.key]]
id = "AK1"
secret = "s1"
[[identity.key]]
id = "AK2"
secret_file = "two"
token = "t"
expires = 2027-01-01T00:00:00Z
[[identity.key]]
id = "AK3"
secret_enc = "3s"
[[identity.statement]]
effect = "allow"
actions = ["s3:Get*", "oss:ProcessImm"]
resources = ["photos/*"]
[[identity.statement]]
effect = "deny"
actions = ["*"]
resources = ["photos/secret*"]
"""


def parsed(text: str, **options: Any) -> Keyring:
    """Parse with a secret file `two` and a way of sealing that spells backwards."""
    return parse_keys(text, {"two": "s2\n"}.__getitem__, open_sealed=lambda sealed: Secret(sealed[::-1]), **options)


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("open sesame")
    assert "open" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "open sesame"
    assert len({secret, Secret("open sesame"), Secret("other")}) == 2


def test_a_key_file_gives_keys_with_their_identity() -> None:
    keyring = parsed(KEYS)
    assert {key: (row.secret.reveal(), row.kept) for key, row in keyring.items()} == {
        "AK1": ("s1", "plain"),
        "AK2": ("s2", "file"),
        "AK3": ("s3", "sealed"),
    }
    assert keyring["AK2"].token == Secret("t")
    assert str(keyring["AK2"].expires_at) == "2027-01-01 00:00:00+00:00"
    assert keyring["AK1"].identity == keyring["AK2"].identity


@pytest.mark.parametrize(
    ("action", "bucket", "key", "allowed"),
    [
        ("s3:GetObject", "photos", "a.jpg", True),
        ("S3:getobject", "photos", "a.jpg", True),
        ("oss:ProcessImm", "photos", "x/y.jpg", True),
        ("s3:PutObject", "photos", "a.jpg", False),
        ("s3:GetObject", "photos2", "a.jpg", False),
        ("s3:GetObject", "photos", "secret/a.jpg", False),
        ("s3:GetObject", "photos", "", False),
    ],
)
def test_deny_wins_and_silence_refuses(action: str, bucket: str, key: str, allowed: bool) -> None:  # noqa: FBT001 # a table
    identity = parsed(KEYS)["AK1"].identity
    assert identity.allows(action, ObjectRef(bucket, key), None) is allowed


def test_the_anonymous_identity_may_do_nothing_and_everything_means_everything() -> None:
    assert not ANONYMOUS.allows("s3:GetObject", ObjectRef("b", "k"), HERE)
    assert Identity("x", EVERYTHING).allows("s3:ListAllMyBuckets", ObjectRef("", ""), HERE)


@given(st.text("ab[]!-*?/", max_size=6), st.text("ab[]!-/", max_size=6))
def test_patterns_know_stars_and_question_marks_only(pattern: str, key: str) -> None:
    expected = re.fullmatch(re.escape(f"b/{pattern}").replace(r"\*", ".*").replace(r"\?", "."), f"b/{key}", re.DOTALL)
    identity = Identity("x", (Statement("allow", ("*",), (f"b/{pattern}",)),))
    if key:
        assert identity.allows("s3:GetObject", ObjectRef("b", key), HERE) is bool(expected)


# --- networks ---------------------------------------------------------------------------------------------------

NETWORKS = """
[[identity]]
name = "office"
[[identity.key]]
id = "AK"
secret = "s"
[[identity.statement]]
actions = ["*"]
resources = ["*"]
networks = ["192.0.2.0/24", "2001:db8::/32", "::ffff:198.51.100.0/120"]
[[identity.statement]]
effect = "deny"
actions = ["s3:Delete*"]
resources = ["*"]
networks = ["192.0.2.128/25"]
"""


@pytest.mark.parametrize(
    ("address", "may_read", "may_delete"),
    [
        ("192.0.2.0", True, True),
        ("192.0.2.127", True, True),
        ("192.0.2.128", True, False),
        ("192.0.2.255", True, False),
        ("192.0.3.0", False, False),
        ("198.51.100.9", True, True),
        ("198.51.101.9", False, False),
        ("2001:db8::1", True, True),
        ("2001:db9::1", False, False),
        ("fe80::1%eth0", False, False),
        ("", False, False),
    ],
)
def test_a_statement_with_networks_counts_only_from_there(address: str, may_read: bool, may_delete: bool) -> None:  # noqa: FBT001 # a table
    identity = parsed(NETWORKS)["AK"].identity
    found = [identity.allows(action, ObjectRef("b", "k"), parse_address(address)) for action in ("s3:Get", "s3:Delete")]
    assert found == [may_read, may_delete]


def test_an_address_that_is_not_known_counts_against_the_caller() -> None:
    networks = (ip_network("192.0.2.0/24"),)
    denied = Identity("x", (*EVERYTHING, Statement("deny", ("*",), ("*",), networks)))
    assert denied.allows("s3:GetObject", ObjectRef("b", "k"), IPv4Address("198.51.100.1"))
    assert not denied.allows("s3:GetObject", ObjectRef("b", "k"), None)
    assert not denied.allows("s3:GetObject", ObjectRef("b", "k"), HERE)
    allowed = Identity("x", (Statement("allow", ("*",), ("*",), networks),))
    assert allowed.allows("s3:GetObject", ObjectRef("b", "k"), HERE)
    assert not allowed.allows("s3:GetObject", ObjectRef("b", "k"), None)


# --- evaluation against a naive reference -----------------------------------------------------------------------


def matches_naively(text: str, pattern: str) -> bool:
    """Compare letter by letter: `?` takes one letter, `*` none or one and then itself again."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return matches_naively(text, pattern[1:]) or (bool(text) and matches_naively(text[1:], pattern))
    return bool(text) and pattern[0] in ("?", text[0]) and matches_naively(text[1:], pattern[1:])


def lies_in_naively(address: Address, network: Network) -> bool:
    """Compare the first bits, written out."""
    width = 32 if network.version == 4 else 128
    bits = [f"{int(each):0{width}b}"[: network.prefixlen] for each in (address, network.network_address)]
    return address.version == network.version and bits[0] == bits[1]


def allows_naively(rows: list[Statement], action: str, resource: str, address: Address | None) -> bool:
    allowed = False
    for row in rows:
        fits = any(matches_naively(action.lower(), pattern.lower()) for pattern in row.actions)
        fits = fits and any(matches_naively(resource, pattern) for pattern in row.resources)
        if row.networks and address is None:
            fits = fits and row.effect == "deny"
        elif row.networks and address is not None:
            fits = fits and any(lies_in_naively(address, network) for network in row.networks)
        if fits and row.effect == "deny":
            return False
        allowed = allowed or fits
    return allowed


ACTIONS = st.sampled_from(["s3:GetObject", "s3:PutObject", "S3:Get", "oss:ProcessImm"])
ACTION_PATTERNS = st.sampled_from(["*", "s3:*", "s3:Get*", "S3:?etObject", "oss:ProcessImm", "s3:Get"])
RESOURCES = st.one_of(st.sampled_from(["*", "a/*", "a*", "a", "a/b*", "a/b/", "ab/*"]), st.text("ab/*?[", max_size=5))
ADDRESSES = st.one_of(
    st.none(),
    st.integers(0, 7).map(lambda last: IPv4Address(f"192.0.2.{last}")),
    st.integers(0, 7).map(lambda last: IPv6Address(f"2001:db8::{last}")),
)
NETWORK = st.sampled_from(["192.0.2.0/30", "192.0.2.4/31", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::4/126", "::/0"])
STATEMENTS = st.lists(
    st.builds(
        Statement,
        st.sampled_from(["allow", "allow", "deny"]),
        st.lists(ACTION_PATTERNS, min_size=1, max_size=2).map(tuple),
        st.lists(RESOURCES, min_size=1, max_size=2).map(tuple),
        st.lists(NETWORK.map(ip_network), max_size=2).map(tuple),
    ),
    max_size=4,
)
KEY_TEXT = st.text("ab/[", max_size=4)


@given(STATEMENTS, ACTIONS, st.sampled_from(["", "a", "ab"]), KEY_TEXT, ADDRESSES)
def test_evaluation_agrees_with_a_naive_reference(
    rows: list[Statement], action: str, bucket: str, key: str, address: Address | None
) -> None:
    resource = f"{bucket}/{key}" if key else bucket
    expected = allows_naively(rows, action, resource, address)
    assert Identity("x", tuple(rows)).allows(action, ObjectRef(bucket, key), address) is expected


@given(STATEMENTS, ACTIONS, KEY_TEXT.filter(bool), ADDRESSES)
@example([Statement("allow", ("*",), ("*",)), Statement("deny", ("*",), ("a/b*",))], "s3:GetObject", "b", None)
@example([Statement("allow", ("*",), ("*",)), Statement("deny", ("*",), ("?/b",))], "s3:GetObject", "b", None)
def test_what_is_allowed_throughout_a_bucket_is_allowed_for_each_key(
    rows: list[Statement], action: str, key: str, address: Address | None
) -> None:
    identity = Identity("x", tuple(rows))
    if identity.allows_throughout(action, "a", address):
        assert identity.allows(action, ObjectRef("a", key), address)


@pytest.mark.parametrize(
    ("allow", "deny", "throughout"),
    [
        (("*",), (), True),
        (("a/*",), (), True),
        (("a*",), (), True),
        (("a",), (), False),
        (("a/b*",), (), False),
        (("a/?*",), (), False),
        ((), (), False),
        (("*",), ("a/private/*",), False),
        (("*",), ("*/private",), False),
        (("*",), ("b/*", "ab/*"), True),
    ],
)
def test_a_bucket_as_a_whole_is_recognised(allow: tuple[str, ...], deny: tuple[str, ...], throughout: bool) -> None:  # noqa: FBT001 # a table
    rows = (Statement("allow", ("s3:*",), allow), Statement("deny", ("s3:Delete*",), deny))
    assert Identity("x", rows).allows_throughout("s3:DeleteObject", "a", HERE) is throughout


# --- the key file -----------------------------------------------------------------------------------------------


def test_an_identity_may_name_the_store_that_its_requests_are_signed_for() -> None:
    text = 'identity = [{name = "app", upstream = "second", key = [{id = "AK", secret = "s"}]}]'
    assert parsed(text)["AK"].identity.upstream == "second"
    assert parsed(text, upstreams={"first", "second"})["AK"].identity.upstream == "second"
    assert parsed(KEYS)["AK1"].identity.upstream == ""
    with pytest.raises(KeyFileError, match=re.escape("identity 1 (app): there is no [upstream.second]")):
        parsed(text, upstreams={"first"})


def test_an_identity_gets_scores_in_headers_only_where_it_says_so() -> None:
    text = 'identity = [{name = "app", score_headers = true, key = [{id = "AK", secret = "s"}]}]'
    assert (parsed(text)["AK"].identity.score_headers, parsed(KEYS)["AK1"].identity.score_headers) == (True, False)


def test_a_plain_secret_is_refused_with_the_reason_given_and_other_secrets_are_not() -> None:
    with pytest.raises(KeyFileError, match=r"^others may read it$"):
        parsed(KEYS, plain_refused="others may read it")
    sealed = KEYS.replace('secret = "s1"', 'secret_enc = "1s"')
    assert parsed(sealed, plain_refused="others may read it")["AK1"].secret == Secret("s1")


KEY = "[[identity]]\nname='n'\n[[identity.key]]\nid='A'\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[identity", "not valid TOML"),
        ("identity = " + "[" * 5000, "not valid TOML"),
        ("identity = " + "1" * 5000, "not valid TOML"),
        ("[other]", "the file: unknown key 'other'"),
        ("identity = 3", "must be a list of tables"),
        ("[[identity]]\n[[identity.key]]\nid='A'\nsecret='x'\nsecret_file='y'", "exactly one of"),
        ("[[identity]]\nname='n'\n[[identity.key]]\nid='A'\nsecret_file='gone'", "cannot read secret_file gone"),
        ("[[identity]]\nname='n'\n[[identity.key]]\nid='A'\nsecret_file='empty'", "is empty"),
        ("[[identity]]\nname='n'\n[[identity.key]]\nid='A'\nsecret='x'\n[[identity.key]]\nid='A'\nsecret='x'", "twice"),
        ("[[identity]]\nname='n'\n[[identity.key]]\nid='A'\nsecret='x'\nexpires=3", "with an offset"),
        (f"{KEY}secret='x'\nexpires=9999-12-31T23:59:59-08:00", "key 'A': 'expires' is no date"),
        (f"{KEY}secret='x'\nexpires=0001-01-01T00:00:00+01:00", "key 'A': 'expires' is no date"),
        ("[[identity]]\nname='n'\nspeed=3", "unknown key 'speed'"),
        ("[[identity]]\nname='n'\nscore_headers='yes'", "identity 1 (n): score_headers must be true or false"),
        ("[[identity]]\nname='n'\nupstream=''", "'upstream' must be a non-empty text"),
        ("[[identity]]\nname='n'\n[[identity.key]]\nid='A'\nsecret=''", "key 'A': 'secret' must be a non-empty text"),
        ("[[identity]]\nname='n'\n[[identity.key]]\nid='A'\nsecret_enc='x'", "keys.master_key is not set"),
        ("[[identity]]\nname='n'\n[[identity.key]]\nid='A'\nsecret_file='open'", "key 'A': others may read it"),
        (
            "[[identity]]\nname='n'\n[[identity.statement]]\nactions=['*']\nresources=['*']\nnetworks=['10.0.0.1/8']",
            "identity 1 (n): networks: 10.0.0.1/8 has host bits set",
        ),
        (
            "[[identity]]\nname='n'\n[[identity.statement]]\neffect='maybe'\nactions=['*']\nresources=['*']",
            "effect must be",
        ),
        ("[[identity]]\nname='n'\n[[identity.statement]]\nactions=[]\nresources=['*']", "non-empty list of texts"),
    ],
)
def test_a_mistake_in_the_key_file_is_named(text: str, words: str) -> None:
    def read(name: str) -> str:
        if name == "empty":
            return " \n"
        if name == "open":
            raise KeyFileError("others may read it")
        raise FileNotFoundError(2, "No such file or directory")

    with pytest.raises(KeyFileError, match=re.escape(words)):
        parse_keys(text, read)


def test_every_mistake_is_named_at_once_and_no_secret() -> None:
    text = "[[identity]]\n[[identity.key]]\nsecret='hidden'\ncolour=1\n[[identity.statement]]\n"
    with pytest.raises(KeyFileError) as caught:
        parse_keys(text, lambda name: name)
    assert str(caught.value).count(";") >= 4
    assert "hidden" not in str(caught.value)


def test_a_public_key_is_kept_as_one() -> None:
    text = "[[identity]]\nname='cdn'\n[[identity.key]]\nid='K'\npublic_key='''-----BEGIN PUBLIC KEY-----\nAA'''\n"
    assert parse_keys(text, lambda name: name)["K"].kept == "public"
