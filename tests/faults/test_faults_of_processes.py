"""Faults of a whole gateway: files that are changed, children that are killed, SIGTERM, no store at start."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from gateway.credentials import Secret
from tests.certificates import Authority
from tests.deploy.pod import signed
from tests.fake_store import FakeStore
from tests.faults.table import CUT, Fault, figure, happens
from tests.imaging.pictures import encode, photo_like
from tests.ports import free_port
from tests.proc import eventually, family, is_alive
from tests.served import KEYS, SETTINGS, Place, Served, serving, wait_ready
from tests.threaded_store import threaded_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PICTURE = encode(photo_like(320, 240), "JPEG", quality=90)
SCORE = "x-oss-process=image%2Fscore"
LONG = os.urandom(32 * 2**20)
PIECE = 256 * 1024


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    objects = {"/demo/a.jpg": PICTURE, "/demo/slow.jpg": PICTURE, "/demo/long": LONG, "/demo/some": LONG[: 2**20]}
    with threaded_store(FakeStore(objects=objects, faults={"/demo/slow.jpg": "stall"})) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="module")
def gateway(endpoint: str, folder: Path) -> Iterator[Served]:
    with serving(folder, endpoint, server="drain_pause_s = 0.5") as running:
        yield running


def admin(authority: str, path: str) -> tuple[int, str]:
    with closing(http.client.HTTPConnection(authority, timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def rises(gateway: Served, metric: str, before: str) -> str:
    """Wait for a metric to rise; return the page on which it has."""
    page = [before]

    def has_risen() -> bool:
        try:
            page[0] = admin(gateway.admin, "/metrics")[1]
        except OSError:  # the process that answers is the one that was killed
            return False
        return figure(page[0], metric) > figure(before, metric)

    eventually(has_risen)
    return page[0]


def ask(gateway: Served, path: str = "/demo/a.jpg", query: str = "") -> tuple[int, bytes]:
    try:
        status, _, body = gateway.place.request("GET", path, query=query)
    except (http.client.HTTPException, ConnectionError):
        return CUT
    return status, body


@happens("key file broken")
def test_a_key_file_with_a_mistake(fault: Fault, gateway: Served, folder: Path) -> None:
    before = admin(gateway.admin, "/metrics")[1]
    (folder / "keys.toml").write_text(f"{KEYS}\nnonsense")
    after = rises(gateway, fault.metric, before)
    fault.check([ask(gateway)], before, after, (folder / "serve.log").read_text())
    (folder / "keys.toml").write_text(KEYS)


@happens("settings broken at SIGHUP")
def test_settings_with_a_mistake(fault: Fault, gateway: Served, folder: Path) -> None:
    before, good = admin(gateway.admin, "/metrics")[1], (folder / "gateway.toml").read_text()
    (folder / "gateway.toml").write_text(f"{good}\n[limits]\nnonsense = 1\n")
    os.kill(gateway.pid, signal.SIGHUP)
    after = rises(gateway, fault.metric, before)
    fault.check([ask(gateway)], before, after, (folder / "serve.log").read_text())
    (folder / "gateway.toml").write_text(good)


@happens("SIGKILL of a scorer")
def test_a_scorer_that_is_killed(fault: Fault, gateway: Served, folder: Path) -> None:
    before = admin(gateway.admin, "/metrics")[1]
    (scorer,) = gateway.scorer_pids()
    got: list[tuple[int, bytes]] = []
    slow = threading.Thread(target=lambda: got.append(ask(gateway, "/demo/slow.jpg", SCORE)))
    slow.start()
    eventually(lambda: figure(admin(gateway.admin, "/metrics")[1], "gateway_scorer_jobs_running") == 1)
    os.kill(scorer, signal.SIGKILL)
    got.append(ask(gateway, query=SCORE))
    slow.join()
    after = rises(gateway, fault.metric, before)
    fault.check(sorted(got, reverse=True), before, after, (folder / "serve.log").read_text())


@happens("SIGKILL of a gateway process")
def test_a_gateway_process_that_is_killed(fault: Fault, gateway: Served, folder: Path) -> None:
    before = admin(gateway.admin, "/metrics")[1]
    (victim,) = gateway.gateway_pids()
    got: list[tuple[int, bytes]] = []
    download = threading.Thread(target=lambda: got.append(slowly(gateway)))
    download.start()
    eventually(lambda: figure(admin(gateway.admin, "/metrics")[1], "gateway_connections_open") == 1)
    os.kill(victim, signal.SIGKILL)
    download.join()
    after = rises(gateway, fault.metric, before)
    eventually(lambda: ask(gateway)[0] == 200)
    fault.check([*got, ask(gateway)], before, after, (folder / "serve.log").read_text())


def slowly(gateway: Served) -> tuple[int, bytes]:
    """Download the long object in more than a second."""
    port = int(gateway.place.authority.rpartition(":")[2])
    with closing(http.client.HTTPConnection(gateway.place.authority, timeout=30)) as connection:
        try:
            connection.request("GET", "/demo/long", headers=signed(port, "/demo/long", "", "TESTS", "tests-secret"))
            answer, body = connection.getresponse(), b""
            while piece := answer.read(2 * 2**20):
                body += piece
                time.sleep(0.1)
        except (http.client.HTTPException, ConnectionError):
            return CUT
        return (answer.status, body) if body == LONG else CUT


@happens("certificate broken")
def test_half_a_certificate(fault: Fault, endpoint: str, tmp_path: Path) -> None:
    authority = Authority()
    context = ssl.create_default_context(cafile=authority.write(tmp_path / "ca.pem"))
    path = authority.issue(tmp_path / "server.pem")
    more = f'[tls]\ncertificate = "{path.name}"\n[telemetry]\nlog_format = "json"\n'
    with serving(tmp_path, endpoint, more_settings=more) as gateway:
        before = admin(gateway.admin, "/metrics")[1]
        path.write_text("half a certificate")
        after = rises(gateway, fault.metric, before)
        port = int(gateway.place.authority.rpartition(":")[2])
        with closing(http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)) as connection:
            connection.request("GET", "/demo/a.jpg", headers=signed(port, "/demo/a.jpg", "", "TESTS", "tests-secret"))
            answer = connection.getresponse()
            got = (answer.status, answer.read())
        eventually(lambda: fault.logged[0] in (tmp_path / "serve.log").read_text())
        fault.check([got], before, after, (tmp_path / "serve.log").read_text())
    lines = [json.loads(each) for each in (tmp_path / "serve.log").read_text().splitlines()]
    assert {"gateway", "gateway.access"} == {each["logger"] for each in lines}
    assert {each["status"] for each in lines if each["logger"] == "gateway.access"} == {200}


@happens("SIGTERM under load")
def test_sigterm_while_requests_run(fault: Fault, endpoint: str, tmp_path: Path) -> None:
    answers: list[tuple[int, bytes]] = []
    over = threading.Event()

    def load() -> None:
        while not over.is_set():
            answers.append(ask(running, "/demo/some"))

    pause = "drain_pause_s = 2.0"  # long enough to be seen on a busy machine
    with serving(tmp_path, endpoint, server=pause) as running:
        threads = [threading.Thread(target=load) for _ in range(4)]
        long = threading.Thread(target=lambda: answers.append(slowly(running)))
        for each in (long, *threads):
            each.start()
        eventually(lambda: len(answers) > 20)
        os.kill(running.pid, signal.SIGTERM)
        eventually(lambda: admin(running.admin, "/readyz")[0] == 503)
        assert ask(running)[0] == 200, "the port is still open: load balancers have to look away first"
        long.join()
        over.set()
        for each in threads:
            each.join()
    whole = {(200, LONG), (200, LONG[: 2**20])}
    assert set(answers) - {CUT} == whole, "what has an answer has a whole one"
    fault.check([(200, b"")], "", "", (tmp_path / "serve.log").read_text())


@contextmanager
def started(folder: Path, endpoint: str) -> Iterator[tuple[subprocess.Popen[bytes], Served]]:
    """`gateway serve`, not waited for, and killed in the end."""
    port, admin_port = free_port(), free_port()
    (folder / "keys.toml").write_text(KEYS)
    (folder / "keys.toml").chmod(0o600)
    names = {"port": port, "admin_port": admin_port, "endpoint": endpoint, "key_id": "up", "secret": "any"}
    (folder / "gateway.toml").write_text(SETTINGS.format(**names))
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(folder / "gateway.toml")]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    place = Place(f"127.0.0.1:{port}", "TESTS", Secret("tests-secret"))
    try:
        yield process, Served(place, f"127.0.0.1:{admin_port}", process.pid)
    finally:
        process.kill()
        process.wait(10)


@happens("OpenTelemetry collector down")
def test_a_collector_that_is_not_there(
    fault: Fault, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opentelemetry.sdk", reason="OpenTelemetry is not installed (pip install .[otel])")
    from tests.otlp import collecting  # noqa: PLC0415 # the packages of an extra

    bounds = {"BSP_SCHEDULE_DELAY": 100, "BSP_MAX_QUEUE_SIZE": 16, "BSP_MAX_EXPORT_BATCH_SIZE": 8}
    for name, value in {**bounds, "EXPORTER_OTLP_TIMEOUT": 2}.items():
        monkeypatch.setenv(f"OTEL_{name}", str(value))
    port, log = free_port(), tmp_path / "serve.log"
    settings = f'[telemetry]\ntrace_share = 1.0\notlp_endpoint = "http://127.0.0.1:{port}"\n'
    with serving(tmp_path, endpoint, more_settings=settings) as gateway:
        before = admin(gateway.admin, "/metrics")[1]
        got = {ask(gateway) for _ in range(40)}  # of which the queue holds the spans of five
        after = rises(gateway, fault.metric, before)
        eventually(lambda: fault.logged[0] in log.read_text())
        with collecting(port) as collector:
            ask(gateway)
            eventually(lambda: "takes traces again" in log.read_text())
        assert len(collector.spans) <= 16 + 8 + 3, "what is on its way, what waited, and what has come since"
        fault.check(list(got), before, after, log.read_text())
    (line,) = [each for each in log.read_text().splitlines() if fault.logged[0] in each]  # not one for each batch
    assert "Connection" in line, "and it says why"


@happens("SIGKILL of the supervisor")
def test_a_supervisor_that_is_killed(fault: Fault, endpoint: str, tmp_path: Path) -> None:
    with started(tmp_path, endpoint) as (process, gateway):
        wait_ready(int(gateway.admin.rpartition(":")[2]), process)
        children = family(process.pid)
        assert len(children) == 2
        got: list[tuple[int, bytes]] = []
        download = threading.Thread(target=lambda: got.append(slowly(gateway)))
        download.start()
        eventually(lambda: figure(admin(gateway.admin, "/metrics")[1], "gateway_connections_open") == 1)
        process.kill()
        download.join()
        eventually(lambda: not any(is_alive(pid) for pid in children))
        assert ask(gateway) == CUT, "nobody listens any more"
        assert got == [(200, LONG)]
        fault.check(got, "", "", "")


@happens("store down at start")
def test_a_store_that_comes_late(fault: Fault, tmp_path: Path) -> None:
    port = free_port()
    with started(tmp_path, f"http://127.0.0.1:{port}") as (_, gateway):
        eventually(lambda: "does not answer" in (tmp_path / "serve.log").read_text())
        got, (ready, why) = ask(gateway), admin(gateway.admin, "/readyz")
        assert (ready, "no store answers: main" in why) == (503, True)
        after = rises(gateway, fault.metric, "")
        with threaded_store(FakeStore(objects={"/demo/a.jpg": PICTURE}), port=port):
            eventually(lambda: admin(gateway.admin, "/readyz")[0] == 200)
            assert ask(gateway) == (200, PICTURE)
        fault.check([got], "", after, (tmp_path / "serve.log").read_text())
