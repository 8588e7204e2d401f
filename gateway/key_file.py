"""The key file on disk: safe modes, secrets in files of their own, noticing changes, the keys now in force.

Must not know requests, signatures or processes.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from gateway.credentials import KeyFileError, Keyring, parse_keys

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.sealing import MasterKeys

# For each file that was read: what differs when its content or its mode does; None when there is no such file.
Stamps = dict["Path", tuple[int, ...] | None]

_GROUP, _OTHERS = 0o040, 0o004


@dataclass(frozen=True, slots=True)
class KeyFile:
    """Where the clients' keys are, what opens the sealed ones, and the stores that identities may name."""

    path: Path
    master_keys: MasterKeys | None
    upstreams: frozenset[str]

    def read(self, stamps: Stamps) -> Keyring:
        """Read the key file and the secret files that it names, and note them in `stamps`, even those that fail.

        Raises KeyFileError with all mistakes. A plain secret in a file that group or others may read is one.
        """
        try:
            text, exposed = _read(self.path, stamps)
        except OSError as error:
            raise KeyFileError(f"cannot read it: {error.strerror}") from None
        return parse_keys(
            text,
            partial(self._secret, stamps),
            open_sealed=self.master_keys.open if self.master_keys else None,
            upstreams=self.upstreams,
            plain_refused=f"it holds plain secrets that other users may read: {_mend(self.path)}" if exposed else "",
        )

    def _secret(self, stamps: Stamps, name: str) -> str:
        path = self.path.parent / name
        text, exposed = _read(path, stamps)
        if exposed:
            raise KeyFileError(f"secret_file {name} may be read by other users: {_mend(path)}")
        return text


def _mend(path: Path) -> str:
    return f"run chmod 600 {shlex.quote(str(path))}"


def _read(path: Path, stamps: Stamps) -> tuple[str, bool]:
    """Return a file's text, and whether too many may read it: others, or our group. Raises OSError and KeyFileError.

    A file of another owner that we read as its group is as narrow as that owner could make it for us: so a Secret
    reaches a container that does not run as root.
    """
    stamps[path] = None
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        stamps[path] = _stamp(status)
        data = file.read()
    ours = os.geteuid() in (0, status.st_uid)
    try:
        return data.decode("utf-8"), bool(status.st_mode & (_OTHERS | (_GROUP if ours else 0)))
    except UnicodeDecodeError:
        raise KeyFileError(f"{path} is not UTF-8 text") from None


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _stamp_of(path: Path) -> tuple[int, ...] | None:
    try:
        return _stamp(path.stat())
    except (OSError, ValueError):  # ValueError: a name with a NUL in it is nobody's
        return None


class LiveKeys:
    """The keys in force. `current` is replaced as a whole, so that a request sees the old keyring or the new one."""

    __slots__ = ("_file", "_stamps", "current")

    def __init__(self, keyring: Keyring, file: KeyFile | None = None) -> None:
        """Hold a keyring; without a file it stays as it is for ever."""
        self.current = keyring
        self._file = file
        self._stamps: Stamps = {}

    @property
    def reloadable(self) -> bool:
        """Tell whether there is a file to read again."""
        return self._file is not None

    def reload(self) -> None:
        """Read the file again. Raises KeyFileError and keeps the keys when it is not usable."""
        if self._file is None:
            return
        stamps: Stamps = {}
        try:
            self.current = self._file.read(stamps)
        finally:
            self._stamps = stamps

    def look(self) -> Stamps:
        """Return the stamps of the files as they are now."""
        return {path: _stamp_of(path) for path in self._stamps}

    def differs(self, stamps: Stamps) -> bool:
        """Tell whether the files differed from these stamps when they were last read."""
        return stamps != self._stamps


def opened(file: KeyFile) -> LiveKeys:
    """Read a key file for the first time. Raises KeyFileError."""
    keys = LiveKeys({}, file)
    keys.reload()
    return keys
