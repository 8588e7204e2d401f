"""`gateway check-config` and `gateway show-config`, and how every command reads settings and keys."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from gateway.credentials import KeyFileError, Keyring, parse_keys
from gateway.settings import Settings, SettingsError, load, masked


def read(config: Path | None) -> tuple[Settings, Keyring]:
    """Load settings and client keys. Raises SettingsError with every mistake, in both files, at once."""
    mistakes: list[str] = []
    settings: Settings | None = None
    try:
        settings = load(config, os.environ)
    except SettingsError as error:
        mistakes.append(str(error))
    keyring = read_keys(settings, mistakes) if settings else {}
    if mistakes or settings is None:
        raise SettingsError("\n".join(mistakes))
    return settings, keyring


def read_keys(settings: Settings, mistakes: list[str]) -> Keyring:
    """Read the key file that the settings name; mistakes are appended."""
    if not settings.keys.file:
        mistakes.append("keys.file: is needed, or nobody could sign a request")
        return {}
    path = Path(settings.keys.file)
    try:
        return parse_keys(path.read_text(), lambda name: (path.parent / name).read_text())
    except OSError as error:
        mistakes.append(f"keys.file: cannot read {path}: {error.strerror}")
    except (KeyFileError, UnicodeDecodeError) as error:
        mistakes.append(f"keys.file: {path}: {error}")
    return {}


def check_config(config: Path | None) -> int:
    """Print every mistake and return 1, or say that there is none and return 0; nothing listens."""
    try:
        _, keyring = read(config)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"The settings are good; {len(keyring)} access keys.")
    return 0


def show_config(config: Path | None) -> int:
    """Print the settings in force as JSON, secrets hidden."""
    settings = load(config, os.environ)
    print(json.dumps(masked(settings), indent=2))
    return 0
