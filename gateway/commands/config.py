"""`gateway check-config` and `gateway show-config`, and how every command reads settings and keys."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from gateway.commands.console import say
from gateway.credentials import KeyFileError
from gateway.key_file import KeyFile, LiveKeys, opened
from gateway.sealing import MasterKeys, SealingError
from gateway.settings import Server, Settings, SettingsError, load, masked, split_listen
from gateway.tls import TlsError
from gateway.tls import opened as opened_certificate


def read(config: Path | None) -> tuple[Settings, LiveKeys]:
    """Load settings and client keys. Raises SettingsError with every mistake, in both files, at once."""
    mistakes: list[str] = []
    settings: Settings | None = None
    try:
        settings = load(config, os.environ)
    except SettingsError as error:
        mistakes.append(str(error))
    keys = read_keys(settings, mistakes) if settings else None
    if settings:
        mistakes.extend(unknowable_port(settings.server))
        _check_certificate(settings, mistakes)
    if settings is None or keys is None or mistakes:
        raise SettingsError("\n".join(mistakes))
    return settings, keys


def read_keys(settings: Settings, mistakes: list[str]) -> LiveKeys | None:
    """Read the key file that the settings name; None after a mistake, which is appended."""
    if not settings.keys.file:
        mistakes.append("keys.file: is needed, or nobody could sign a request")
        return None
    try:
        return opened(KeyFile(Path(settings.keys.file), master_keys(settings), frozenset(settings.upstream)))
    except KeyFileError as error:
        mistakes.append(f"keys.file: {settings.keys.file}: {error}")
    except SealingError as error:
        mistakes.append(f"keys.master_key: {error} (gateway keys new-master-key prints a good one)")
    return None


def unknowable_port(server: Server) -> list[str]:
    """Return the mistake of listening on port 0: it would be any port, and nothing would tell clients which."""
    return [] if (split_listen(server.listen) or ("", 0))[1] else ["server.listen: must name a port, not 0"]


def _check_certificate(settings: Settings, mistakes: list[str]) -> None:
    try:
        opened_certificate(settings.tls)
    except TlsError as error:
        mistakes.append(str(error))


def master_keys(settings: Settings) -> MasterKeys | None:
    """Return the master keys of the settings, None when there are none. Raises SealingError."""
    return MasterKeys(settings.keys.master_key) if settings.keys.master_key.reveal() else None


def check_config(config: Path | None) -> int:
    """Print every mistake and return 1, or say that there is none and return 0; nothing listens."""
    try:
        _, keys = read(config)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    say(f"The settings are good; {len(keys.current)} access keys.")
    return 0


def show_config(config: Path | None) -> int:
    """Print the settings in force as JSON, secrets hidden."""
    settings = load(config, os.environ)
    say(json.dumps(masked(settings), indent=2))
    return 0
