"""Starts and stops the embedded store. Knows processes, locks and sockets; must not know Swift's insides or load it."""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

from gateway.auth.aws_v4 import sign
from gateway.credentials import Secret
from gateway.stores.embedded_files import ACCESS_KEY_ID, REGION, prepare, read_secret

if TYPE_CHECKING:
    from pathlib import Path

_EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_LOCK_PATIENCE_S = 1.0  # after a SIGKILL of its parent, the old store needs a moment to follow
_STOP_GRACE_S = 5.0
_KEPT_VARIABLES = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR")  # no secret of ours reaches the store


class EmbeddedStoreError(Exception):
    """The embedded store cannot run; the text is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """How to reach the running store."""

    endpoint: str
    region: str
    access_key_id: str
    secret: Secret


class EmbeddedStore:
    """OpenStack Swift with its S3 interface as one child process, its data in one folder that survives restarts.

    The child dies with this process, however that ends: it watches a pipe that only this process holds open. The
    child inherits the lock on the folder and its listening sockets, so nobody else can take the folder while it
    lives, and whatever answers on its ports is this child.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._log = data_dir / "log" / "store.log"
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout_s: float = 60) -> StoreAccess:
        """Start the store and return when it has answered a signed request. Blocks. Raises EmbeddedStoreError."""
        _check_platform()
        try:
            return self._start(timeout_s)
        except EmbeddedStoreError:
            self.stop()
            raise
        except OSError as error:
            self.stop()
            raise EmbeddedStoreError(f"The folder {self._data_dir} cannot hold the store: {error}.") from None

    def failed(self, *, wait_s: float = 0) -> str | None:
        """Return a sentence for the user when the store has died by itself; None while it runs or was stopped.

        `wait_s`: how long a process that may be dying is given to finish.
        """
        if self._process is None:
            return None
        try:
            self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return None
        last = (self._log.read_text(errors="replace").strip().splitlines() or ["nothing"])[-1]
        return (
            f"The embedded store ended by itself (status {self._process.returncode}); "
            f"its log {self._log} ends with: {last}"
        )

    def stop(self) -> None:
        """Stop the store and give the folder free. May be called at any time, and again."""
        if self._process is not None:
            _end(self._process)
            self._process = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _start(self, timeout_s: float) -> StoreAccess:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self._data_dir)
        _check_attributes(self._data_dir)
        prepare(self._data_dir)
        port = self._spawn()
        access = StoreAccess(f"http://127.0.0.1:{port}", REGION, ACCESS_KEY_ID, Secret(read_secret(self._data_dir)))
        trouble = _ask(port, access, timeout_s)
        if trouble is not None:
            raise EmbeddedStoreError(
                self.failed(wait_s=1) or f"The embedded store is not ready: {trouble} (its log is {self._log})."
            )
        return access

    def _spawn(self) -> int:
        """Start the child with its listening sockets; return the port of the S3 interface."""
        listeners = [_listen() for _ in range(4)]
        numbers = [listener.fileno() for listener in listeners]
        command = [sys.executable, "-m", "gateway.stores.embedded_server", str(self._data_dir.absolute())]
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [*command, *map(str, numbers)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**environment, "TZ": "UTC", "EVENTLET_NO_GREENDNS": "yes"},
                pass_fds=[*numbers, *([self._lock] if self._lock is not None else [])],
                start_new_session=True,
            )
        port: int = listeners[-1].getsockname()[1]
        for listener in listeners:
            listener.close()  # only the child may hold them: a request to a dead child must fail, not wait
        return port


def _check_platform() -> None:
    if sys.platform != "linux":
        raise EmbeddedStoreError("The embedded store runs on Linux only; use `gateway serve` with a store of your own.")
    if importlib.util.find_spec("swift") is None:
        raise EmbeddedStoreError(
            "The embedded store needs the package swift: install it with `pip install 's3-score-gateway[demo]'`."
        )


def _lock(data_dir: Path) -> int:
    """Take the folder for this process. Raises EmbeddedStoreError when another one has it."""
    number = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(number)
                raise EmbeddedStoreError(f"Another gateway is using the folder {data_dir}; stop it first.") from None
            time.sleep(0.05)
        else:
            return number


def _check_attributes(data_dir: Path) -> None:
    """Find out whether the folder's file system keeps user attributes, where the store keeps metadata."""
    probe = data_dir / "lock"
    try:
        os.setxattr(probe, "user.gateway", b"1")
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        raise EmbeddedStoreError(
            f"The file system of {data_dir} has no user attributes, which the store needs: "
            "choose a folder on a local disk with GATEWAY_DATA_DIR."
        ) from None


def _listen() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the connections inherit it
    return listener


def _ask(port: int, access: StoreAccess, timeout_s: float) -> str | None:
    """List the buckets with a signed request; None when that works, else what went wrong.

    One request is enough, for the child's socket listens already: the answer comes when the child is ready, and the
    connection breaks when it dies.
    """
    host = f"127.0.0.1:{port}"
    added = sign(
        "GET",
        "/",
        "",
        (("host", host),),
        access_key_id=access.access_key_id,
        secret=access.secret,
        region=access.region,
        payload=_EMPTY_SHA256,
        now=datetime.now(UTC),
    )
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", "/", headers=dict(added))
        answer = connection.getresponse()
        answer.read()
    except TimeoutError:
        return f"no answer in {timeout_s:g} seconds"
    except (OSError, HTTPException) as error:
        return f"{type(error).__name__}"
    finally:
        connection.close()
    return None if answer.status == 200 else f"it answered {answer.status} to its own key"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the pipe and send SIGTERM, then SIGKILL after a grace."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    process.terminate()
    try:
        process.wait(_STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
