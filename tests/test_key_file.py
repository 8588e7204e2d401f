from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING

import pytest

from gateway.credentials import KeyFileError, Secret
from gateway.key_file import KeyFile, LiveKeys, opened
from gateway.sealing import MasterKeys, new_master_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MASTER = MasterKeys(new_master_key())
PLAIN = 'secret = "s"'
SEALED = f'secret_enc = "{MASTER.seal(Secret("s"))}"'
IN_FILE = 'secret_file = "app secret"'


def key_file(folder: Path, secret: str = PLAIN, mode: int = 0o600) -> KeyFile:
    path = folder / "keys.toml"
    path.write_text(f'[[identity]]\nname = "app"\n[[identity.key]]\nid = "AK"\n{secret}\n')
    path.chmod(mode)
    return KeyFile(path, MASTER, frozenset({"main"}))


def secret_file(folder: Path, text: str = "s\n", mode: int = 0o600) -> Path:
    path = folder / "app secret"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("secret", "mode", "readable"),
    [
        (PLAIN, 0o600, True),
        (PLAIN, 0o400, True),
        (PLAIN, 0o640, False),
        (PLAIN, 0o604, False),
        (SEALED, 0o644, True),
        (IN_FILE, 0o644, True),
    ],
)
def test_only_plain_secrets_ask_for_a_safe_mode(tmp_path: Path, secret: str, mode: int, readable: bool) -> None:  # noqa: FBT001 # a table
    secret_file(tmp_path)
    file = key_file(tmp_path, secret, mode)
    if readable:
        assert opened(file).current["AK"].secret == Secret("s")
    else:
        with pytest.raises(KeyFileError, match="it holds plain secrets that other users may read: run chmod 600 "):
            opened(file)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_secret_file_that_others_may_read_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, mode: int
) -> None:
    secret_file(tmp_path, mode=mode)
    with pytest.raises(KeyFileError, match="key 'AK': secret_file app secret may be read by other users") as caught:
        opened(key_file(tmp_path, IN_FILE))
    subprocess.run(shlex.split(str(caught.value).rpartition(": run ")[2]), check=True)
    assert opened(key_file(tmp_path, IN_FILE)).current["AK"].secret == Secret("s")


@pytest.mark.parametrize(("mode", "readable"), [(0o440, True), (0o640, True), (0o444, False), (0o604, False)])
def test_a_file_of_another_owner_may_be_read_by_its_group_as_secrets_in_containers_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, mode: int, readable: bool
) -> None:
    file = key_file(tmp_path, mode=mode)
    monkeypatch.setattr(os, "geteuid", lambda: file.path.stat().st_uid + 65_532)
    if readable:
        assert opened(file).current["AK"].secret == Secret("s")
    else:
        with pytest.raises(KeyFileError, match="other users may read"):
            opened(file)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot read it: No such file"):
        opened(KeyFile(tmp_path / "gone", None, frozenset()))
    with pytest.raises(KeyFileError, match="cannot read secret_file app secret: No such file"):
        opened(key_file(tmp_path, IN_FILE))
    secret_file(tmp_path).write_bytes(b"\xff\xfe")
    with pytest.raises(KeyFileError, match="app secret is not UTF-8 text"):
        opened(key_file(tmp_path, IN_FILE))
    file = key_file(tmp_path, SEALED)
    with pytest.raises(KeyFileError, match=r"keys\.master_key is not set"):
        opened(KeyFile(file.path, None, file.upstreams))
    with pytest.raises(KeyFileError, match=r"there is no \[upstream.second\]"):
        opened(key_file(tmp_path, f'{PLAIN}\n[[identity]]\nname = "x"\nupstream = "second"'))


def rewritten_in_place(path: Path) -> None:
    path.write_text(path.read_text() + "# more\n")


def replaced_by_another(path: Path) -> None:
    (path.parent / "new").write_text(path.read_text())
    (path.parent / "new").chmod(0o600)
    os.utime(path.parent / "new", ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    (path.parent / "new").replace(path)


@pytest.mark.parametrize(
    "change", [rewritten_in_place, replaced_by_another, lambda path: path.unlink(), lambda path: path.chmod(0o400)]
)
@pytest.mark.parametrize("name", ["keys.toml", "app secret"])
def test_a_change_of_the_file_or_of_a_secret_file_shows(
    tmp_path: Path, name: str, change: Callable[[Path], None]
) -> None:
    secret_file(tmp_path)
    keys = opened(key_file(tmp_path, IN_FILE))
    assert not keys.differs(keys.look())
    change(tmp_path / name)
    assert keys.differs(keys.look())


def test_a_broken_file_leaves_the_old_keys_and_shows_its_next_change(tmp_path: Path) -> None:
    keys = opened(key_file(tmp_path))
    before = keys.current
    key_file(tmp_path, IN_FILE)
    with pytest.raises(KeyFileError):
        keys.reload()
    assert keys.current is before
    assert not keys.differs(keys.look()), "one complaint is enough"
    secret_file(tmp_path, "new")
    assert keys.differs(keys.look()), "the missing secret file is there now"
    keys.reload()
    assert keys.current["AK"].secret == Secret("new")
    assert before["AK"].secret == Secret("s"), "a request that began before goes on with the old keyring"


def test_keys_without_a_file_stay() -> None:
    keys = LiveKeys({})
    keys.reload()
    assert not keys.reloadable
    assert not keys.differs(keys.look())


def test_a_secret_file_whose_name_no_file_can_have_is_a_mistake_and_looking_for_it_goes_on(tmp_path: Path) -> None:
    keys = opened(key_file(tmp_path))
    key_file(tmp_path, 'secret_file = "a\\u0000b"')
    with pytest.raises(KeyFileError, match="key 'AK': embedded null"):
        keys.reload()
    assert not keys.differs(keys.look())
    key_file(tmp_path)
    assert keys.differs(keys.look())
