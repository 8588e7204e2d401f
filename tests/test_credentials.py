from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.credentials import ANONYMOUS, EVERYTHING, Identity, KeyFileError, Secret, Statement, parse_keys
from gateway.request import ObjectRef

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
[[identity.statement]]
effect = "allow"
actions = ["s3:Get*", "oss:ProcessImm"]
resources = ["photos/*"]
[[identity.statement]]
effect = "deny"
actions = ["*"]
resources = ["photos/secret*"]
"""


def test_a_secret_never_shows_itself() -> None:
    secret = Secret("open sesame")
    assert "open" not in f"{secret} {secret!r} {[secret]}"
    assert secret.reveal() == "open sesame"


def test_a_key_file_gives_keys_with_their_identity() -> None:
    keyring = parse_keys(KEYS, {"two": "s2\n"}.__getitem__)
    assert set(keyring) == {"AK1", "AK2"}
    assert keyring["AK2"].secret == Secret("s2")
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
    identity = parse_keys(KEYS, {"two": "s2"}.__getitem__)["AK1"].identity
    assert identity.allows(action, ObjectRef(bucket, key)) is allowed


def test_the_anonymous_identity_may_do_nothing_and_everything_means_everything() -> None:
    assert not ANONYMOUS.allows("s3:GetObject", ObjectRef("b", "k"))
    assert Identity("x", EVERYTHING).allows("s3:ListAllMyBuckets", ObjectRef("", ""))


@given(st.text("ab[]!-*?/", max_size=6), st.text("ab[]!-/", max_size=6))
def test_patterns_know_stars_and_question_marks_only(pattern: str, key: str) -> None:
    expected = re.fullmatch(re.escape(f"b/{pattern}").replace(r"\*", ".*").replace(r"\?", "."), f"b/{key}", re.DOTALL)
    identity = Identity("x", (Statement("allow", ("*",), (f"b/{pattern}",)),))
    if key:
        assert identity.allows("s3:GetObject", ObjectRef("b", key)) is bool(expected)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[identity", "not valid TOML"),
        ("[other]", "unknown table or key 'other'"),
        ("identity = 3", "must be a list of tables"),
        ("[[identity]]\n[[identity.key]]\nid='A'\nsecret='x'\nsecret_file='y'", "exactly one of"),
        ("[[identity]]\nname='n'\n[[identity.key]]\nid='A'\nsecret_file='gone'", "cannot read secret_file gone"),
        ("[[identity]]\nname='n'\n[[identity.key]]\nid='A'\nsecret_file='empty'", "is empty"),
        ("[[identity]]\nname='n'\n[[identity.key]]\nid='A'\nsecret='x'\n[[identity.key]]\nid='A'\nsecret='x'", "twice"),
        ("[[identity]]\nname='n'\n[[identity.key]]\nid='A'\nsecret='x'\nexpires=3", "with an offset"),
        ("[[identity]]\nname='n'\nspeed=3", "unknown key 'speed'"),
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
        raise FileNotFoundError(2, "No such file or directory")

    with pytest.raises(KeyFileError, match=re.escape(words)):
        parse_keys(text, read)


def test_every_mistake_is_named_at_once_and_no_secret() -> None:
    text = "[[identity]]\n[[identity.key]]\nsecret='hidden'\ncolour=1\n[[identity.statement]]\n"
    with pytest.raises(KeyFileError) as caught:
        parse_keys(text, lambda name: name)
    assert str(caught.value).count(";") >= 4
    assert "hidden" not in str(caught.value)
