"""The rendered chart, started: its volumes, environment, ports and probes, with the real gateway behind them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.deploy.conftest import PICTURE, at
from tests.deploy.pod import running_pod, signed
from tests.deploy.tools import of_kind
from tests.fake_store import FakeStore
from tests.threaded_store import threaded_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.deploy.pod import Pod

pytestmark = pytest.mark.timeout(300)
SCORE = "x-oss-process=image%2Fscore"


@pytest.mark.parametrize("name", ["plain_pod", "whole_pod"])
def test_the_chart_s_gateway_serves_bytes_and_a_score(request: pytest.FixtureRequest, name: str) -> None:
    pod: Pod = request.getfixturevalue(name)
    assert pod.get("/photos/cat.jpg", secret="pod-secret") == (200, PICTURE)
    status, body = pod.get("/photos/cat.jpg", SCORE, secret="pod-secret")
    assert status == 200, body
    assert 0 < json.loads(body)["ImageScore"]["OverallQualityScore"] < 1
    assert pod.get("/photos/cat.jpg", secret="wrong")[0] == 403
    assert [pod.probe(probe) for probe in ("startup", "readiness", "liveness")] == [200] * 3


@pytest.mark.parametrize(("name", "release"), [("plain_pod", "pod"), ("whole_pod", "everything")])
def test_helm_test_finds_it_well(
    request: pytest.FixtureRequest, releases: dict[str, Any], name: str, release: str
) -> None:
    pod: Pod = request.getfixturevalue(name)
    (hook,) = releases[release]["hooks"]
    (box,) = hook["spec"]["containers"]
    services = {
        row["metadata"]["name"]: row["spec"]["ports"][0] for row in of_kind(releases[release]["documents"], "Service")
    }
    environment = {row["name"]: row["value"] for row in box["env"]}
    for service, port in services.items():
        ours = f"//127.0.0.1:{pod.ports[port['targetPort']]}"
        environment = {key: text.replace(f"//{service}:{port['port']}", ours) for key, text in environment.items()}
    assert "127.0.0.1" in environment["PUBLIC"]
    assert "127.0.0.1" in environment["ADMIN"]
    assert box["command"][0] == "python"
    done = subprocess.run(
        [sys.executable, *box["command"][1:]], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "/readyz 200" in done.stdout


def test_a_pod_that_ends_says_so_first_and_breaks_no_download(releases: dict[str, Any], tmp_path: Path) -> None:
    body = os.urandom(8 * 2**20)
    with (
        threaded_store(FakeStore(objects={"/photos/long": body})) as endpoint,
        running_pod(at(releases["pod that ends"]["documents"], endpoint), tmp_path) as pod,
    ):
        received: list[bytes] = []

        def download() -> None:
            connection = pod.connection()
            connection.request(
                "GET", "/photos/long", headers=signed(pod.ports["http"], "/photos/long", "", "ME1", "pod-secret")
            )
            answer = connection.getresponse()
            while data := answer.read(256 * 1024):
                received.append(data)
                time.sleep(0.2)  # over six seconds: longer than the pause
            connection.close()

        slow = threading.Thread(target=download)
        slow.start()
        while not received:
            time.sleep(0.01)
        pod.process.send_signal(signal.SIGTERM)
        while pod.probe("readiness") != 503:
            time.sleep(0.01)
        assert pod.probe("liveness") == 200
        assert pod.get("/photos/long", secret="pod-secret") == (200, body), "the port stays open during the pause"
        slow.join()
        assert b"".join(received) == body
