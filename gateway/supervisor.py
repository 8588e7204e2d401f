"""The parent of all processes: starts gateway and scorer processes, replaces what dies, drains, stops.

Plain blocking code in one thread, because it forks. Must not know requests, stores or pictures.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import socket
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.credentials import KeyFileError
from gateway.imaging.launch import heavy_address, worker_command, worker_environment
from gateway.log_lines import write_as
from gateway.processes import StartError, fork, keep_freed_memory, listen, raise_open_files
from gateway.scoreboard import KEY_RELOADS, PROCESS_STARTS, SCORERS_RUNNING, SETTINGS_RELOADS, admin_ports
from gateway.settings import SettingsError, split_listen
from gateway.tls import TlsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gateway.key_file import LiveKeys, Stamps
    from gateway.live_settings import LiveSettings
    from gateway.scoreboard import AdminPort, Counts
    from gateway.settings import Server
    from gateway.tls import LiveCertificate

_log = logging.getLogger("gateway")
_HEALTHY_S = 2.0  # a child that lived so long is replaced at once
_MAX_BACKOFF_S = 5.0
_MAX_FAILURES = 10  # more are not counted: the pause is at its longest, and a thousandth power of 2 is no float
_SCORER_GRACE_S = 3.0
_BY_DESIGN = (0, -signal.SIGALRM)  # a scorer that has done its number of jobs, or been overrun by one (ADR 2)
_LOOK_S = 0.9  # between two looks at the key file; `supervise` asks at least every second


@dataclass(slots=True)
class Child:
    """A process that must always be there. When a `final` one ends by itself, everything ends with its status."""

    name: str
    start: Callable[[], int]
    final: bool = False
    pid: int = 0
    started: float = 0.0
    failures: int = 0
    not_before: float = 0.0
    starts: int = 0

    def ensure(self, now: float) -> None:
        """Start the process unless it runs or is still backing off; when the system has no room for it, back off."""
        if self.pid or now < self.not_before:
            return
        try:
            self.pid, self.started = self.start(), now
        except OSError as error:
            self._back_off(now)
            _log.error("cannot start %s, trying again: %s", self.name, error.strerror or error)
        else:
            self.starts += 1

    def ended(self, now: float) -> int | None:
        """Return the exit status if the process has ended since the last look; None when it runs or never ran."""
        if not self.pid:
            return None
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return None
        self.pid = 0
        code = os.waitstatus_to_exitcode(status)
        if code in _BY_DESIGN or now - self.started > _HEALTHY_S:
            self.failures, self.not_before = 0, now
        else:
            self._back_off(now)
        return code

    def _back_off(self, now: float) -> None:
        self.failures = min(self.failures + 1, _MAX_FAILURES)
        self.not_before = now + min(_MAX_BACKOFF_S, 0.1 * 2**self.failures)

    def send(self, number: signal.Signals) -> None:
        """Signal the process if it runs."""
        if self.pid:
            os.kill(self.pid, number)


@dataclass(slots=True)
class KeyWatch:
    """Reads the keys again when their file has changed or when told to, and tells the gateway processes."""

    keys: LiveKeys
    gateways: Sequence[Child]
    seen: Stamps | None = None
    not_before: float = 0.0
    reloads: Counter[str] = field(default_factory=Counter)  # by "ok" and "failed"

    def look(self, now: float) -> None:
        """Reload when the file has changed and has then been left alone between two looks: half a file is no file."""
        if now < self.not_before:
            return
        self.not_before = now + _LOOK_S
        before, self.seen = self.seen, self.keys.look()
        if self.seen == before and self.keys.differs(self.seen):
            self.reload()

    def reload(self) -> None:
        """Read the keys again; a broken file leaves the old ones in force."""
        try:
            self.keys.reload()
        except KeyFileError as error:
            self.reloads["failed"] += 1
            _log.error("the old keys stay in force, the key file is not usable: %s", error)
            return
        except Exception:  # noqa: BLE001 # what serves goes on, whatever it is
            self.reloads["failed"] += 1
            _log.exception("the old keys stay in force, the key file could not be read")
            return
        self.reloads["ok"] += 1
        _log.info("read the key file again: %d access keys", len(self.keys.current))
        for child in self.gateways:
            child.send(signal.SIGHUP)


@dataclass(slots=True)
class SettingsWatch:
    """Reads the settings again when told to; the gateway processes look for themselves what was announced."""

    settings: LiveSettings
    reloads: Counter[str] = field(default_factory=Counter)  # by "ok" and "failed"

    def reload(self) -> None:
        """Take what can change; broken settings leave the old ones in force."""
        try:
            change = self.settings.reload()
        except SettingsError as error:
            self.reloads["failed"] += 1
            mistakes = "; ".join(str(error).splitlines())
            _log.error("the old settings stay in force, the new ones are not usable: %s", mistakes)
            return
        except Exception:  # noqa: BLE001 # the same
            self.reloads["failed"] += 1
            _log.exception("the old settings stay in force, the new ones could not be read")
            return
        self.reloads["ok"] += 1
        write_as(self.settings.current.telemetry.log_format)
        _log.info("read the settings again, changed: %s", ", ".join(change.taken) or "nothing")
        if change.left:
            _log.warning("not changed, only a restart can: %s", ", ".join(change.left))
        self.settings.announce()


def supervise(
    children: Sequence[Child], wake: int, watch: Callable[[], str | None], hung_up: Callable[[], None] = lambda: None
) -> int:
    """Keep the children alive until SIGTERM or SIGINT (status 0), or until a final one ends (its status).

    `wake` is a descriptor that yields the numbers of arriving signals (`signals_as_bytes`). `watch` is asked at
    least every second; a sentence from it ends everything with status 1. `hung_up` is called at SIGHUP.
    """
    while True:
        now = time.monotonic()
        for child in children:
            status = child.ended(now)
            if status is not None and child.final:
                return status
            if status:
                _log.warning("%s ended with status %d, starting another", child.name, status)
            child.ensure(now)
        if sentence := watch():
            _log.error("%s", sentence)
            return 1
        arrived = _signals(wake, 1.0 if all(child.pid for child in children) else 0.1)
        if arrived & {signal.SIGTERM, signal.SIGINT}:
            return 0
        if signal.SIGHUP in arrived:
            hung_up()


def stop(children: Sequence[Child], wake: int, grace_s: float) -> None:
    """Ask the children to end, and kill what still runs after `grace_s` seconds or at a second Ctrl-C."""
    for child in children:
        child.send(signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while any(child.pid for child in children):
        now = time.monotonic()
        for child in children:
            child.ended(now)
        if now > deadline or _signals(wake, 0.05) & {signal.SIGTERM, signal.SIGINT}:
            for child in children:
                child.send(signal.SIGKILL)


@contextmanager
def signals_as_bytes(*others: signal.Signals) -> Iterator[int]:
    """Turn SIGTERM, SIGINT, SIGCHLD and others into bytes on a descriptor, so that one select() waits for all."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, *others)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _signals(wake: int, timeout_s: float) -> set[int]:
    readable, _, _ = select.select([wake], [], [], timeout_s)
    return set(os.read(wake, 4096)) if readable else set()


@contextmanager
def scorer_queue(server: Server) -> Iterator[tuple[str, list[Child]]]:
    """Make the sockets that scorers accept jobs from; yield their path and the scorers, not yet started.

    A socket's backlog is a queue: it outlives every scorer, so that a job waits while one is replaced. The path is
    that of the queue for most pictures; the one for heavy pictures stands beside it, and only some scorers serve it.
    Raises StartError where no socket can be.
    """
    count = server.scorers or len(os.sched_getaffinity(0))
    heavy = min(server.heavy_scorers or count // 4 or 1, count - 1 or 1)  # one, if there are two, is never heavy
    with ExitStack() as stack:
        try:
            address = str(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-"))) / "scorers")
            light_fd = stack.enter_context(_queue(address, server.scorer_queue)).fileno()
            heavy_queue = _queue(heavy_address(address), server.scorer_queue * heavy // count or 1)
            heavy_fd = stack.enter_context(heavy_queue).fileno()
        except OSError as error:
            needed = "The scorers need a temporary folder that can be written, of a short path (TMPDIR)"
            raise StartError(f"{needed}: {error.strerror or error}.") from None

        def start(second_fd: int | None) -> int:
            command = worker_command(light_fd, server.scorer_max_jobs, second_fd)
            no_input = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
            return os.posix_spawn(command[0], command, worker_environment(), file_actions=[no_input], setpgroup=0)

        second = [heavy_fd if number < heavy else None for number in range(count)]
        yield address, [Child(f"scorer {number}", partial(start, fd)) for number, fd in enumerate(second, start=1)]


def _queue(address: str, places: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    listener.listen(places)
    listener.set_inheritable(True)
    return listener


def run_gateways(
    live: LiveSettings,
    keys: LiveKeys,
    on_ready: Callable[[], None] = lambda: None,
    watch: Callable[[], str | None] = lambda: None,
    certificate: LiveCertificate | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT and return the exit status. Raises StartError.

    `on_ready` is called once, when the first gateway process serves; for `watch` see `supervise`.
    """
    raise_open_files()
    server = live.current.server
    with ExitStack() as stack:
        public = [stack.enter_context(each) for each in listen(*_address(server.listen), server.workers)]
        page, ports = admin_ports(stack.enter_context(listen(*_address(server.admin_listen))[0]), server.workers)
        address, scorers = stack.enter_context(scorer_queue(server))
        ready, announce = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        gateways = [
            Child(
                f"gateway {number}",
                _gateway_start(live, keys, _first(each, public), admin, address, announce, certificate),
            )
            for number, (each, admin) in enumerate(zip(public, ports, strict=True), start=1)
        ]
        # Without a key file SIGHUP keeps its meaning: the terminal is gone, and so is a demo that ran in it.
        wake = stack.enter_context(signals_as_bytes(*((signal.SIGHUP,) if keys.reloadable else ())))
        stack.callback(stop, scorers, wake, _SCORER_GRACE_S)
        stack.callback(stop, gateways, wake, server.drain_pause_s + 2 * server.drain_s + 1)
        for each in public:
            stack.callback(each.close)  # before anything stops: the port closes when the gateways close it
        keys_watch, settings_watch = KeyWatch(keys, gateways), SettingsWatch(live)

        def look() -> str | None:
            keys_watch.look(time.monotonic())
            if certificate and certificate.has_changed():
                renew(certificate, datetime.now(UTC))
            page.write(_counts(gateways, scorers, keys_watch, settings_watch))
            return watch()

        def hung_up() -> None:
            if live.reloadable:
                settings_watch.reload()
            keys_watch.reload()

        return supervise([*scorers, *gateways], wake, _and_once(look, ready, on_ready), hung_up)


def renew(certificate: LiveCertificate, now: datetime) -> None:
    """Read the certificate again, for gateway processes to come: those that run look for themselves."""
    try:
        certificate.reload(now)
    except TlsError as error:
        _log.error("the old certificate stays in force: %s", error)
        return
    _log.info("read the certificate again, it expires at %s", certificate.expires_at.isoformat())


def run_with_scorers(server: Server, job: Callable[[str], int]) -> int:
    """Run `job(address of the scorers)` in a child process beside the scorers; return what it returns."""
    with ExitStack() as stack:
        address, scorers = stack.enter_context(scorer_queue(server))
        client = Child("job", lambda: fork(lambda: job(address)), final=True)
        wake = stack.enter_context(signals_as_bytes())
        stack.callback(stop, [client, *scorers], wake, _SCORER_GRACE_S)
        return supervise([*scorers, client], wake, lambda: None)


def _gateway_start(
    live: LiveSettings,
    keys: LiveKeys,
    public: Sequence[socket.socket],
    admin: AdminPort,
    address: str,
    announce: int,
    certificate: LiveCertificate | None,
) -> Callable[[], int]:
    """Return what starts a gateway process on the first of the public sockets, which all processes inherit."""

    def run() -> int:
        from gateway.app import serve  # noqa: PLC0415 # the supervisor itself needs no HTTP server

        keep_freed_memory()
        own, *others = public
        for each in others:  # else it would listen on, with nobody to accept, when the process it is for closes it
            each.close()
        asyncio.run(serve(live, keys, own, admin, address, lambda: _announce(announce), certificate))
        return 0

    return lambda: fork(run)


def _first(one: socket.socket, of: Sequence[socket.socket]) -> list[socket.socket]:
    return [one, *(each for each in of if each is not one)]


def _counts(gateways: Sequence[Child], scorers: Sequence[Child], keys: KeyWatch, settings: SettingsWatch) -> Counts:
    counts: Counts = Counter()
    for name, reloads in ((KEY_RELOADS, keys.reloads), (SETTINGS_RELOADS, settings.reloads)):
        counts.update({(name, result): reloads[result] for result in ("failed", "ok")})
    for kind, each in (("gateway", gateways), ("scorer", scorers)):
        counts[PROCESS_STARTS, kind] = sum(child.starts for child in each)
    counts[SCORERS_RUNNING,] = sum(child.pid > 0 for child in scorers)
    return counts


def _announce(descriptor: int) -> None:
    os.write(descriptor, b"r")


def _and_once(watch: Callable[[], str | None], ready: int, on_ready: Callable[[], None]) -> Callable[[], str | None]:
    """Extend `watch` so that it also calls `on_ready` when the first byte arrives on `ready`."""
    pending = [on_ready]

    def extended() -> str | None:
        if pending and select.select([ready], [], [], 0)[0]:
            pending.pop()()
        return watch()

    return extended


def _address(text: str) -> tuple[str, int]:
    address = split_listen(text)
    if address is None:
        raise StartError(f"{text} is not HOST:PORT.")
    return address
