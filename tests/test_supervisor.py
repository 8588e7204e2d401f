from __future__ import annotations

import errno
import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from gateway.imaging.launch import worker_command
from gateway.processes import StartError, fork, listen
from gateway.settings import Server
from gateway.supervisor import Child, run_with_scorers, scorer_queue, signals_as_bytes, stop, supervise
from tests.fake_store import FakeStore
from tests.journeys.test_memory import endless_store, opened, read_whole
from tests.proc import eventually, is_alive, open_descriptors
from tests.served import Served, serving
from tests.threaded_store import threaded_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def asleep() -> int:
    time.sleep(60)
    return 0


def test_a_taken_port_is_one_clear_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for count in (1, 2):
            with pytest.raises(StartError, match=rf"^Cannot listen on 127\.0\.0\.1:{port}: Address already in use\.$"):
                listen("127.0.0.1", port, count)


@pytest.mark.parametrize("host", ["a" * 70, "a..b"])
def test_a_host_that_nobody_can_be_asked_for_is_one_clear_sentence(host: str) -> None:
    with pytest.raises(StartError, match=r"^Cannot listen on a.*:1: that is no name of a host\.$"):
        listen(host, 1)


def test_several_gateways_share_a_port() -> None:
    sockets = listen("127.0.0.1", 0, 3)
    assert len({each.getsockname() for each in sockets}) == 1
    for each in sockets:
        each.close()


def test_a_child_runs_in_a_process_group_of_its_own_but_in_our_session_and_returns_its_status() -> None:
    session = os.getsid(0)  # niceness counts among the processes of one session only, where the kernel groups by it
    pid = fork(lambda: 7 if (os.getpgid(0), os.getsid(0)) == (os.getpid(), session) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_a_child_that_raises_ends_with_status_1(capfd: pytest.CaptureFixture[str]) -> None:
    def broken() -> int:
        raise ValueError("out of order")

    assert os.waitstatus_to_exitcode(os.waitpid(fork(broken), 0)[1]) == 1
    assert "out of order" in capfd.readouterr().err


def test_children_that_end_are_replaced_until_a_signal_comes() -> None:
    starts: list[float] = []

    def failing() -> int:
        starts.append(time.monotonic())
        return fork(lambda: 3)

    def enough() -> str | None:
        if len(starts) >= 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return None

    child = Child("failing", failing)
    with signals_as_bytes() as wake:
        assert supervise([child], wake, enough) == 0
        stop([child], wake, 1)
    assert starts[2] - starts[1] > starts[1] - starts[0], "the pause grows with each failure"


def full(*_: object, **__: object) -> int:
    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


def test_a_child_that_the_system_has_no_room_for_is_tried_again_after_a_pause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    child = Child("gateway 1", lambda: fork(lambda: 0))
    with monkeypatch.context() as system:
        system.setattr(os, "fork", full)
        for moment in (10.0, 10.1, 10.25, 10.6):
            child.ensure(moment)
    assert [record.getMessage() for record in caplog.records] == [
        "cannot start gateway 1, trying again: Resource temporarily unavailable"
    ] * 2
    assert (child.pid, child.starts, child.failures) == (0, 0, 2)
    assert not {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD} & signal.pthread_sigmask(signal.SIG_BLOCK, ())
    child.ensure(11.0)
    assert (child.pid > 0, child.starts) == (True, 1)
    os.waitpid(child.pid, 0)


def test_scorers_that_the_system_has_no_room_for_are_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with scorer_queue(Server(scorers=1)) as (_, (scorer,)):
        monkeypatch.setattr(os, "posix_spawn", full)
        scorer.ensure(0)
        monkeypatch.setattr(os, "posix_spawn", lambda *_, **__: 7)
        scorer.ensure(1)
    assert scorer.pid == 7


def test_a_child_that_fails_for_hours_is_tried_every_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "waitpid", lambda pid, _: (pid, 1 << 8))
    child, now = Child("failing", lambda: 7), 0.0
    for _ in range(2000):
        child.ensure(now)
        assert child.ended(now) == 1
        now = child.not_before
    assert 2000 * 4.9 < now < 2000 * 5


def test_a_sentence_from_the_watch_ends_everything() -> None:
    child = Child("steady", lambda: fork(asleep))
    with signals_as_bytes() as wake:
        assert supervise([child], wake, lambda: "The store has died." if child.pid else None) == 1
        pid = child.pid
        stop([child], wake, 2)
    assert not is_alive(pid)


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace() -> None:
    def deaf() -> int:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
        return 0

    child = Child("deaf", lambda: fork(deaf))
    with signals_as_bytes() as wake:
        child.ensure(time.monotonic())
        time.sleep(0.2)
        stop([child], wake, 0.3)
    assert child.pid == 0


def test_a_job_beside_the_scorers_gives_its_status() -> None:
    assert run_with_scorers(Server(scorers=1), lambda address: 5 if os.path.exists(address) else 6) == 5  # noqa: PTH110 # a socket


@pytest.mark.parametrize(("count", "wish", "heavy"), [(1, 0, 1), (2, 0, 1), (8, 0, 2), (8, 5, 5), (8, 9, 7), (1, 3, 1)])
def test_some_scorers_take_heavy_pictures_and_where_there_are_two_one_never_does(
    monkeypatch: pytest.MonkeyPatch, count: int, wish: int, heavy: int
) -> None:
    commands: list[list[str]] = []

    def note(_path: str, command: list[str], _environment: dict[str, str], **_: object) -> int:
        commands.append(command)
        return 1

    monkeypatch.setattr(os, "posix_spawn", note)
    with scorer_queue(Server(scorers=count, heavy_scorers=wish)) as (_, scorers):
        for scorer in scorers:
            scorer.ensure(0)
    longer = len(worker_command(0, 0, heavy_fd=0))
    assert [len(command) == longer for command in commands] == [True] * heavy + [False] * (count - heavy)


def test_where_no_temporary_folder_can_be_written_there_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: ["/proc"])
    words = r"^The scorers need .* \(TMPDIR\): No usable temporary directory found in \['/proc'\]\.$"
    with pytest.raises(StartError, match=words), scorer_queue(Server(scorers=1)):
        pass


def test_a_scorer_that_was_overrun_is_replaced_at_once() -> None:
    def overrun() -> int:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGALRM)
        return 0

    child = Child("scorer", lambda: fork(overrun))
    for _ in range(3):
        child.ensure(time.monotonic())
        assert child.pid, "it backs off"
        eventually(lambda: child.ended(time.monotonic()) == -signal.SIGALRM)


def test_a_killed_scorer_and_a_killed_gateway_are_replaced(tmp_path: Path) -> None:
    with endless_store() as endpoint, serving(tmp_path, endpoint) as gateway:
        for pids in (gateway.scorer_pids, gateway.gateway_pids):
            (victim,) = pids()
            os.kill(victim, signal.SIGKILL)
            eventually(partial(replaced, pids, victim))
        eventually(lambda: answers(gateway))


def test_out_of_descriptors_the_log_stays_short_and_who_waits_is_served_later(tmp_path: Path) -> None:
    with threaded_store(FakeStore()) as endpoint, serving(tmp_path, endpoint) as gateway, ExitStack() as stack:
        (pid,) = gateway.gateway_pids()
        host, port = gateway.place.authority.split(":")
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_descriptors(pid), before[1]))
        waiting = [stack.enter_context(socket.create_connection((host, int(port)), 30)) for _ in range(50)]
        time.sleep(3)
        refusals = (tmp_path / "serve.log").read_text().count("socket.accept() out of system resource")
        assert 1 <= refusals <= 5, "one a second"
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        for each in waiting:
            each.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert each.recv(9) == b"HTTP/1.1 "


def replaced(pids: Callable[[], set[int]], victim: int) -> bool:
    return len(pids() - {victim}) == 1


def answers(gateway: Served) -> bool:
    try:
        return read_whole(gateway, "/demo/0") == 0
    except OSError:
        return False


def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, time\nfrom gateway.processes import fork\n"
        "print(fork(lambda: time.sleep(60) or 0), flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=tmp_path)
    assert parent.stdout is not None
    with parent.stdout as output:
        child = int(output.readline())
        parent.kill()
        parent.wait()
        eventually(lambda: not is_alive(child))


def refuses(gateway: Served) -> bool:
    """Tell whether nobody listens; the processes of a gateway stop one after the other."""
    host, _, port = gateway.place.authority.partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_draining_gateway_refuses_new_connections_and_finishes_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv("GATEWAY_WORKERS", workers)
    monkeypatch.setenv("GATEWAY_SERVER__DRAIN_S", "25")  # a gigabyte may take a busy machine a while
    with endless_store() as endpoint, serving(tmp_path, endpoint) as gateway, opened(gateway, "/demo/1") as answer:
        os.kill(gateway.pid, signal.SIGTERM)
        eventually(lambda: refuses(gateway))
        total = 0
        while data := answer.read(4 * 1024 * 1024):
            total += len(data)
        assert total == 1024**3


def test_metrics_are_those_of_all_gateways_and_survive_one_that_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_WORKERS", "2")
    with endless_store() as endpoint, serving(tmp_path, endpoint) as gateway:
        for _ in range(20):  # each on a connection of its own, so that both processes get some
            assert gateway.place.request("GET", "/demo/0")[0] == 200
        eventually(lambda: [requests_told(gateway) for _ in range(10)] == [20] * 10)
        victims = gateway.gateway_pids()
        os.kill(min(victims), signal.SIGKILL)
        eventually(lambda: len(gateway.gateway_pids() - {min(victims)}) == 2)
        eventually(lambda: told(gateway, 'gateway_process_starts_total{process="gateway"}') == 3)
        assert gateway.place.request("GET", "/demo/0")[0] == 200
        eventually(lambda: [requests_told(gateway) for _ in range(10)] == [21] * 10)


def requests_told(gateway: Served) -> int:
    return told(gateway, 'gateway_requests_total{dialect="s3",action="s3:GetObject",status="200"}')


def told(gateway: Served, name: str) -> int:
    """A figure of the metrics, from whichever process answers; -1 when it is not there."""
    with closing(http.client.HTTPConnection(gateway.admin, timeout=10)) as connection:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
    return next((int(line.removeprefix(name)) for line in lines if line.startswith(f"{name} ")), -1)
