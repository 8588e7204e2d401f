from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.errors import IMAGE_DAMAGED, IMAGE_TOO_LARGE, ApiError
from gateway.imaging.launch import PARENT_VARIABLE, worker_environment
from gateway.imaging.messages import Accepted, Job, decode_answer, encode_job
from gateway.report import QualityReport
from tests.imaging.pictures import encode, photo_like, probe, score
from tests.proc import open_descriptors

if TYPE_CHECKING:
    from tests.imaging.conftest import Scorers

PICTURE = encode(photo_like(400, 300), "JPEG")
Answer = Accepted | QualityReport | ApiError | None


class Conversation:
    """A client that speaks to a scorer message by message."""

    def __init__(self, scorers: Scorers, job: Job) -> None:
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection.settimeout(60)
        self.connection.connect(scorers.address)
        self.feed, source = socket.socketpair()
        with source:
            socket.send_fds(self.connection, [encode_job(job)], [source.fileno()])

    def answer(self) -> Answer:
        message = self.connection.recv(65_536)
        return decode_answer(message) if message else None

    def send(self, data: bytes) -> None:
        self.feed.sendall(data)
        self.feed.close()

    def close(self) -> None:
        self.connection.close()
        self.feed.close()


def job(data: bytes = PICTURE, deadline_s: float = 60.0, max_pixels: int = 10**8) -> Job:
    return Job(probe(data), deadline_s, max_pixels)


def converse(scorers: Scorers, data: bytes, wish: Job) -> tuple[Answer, Answer]:
    talk = Conversation(scorers, wish)
    try:
        talk.send(data)
        return talk.answer(), talk.answer()
    finally:
        talk.close()


def test_a_job_is_taken_up_with_the_pid_and_answered_with_the_report(scorers: Scorers) -> None:
    process = scorers.start()
    accepted, report = converse(scorers, PICTURE, job())
    assert accepted == Accepted(process.pid)
    assert report == score(PICTURE)


def test_a_truncated_picture_is_damaged_and_the_scorer_lives_on(scorers: Scorers) -> None:
    scorers.start()
    for data in (PICTURE[:-2000], PICTURE[: probe(PICTURE).header_bytes]):
        _, error = converse(scorers, data, job())
        assert isinstance(error, ApiError)
        assert error.kind is IMAGE_DAMAGED
    assert isinstance(converse(scorers, PICTURE, job())[1], QualityReport)


def test_a_decoder_that_finds_another_size_than_the_header_is_not_believed(scorers: Scorers) -> None:
    scorers.start()
    wish = job()
    _, error = converse(scorers, PICTURE, replace(wish, facts=replace(wish.facts, width=800)))
    assert isinstance(error, ApiError)
    assert error.kind is IMAGE_DAMAGED


def test_a_gif_that_grows_beyond_the_limit_is_refused(scorers: Scorers) -> None:
    scorers.start()
    data = encode(photo_like(400, 300), "GIF")
    _, error = converse(scorers, data, job(data, max_pixels=119_999))
    assert isinstance(error, ApiError)
    assert error.kind is IMAGE_TOO_LARGE


def test_an_overrun_is_ended_by_the_kernel(scorers: Scorers) -> None:
    process = scorers.start()
    talk = Conversation(scorers, job(deadline_s=0.1))
    assert isinstance(talk.answer(), Accepted)
    assert talk.answer() is None
    assert process.wait(30) == -signal.SIGALRM
    talk.close()


def test_a_client_that_has_gone_costs_nothing(scorers: Scorers) -> None:
    Conversation(scorers, job()).close()
    silent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    silent.connect(scorers.address)
    silent.close()
    scorers.start()
    assert isinstance(converse(scorers, PICTURE, job())[1], QualityReport)


def held_between_jobs(pid: int, scorers: Scorers) -> int:
    """Count a scorer's descriptors when it waits for a job: the result is sent before those of its job are closed."""
    converse(scorers, PICTURE, job())
    counts = []
    for _ in range(25):
        counts.append(open_descriptors(pid))
        time.sleep(0.02)
    return min(counts)


def test_a_scorer_keeps_no_descriptor_of_a_job(scorers: Scorers) -> None:
    process = scorers.start()
    before = held_between_jobs(process.pid, scorers)
    for data in (PICTURE, PICTURE[:-2000], encode(photo_like(90, 80), "PNG"), encode(photo_like(90, 80), "WEBP")):
        converse(scorers, data, job(data))
    Conversation(scorers, job()).close()
    assert held_between_jobs(process.pid, scorers) == before


def test_a_scorer_ends_after_its_number_of_jobs(scorers: Scorers) -> None:
    process = scorers.start(max_jobs=2)
    for _ in range(2):
        assert isinstance(converse(scorers, PICTURE, job())[1], QualityReport)
    assert process.wait(30) == 0


def test_the_alarm_of_one_job_does_not_reach_the_next(scorers: Scorers) -> None:
    process = scorers.start()
    converse(scorers, PICTURE, job(deadline_s=0.5))
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)


def test_a_scorer_whose_parent_has_gone_leaves_at_once(scorers: Scorers) -> None:
    environment = {**worker_environment(), PARENT_VARIABLE: "1"}
    number = str(scorers.listener.fileno())
    command = [sys.executable, "-m", "gateway.imaging.worker", number]
    done = subprocess.run(command, env=environment, pass_fds=[int(number)], check=False, timeout=60)
    assert done.returncode == 1


def test_a_scorer_dies_with_its_parent(scorers: Scorers) -> None:
    code = (
        "import subprocess, sys; from gateway.imaging.launch import *\n"
        "number = int(sys.argv[1]); options = {'pass_fds': [number], 'start_new_session': True}\n"
        "p = subprocess.Popen(worker_command(number, 0), env=worker_environment(), **options)\n"
        "print(p.pid, flush=True); sys.stdin.read()"
    )
    number = scorers.listener.fileno()
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", code, str(number)]
    with subprocess.Popen(command, pass_fds=[number], cwd=root, stdin=-1, stdout=-1) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        watch = os.pidfd_open(pid)
        talk = Conversation(scorers, job())
        assert talk.answer() == Accepted(pid)
        parent.kill()
    assert select.select([watch], [], [], 30)[0]
    os.close(watch)
    talk.close()


def test_the_environment_of_a_scorer_holds_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_UPSTREAM__DEFAULT__SECRET", "keep-me")
    environment = worker_environment()
    assert "keep-me" not in environment.values()
    assert (environment["VIPS_CONCURRENCY"], environment["OPENBLAS_NUM_THREADS"]) == ("1", "1")
