from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.credentials import Secret
from gateway.sealing import MasterKeys, SealingError, new_master_key

OLD, NEW = new_master_key(), new_master_key()
BOTH = MasterKeys(Secret(f"{NEW.reveal()}, {OLD.reveal()}\n"))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_was_sealed_comes_back_and_only_in_this_way(text: str) -> None:
    keys = MasterKeys(OLD)
    sealed = keys.seal(Secret(text))
    assert keys.open(sealed) == Secret(text)
    assert sealed.isascii()
    assert keys.seal(Secret(text)) != sealed
    assert len(text) < 4 or text not in sealed


def test_the_newest_key_seals_and_the_older_ones_still_open() -> None:
    assert BOTH.open(MasterKeys(OLD).seal(Secret("s"))) == Secret("s")
    assert MasterKeys(NEW).open(BOTH.seal(Secret("s"))) == Secret("s")
    assert BOTH.newest().open(BOTH.seal(Secret("s"))) == Secret("s")
    with pytest.raises(SealingError, match="under another master key"):
        BOTH.newest().open(MasterKeys(OLD).seal(Secret("s")))


@given(st.integers(0, 99), st.integers(0, 5))
def test_a_damaged_text_is_not_opened(position: int, bit: int) -> None:
    keys = MasterKeys(OLD)
    sealed = keys.seal(Secret("a secret of some length"))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    changed = alphabet[alphabet.index(sealed[position]) ^ 1 << bit]
    with pytest.raises(SealingError, match="damaged"):
        keys.open(sealed[:position] + changed + sealed[position + 1 :])


@pytest.mark.parametrize("sealed", ["", "plain text", "gAAAAA==", "\u00e9", "\x00"])
def test_what_was_never_sealed_is_not_opened(sealed: str) -> None:
    with pytest.raises(SealingError, match="damaged"):
        MasterKeys(OLD).open(sealed)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no master key"),
        (" ,\n", "there is no master key"),
        ("hush-hush", "master key 1 is not 32 bytes"),
        (f"{OLD.reveal()} hush-hush", "master key 2 is not 32 bytes"),
        ("\u00e9" * 44, "master key 1 is not 32 bytes"),
    ],
)
def test_a_bad_master_key_is_named_by_its_place_and_not_shown(text: str, words: str) -> None:
    with pytest.raises(SealingError, match=words) as caught:
        MasterKeys(Secret(text))
    assert "hush" not in str(caught.value)


def test_master_keys_never_show_themselves() -> None:
    assert OLD.reveal() not in repr(BOTH)
    assert OLD.reveal() not in repr(OLD)
    assert new_master_key() != new_master_key()
