"""New keys without a restart: noticed or asked for, taken by every process, no request lost."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NoReturn

import pytest

from gateway.app import _follow
from gateway.credentials import Secret
from gateway.key_file import KeyFile, LiveKeys, opened
from gateway.supervisor import Child, KeyWatch, signals_as_bytes, supervise
from tests.journeys import test_memory
from tests.proc import eventually
from tests.served import KEYS, Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TWO = KEYS.replace("[[identity.statement]]", '[[identity.key]]\nid = "NEW"\nsecret = "new"\n[[identity.statement]]')
ONLY_NEW = KEYS.replace('"TESTS"', '"NEW"').replace('"tests-secret"', '"new"')
BROKEN = KEYS.replace("actions", "actoins")


def write(path: Path, text: str) -> None:
    """Replace a file at once, as careful editors do."""
    fresh = path.with_suffix(".fresh")
    fresh.write_text(text)
    fresh.chmod(0o600)
    fresh.replace(path)


@pytest.fixture
def keys(tmp_path: Path) -> LiveKeys:
    write(tmp_path / "keys.toml", KEYS)
    return opened(KeyFile(tmp_path / "keys.toml", None, frozenset()))


@dataclass(slots=True)
class Told(Child):
    """A child that is no process and notes what it is told."""

    signals: list[signal.Signals] = field(default_factory=list)

    def send(self, number: signal.Signals) -> None:
        self.signals.append(number)


def watch_over(keys: LiveKeys) -> tuple[KeyWatch, Told]:
    child = Told("gateway", lambda: 0)
    return KeyWatch(keys, [child]), child


def test_a_changed_file_is_read_when_it_has_been_left_alone_for_a_second(keys: LiveKeys, tmp_path: Path) -> None:
    watch, child = watch_over(keys)
    watch.look(0.0)
    watch.look(1.0)
    assert child.signals == []
    for moment, text in ((2.0, ""), (3.0, TWO[:40]), (4.0, TWO)):
        (tmp_path / "keys.toml").write_text(text)
        watch.look(moment)
        watch.look(moment + 0.5)
        assert set(keys.current) == {"TESTS"}, "still being written"
    watch.look(5.0)
    assert set(keys.current) == {"TESTS", "NEW"}
    watch.look(6.0)
    watch.look(7.0)
    assert child.signals == [signal.SIGHUP]


def test_a_broken_file_is_told_once_in_one_line_and_the_gateways_hear_nothing(
    keys: LiveKeys, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch, child = watch_over(keys)
    write(tmp_path / "keys.toml", BROKEN)
    for moment in range(6):
        watch.look(float(moment))
    (record,) = caplog.records
    assert record.getMessage() == (
        "the old keys stay in force, the key file is not usable: "
        "identity 1 (tests): unknown key 'actoins'; identity 1 (tests): 'actions' must be a non-empty list of texts"
    )
    assert (set(keys.current), child.signals) == ({"TESTS"}, [])


def test_a_hangup_reads_at_once(keys: LiveKeys, tmp_path: Path) -> None:
    watch, child = watch_over(keys)
    write(tmp_path / "keys.toml", TWO)

    def hang_up_then_end() -> str | None:
        os.kill(os.getpid(), signal.SIGHUP if not child.signals else signal.SIGTERM)
        return None

    with signals_as_bytes(signal.SIGHUP) as wake:
        assert supervise([], wake, hang_up_then_end, watch.reload) == 0
    assert (set(keys.current), child.signals) == ({"TESTS", "NEW"}, [signal.SIGHUP])


def test_an_error_that_nobody_foresaw_is_logged_with_its_trace_and_the_old_keys_stay(
    keys: LiveKeys, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch, child = watch_over(keys)
    with monkeypatch.context() as broken:
        broken.setattr(KeyFile, "read", unforeseen)
        watch.reload()
    (record,) = caplog.records
    assert record.getMessage().startswith("the old keys stay in force")
    assert record.exc_info is not None
    assert (set(keys.current), child.signals, watch.reloads) == ({"TESTS"}, [], {"failed": 1})
    watch.reload()
    assert watch.reloads == {"failed": 1, "ok": 1}


def unforeseen(*_: object) -> NoReturn:
    raise ZeroDivisionError


async def test_a_gateway_process_follows_each_hangup_and_survives_a_broken_file(
    keys: LiveKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def until_read() -> set[str]:
        async with asyncio.timeout(5):
            while keys.differs(keys.look()):  # noqa: ASYNC110 # a thread does the reading, and tells nobody
                await asyncio.sleep(0.01)
        return set(keys.current)

    write(tmp_path / "keys.toml", TWO)  # after the fork, before there is a signal handler
    following = asyncio.create_task(_follow(keys))
    try:
        assert await until_read() == {"TESTS", "NEW"}
        write(tmp_path / "keys.toml", BROKEN)
        os.kill(os.getpid(), signal.SIGHUP)
        assert await until_read() == {"TESTS", "NEW"}
        with monkeypatch.context() as broken:
            broken.setattr(LiveKeys, "reload", unforeseen)
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(5):
                while "ZeroDivisionError" not in caplog.text:  # noqa: ASYNC110 # a log tells nobody
                    await asyncio.sleep(0.01)
        write(tmp_path / "keys.toml", ONLY_NEW)
        os.kill(os.getpid(), signal.SIGHUP)
        assert await until_read() == {"NEW"}
    finally:
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)


# --- the whole thing --------------------------------------------------------------------------------------------


def status(gateway: Served, key_id: str = "TESTS", secret: str = "tests-secret") -> int:
    return replace(gateway.place, key_id=key_id, secret=Secret(secret)).request("GET", "/demo/0")[0]


def log_of(folder: Path) -> str:
    return (folder / "serve.log").read_text()


def all_answer(gateway: Served, key_id: str, secret: str, wanted: int) -> bool:
    """Ask over a dozen connections, which the kernel spreads over the processes."""
    return {status(gateway, key_id, secret) for _ in range(12)} == {wanted}


@contextmanager
def asking_all_the_time(gateway: Served) -> Iterator[set[int]]:
    """Ask with the key that stays, without a pause; yield the set of statuses, which is complete at the end."""
    found: set[int] = set()
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                found.add(status(gateway))
            except OSError:
                found.add(0)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for each in threads:
        each.start()
    try:
        yield found
    finally:
        over.set()
        for each in threads:
            each.join()


def test_keys_come_and_go_while_requests_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_WORKERS", "2")
    file = tmp_path / "keys.toml"
    with test_memory.endless_store() as endpoint, serving(tmp_path, endpoint) as gateway:
        pids = gateway.gateway_pids()
        assert len(pids) == 2
        with test_memory.opened(gateway, "/demo/1") as download:
            first = len(download.read(1024))
            with asking_all_the_time(gateway) as statuses:
                write(file, TWO)
                eventually(lambda: all_answer(gateway, "NEW", "new", 200))
                write(file, BROKEN)
                eventually(lambda: "the old keys stay in force" in log_of(tmp_path))
                assert all_answer(gateway, "NEW", "new", 200)
                write(file, KEYS)
                os.kill(gateway.pid, signal.SIGHUP)
                eventually(lambda: all_answer(gateway, "NEW", "new", 403))
            rest = 0
            while data := download.read(4 * 1024 * 1024):
                rest += len(data)
        assert statuses == {200}
        assert first + rest == test_memory.GIGABYTE, "a download that began before goes on"
        assert gateway.gateway_pids() == pids
    log = log_of(tmp_path)
    assert log.count("the old keys stay in force") == 1
    assert log.count("read the key file again") == 2
    assert "Traceback" not in log


def test_a_gateway_process_that_is_replaced_starts_with_the_new_keys(tmp_path: Path) -> None:
    with test_memory.endless_store() as endpoint, serving(tmp_path, endpoint) as gateway:
        write(tmp_path / "keys.toml", ONLY_NEW)
        eventually(lambda: status(gateway, "NEW", "new") == 200)
        write(tmp_path / "keys.toml", BROKEN)
        (victim,) = gateway.gateway_pids()
        os.kill(victim, signal.SIGKILL)

        def is_back() -> bool:
            try:
                return status(gateway, "NEW", "new") == 200
            except OSError:
                return False

        eventually(lambda: len(gateway.gateway_pids() - {victim}) == 1 and is_back())
        assert status(gateway) == 403


def test_a_changed_secret_file_counts_too(tmp_path: Path) -> None:
    with test_memory.endless_store() as endpoint, serving(tmp_path, endpoint) as gateway:
        write(tmp_path / "own.secret", "tests-secret")
        write(tmp_path / "keys.toml", KEYS.replace('secret = "tests-secret"', 'secret_file = "own.secret"'))
        os.kill(gateway.pid, signal.SIGHUP)
        eventually(lambda: "read the key file again" in log_of(tmp_path))
        write(tmp_path / "own.secret", "another")
        eventually(lambda: status(gateway, secret="another") == 200)
        assert status(gateway) == 403
