from __future__ import annotations

import re
import stat
from functools import partial
from typing import TYPE_CHECKING

import pytest

from gateway.commands.config import read
from gateway.credentials import Secret
from gateway.sealing import MasterKeys, new_master_key
from tests.commands.test_config import gateway

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = new_master_key().reveal(), new_master_key().reveal()
KEYS = (
    "# Who may sign.\r\n"
    "[[identity]]\n"
    'name = "app"  # the application\n'
    "\n"
    "  [[identity.key]]\n"
    '  id     = "AK1"\n'
    '  secret = "s \\"1\\" # \\u00e9"      # rotate in spring\n'
    "[[identity.key]]\n"
    'id = "AK2"\n'
    "secret='s2'\r\n"
    "expires = 2020-01-01T00:00:00Z\n"
    "[[identity.key]]\n"
    'id = "AK3"\n'
    'secret = """\n-----BEGIN\n"""\n'
    "[[identity.key]]\n"
    'id = "AK4"\n'
    'secret_file = "four"\n'
    '# secret = "not one"\n'
    "[[identity]]\n"
    'name = "other"\n'
    "[[identity.key]]\n"
    'id = "AK5"\n'
    'secret = "s5"'
)
SECRETS = {"AK1": 's "1" # \u00e9', "AK2": "s2", "AK3": "-----BEGIN\n", "AK4": "s4", "AK5": "s5"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gateway.toml").write_text('[upstream.main]\nendpoint = "http://s"\n[keys]\nfile = "keys.toml"\n')
    (tmp_path / "four").write_text("s4\n")
    (tmp_path / "four").chmod(0o600)
    put(tmp_path, KEYS, 0o644)
    return tmp_path


def put(folder: Path, text: str, mode: int = 0o600) -> None:
    (folder / "keys.toml").write_bytes(text.encode())
    (folder / "keys.toml").chmod(mode)


def text_of(folder: Path) -> str:
    return (folder / "keys.toml").read_bytes().decode()


def run(folder: Path, action: str, master: str = "") -> tuple[int, str]:
    given = {"GATEWAY_KEYS__MASTER_KEY": master} if master else {}
    done = gateway("keys", action, "--config", str(folder / "gateway.toml"), **given)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def secrets_in(folder: Path, master: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("GATEWAY_KEYS__MASTER_KEY", master)
    keyring = read(folder / "gateway.toml")[1].current
    return {key_id: credential.secret.reveal() for key_id, credential in keyring.items()}


def test_encrypt_seals_every_plain_secret_and_changes_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(folder, "encrypt", OLD) == (0, f"4 secrets sealed in {folder}/keys.toml.\n")
    sealed = text_of(folder)
    assert not re.search(r"s \\|'s2'|-----BEGIN|\"s5\"", sealed)
    values = iter(['"s \\"1\\" # \\u00e9"', "'s2'", '"""\n-----BEGIN\n"""', '"s5"'])
    back = re.sub(r'secret_enc(\s*=\s*)"gAAAA[\w=-]+"', lambda match: f"secret{match[1]}{next(values)}", sealed)
    assert back == KEYS
    assert secrets_in(folder, OLD, monkeypatch) == SECRETS
    assert run(folder, "encrypt", OLD) == (0, f"0 secrets sealed in {folder}/keys.toml.\n")
    assert text_of(folder) == sealed


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o600, 0o600), (0o440, 0o400), (0o777, 0o600)])
def test_the_file_is_replaced_at_once_and_for_its_owner_alone(folder: Path, before: int, after: int) -> None:
    (folder / "keys.toml").rename(folder / "real.toml")
    (folder / "keys.toml").symlink_to("real.toml")
    (folder / "real.toml").chmod(before)
    old = (folder / "real.toml").stat().st_ino
    assert run(folder, "encrypt", OLD)[0] == 0
    assert (folder / "keys.toml").is_symlink()
    assert stat.S_IMODE((folder / "real.toml").stat().st_mode) == after
    assert (folder / "real.toml").stat().st_ino != old
    assert {path.name for path in folder.iterdir()} == {"four", "gateway.toml", "keys.toml", "real.toml"}


def test_rotate_makes_the_old_master_key_needless(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(folder, "encrypt", OLD)
    put(folder, text_of(folder) + '\n[[identity.key]]\nid = "AK6"\nsecret = "plain"\n')
    assert run(folder, "rotate", f"{NEW},{OLD}") == (
        0,
        f"4 secrets sealed anew in {folder}/keys.toml; 1 are plain.\n",
    )
    assert secrets_in(folder, NEW, monkeypatch) == SECRETS | {"AK6": "plain"}
    status, output = run(folder, "rotate", OLD)
    assert status == 1
    assert "key 'AK1': the sealed secret is damaged, or was sealed under another master key" in output


def test_list_shows_the_keys_and_how_they_are_kept_and_no_secret(folder: Path) -> None:
    run(folder, "encrypt", OLD)
    put(
        folder, text_of(folder) + '\n[[identity.key]]\nid = "AK6"\nsecret = "hush"\nexpires = 2999-01-01T01:00:00+01:00'
    )
    (folder / "four").unlink()
    status, output = run(folder, "list")
    assert status == 0
    assert output == (
        "IDENTITY  KEY ID  SECRET  EXPIRES\n"
        "app       AK1     sealed  never\n"
        "app       AK2     sealed  2020-01-01T00:00:00Z (expired)\n"
        "app       AK3     sealed  never\n"
        "app       AK4     file    never\n"
        "other     AK5     sealed  never\n"
        "other     AK6     plain   2999-01-01T00:00:00Z\n"
    )


def test_a_new_master_key_works_at_once() -> None:
    done = gateway("keys", "new-master-key")
    keys = MasterKeys(Secret(done.stdout))
    assert keys.open(keys.seal(Secret("s"))) == Secret("s")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '[[identity]]\nname = "n"\nkey = [{id = "AK", secret = "s"}]\n',
            "the secret of key 'AK' must stand on a line of its own",
        ),
        ('[[identity]]\nname = """\nsecret = "x"\n"""\n[[identity.key]]\nid = "A"\nsecret = "s"\n', "was not changed"),
        ("[[identity]]\nname = 3\n", "'name' must be a non-empty text"),
        ("\udcff", "can't decode byte"),
    ],
)
def test_what_cannot_be_sealed_safely_stays_as_it_is(folder: Path, text: str, words: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    (folder / "keys.toml").write_bytes(data)
    status, output = run(folder, "encrypt", OLD)
    assert (status, output.count("\n")) == (1, 1)
    assert words in output
    assert (folder / "keys.toml").read_bytes() == data


def test_what_the_editing_missed_is_not_left_under_the_old_key(folder: Path) -> None:
    sealed = MasterKeys(Secret(OLD)).seal(Secret("s"))
    put(folder, f'identity = [{{name = "n", key = [{{id = "AK", secret_enc = "{sealed}"}}]}}]\n')
    before = text_of(folder)
    status, output = run(folder, "rotate", f"{NEW} {OLD}")
    assert (status, text_of(folder)) == (1, before)
    assert "sealed under another master key" in output


def test_what_is_missing_is_named(folder: Path) -> None:
    for action in ("encrypt", "rotate"):
        assert "keys.master_key: is needed" in run(folder, action)[1]
        assert "master key 1 is not 32 bytes" in run(folder, action, "hush")[1]
    (folder / "keys.toml").unlink()
    assert "keys.toml: No such file" in run(folder, "list")[1]
    nowhere = partial(gateway, "keys", "list", GATEWAY_UPSTREAM__MAIN__ENDPOINT="http://s")
    assert "keys.file: is needed" in nowhere().stderr
