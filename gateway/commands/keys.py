"""`gateway keys`: seals the secrets of the key file, seals them anew, lists them. Never shows a secret.

The file is edited as text, so that its comments and its layout stay; the result must mean the same or is not written.
"""

from __future__ import annotations

import os
import re
import tempfile
import tomllib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.commands.config import master_keys
from gateway.commands.console import say
from gateway.credentials import Secret, parse_keys
from gateway.processes import StartError
from gateway.sealing import SealingError, new_master_key
from gateway.settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.credentials import Credential, Keyring
    from gateway.sealing import MasterKeys

# A string of one of TOML's four kinds behind `secret =` or `secret_enc =`, on a line (or lines) of its own.
_SECRET_LINE = re.compile(
    r"""^(?P<indent>[ \t]*)(?P<name>secret|secret_enc)(?P<equals>[ \t]*=[ \t]*)
    (?P<value>\"{3}(?s:.*?)\"{3}|'{3}(?s:.*?)'{3}|"(?:[^"\\\r\n]|\\.)*"|'[^'\r\n]*')
    (?=[ \t]*(?:\#[^\r\n]*)?\r?$)""",
    re.MULTILINE | re.VERBOSE,
)


def keys(action: str, config: Path | None) -> int:
    """Do what `gateway keys ACTION` says and return the exit status. Raises SettingsError and StartError."""
    if action == "new-master-key":
        say(new_master_key().reveal())
        return 0
    settings = load(config, os.environ)
    if not settings.keys.file:
        raise StartError("keys.file: is needed, it names the key file.")
    path = Path(settings.keys.file).resolve()  # behind a link the file is replaced, not the link
    try:
        match action:
            case "list":
                return _list(path)
            case "encrypt":
                return _encrypt(path, _needed_master_keys(settings))
            case _:
                return _rotate(path, _needed_master_keys(settings))
    except OSError as error:
        raise StartError(f"{path}: {error.strerror}.") from None
    except ValueError as error:  # of the key file, of what is sealed in it, of its encoding
        raise StartError(f"{path}: {error}.") from None


def _needed_master_keys(settings: Settings) -> MasterKeys:
    try:
        found = master_keys(settings)
    except SealingError as error:
        raise StartError(f"keys.master_key: {error}.") from None
    if found is None:
        raise StartError(
            "keys.master_key: is needed, from GATEWAY_KEYS__MASTER_KEY or from the file that "
            "GATEWAY_KEYS__MASTER_KEY_FILE names (gateway keys new-master-key prints one)."
        )
    return found


def _encrypt(path: Path, master: MasterKeys) -> int:
    """Seal what is plain; what is sealed already stays as it is."""
    text = path.read_bytes().decode("utf-8")
    before = _parsed(text, master.open)
    edited = _resealed(text, "secret", Secret, master.seal)
    after = _parsed(edited, master.open)
    for key_id, credential in after.items():
        if credential.kept == "plain":
            raise StartError(f"{path}: the secret of key {key_id!r} must stand on a line of its own to be sealed.")
    _replace(path, edited, before, after)
    say(f"{sum(credential.kept == 'plain' for credential in before.values())} secrets sealed in {path}.")
    return 0


def _rotate(path: Path, master: MasterKeys) -> int:
    """Seal everything that is sealed anew, so that the older master keys are needed no more."""
    text = path.read_bytes().decode("utf-8")
    before = _parsed(text, master.open)
    edited = _resealed(text, "secret_enc", master.open, master.seal)
    # Only the newest key is asked: where the editing missed a secret, nothing is written.
    after = _parsed(edited, master.newest().open)
    _replace(path, edited, before, after)
    sealed = [credential.kept for credential in after.values()]
    say(f"{sealed.count('sealed')} secrets sealed anew in {path}; {sealed.count('plain')} are plain.")
    return 0


def _list(path: Path) -> int:
    """Print one line a key; needs no master key and opens no secret file."""
    now = datetime.now(UTC)
    keyring = _parsed(path.read_bytes().decode("utf-8"), Secret)
    rows = [("IDENTITY", "KEY ID", "SECRET", "EXPIRES")]
    rows += [(row.identity.name, row.access_key_id, row.kept, _expiry(row, now)) for row in keyring.values()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        say("  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]]).rstrip())
    return 0


def _expiry(credential: Credential, now: datetime) -> str:
    if credential.expires_at is None:
        return "never"
    return f"{credential.expires_at:%Y-%m-%dT%H:%M:%SZ}{' (expired)' if credential.expires_at < now else ''}"


def _parsed(text: str, open_sealed: Callable[[str], Secret]) -> Keyring:
    return parse_keys(text, lambda _path: "not read here", open_sealed=open_sealed)


def _resealed(text: str, name: str, opened: Callable[[str], Secret], seal: Callable[[Secret], str]) -> str:
    """Put a sealed secret in the place of each value of this name; every other byte stays."""

    def line(match: re.Match[str]) -> str:
        if match["name"] != name:
            return match[0]
        value = tomllib.loads(f"value = {match['value']}")["value"]
        return f'{match["indent"]}secret_enc{match["equals"]}"{seal(opened(value))}"'

    return _SECRET_LINE.sub(line, text)


def _replace(path: Path, text: str, before: Keyring, after: Keyring) -> None:
    """Put the edited file in the place of the old one at once, readable by its owner at most. Raises OSError.

    Raises StartError, and writes nothing, when it would not mean the same.
    """
    if _meaning(before) != _meaning(after):
        raise StartError(f"{path}: was not changed, since its meaning would have been.")
    status = path.stat()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, status.st_mode & 0o600)
            if status.st_uid != os.geteuid():
                os.fchown(descriptor, status.st_uid, status.st_gid)
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _meaning(keyring: Keyring) -> Keyring:
    return {key_id: replace(credential, kept="file") for key_id, credential in keyring.items()}
