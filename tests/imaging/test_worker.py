from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from gateway.errors import IMAGE_DAMAGED, IMAGE_TOO_LARGE, ApiError
from gateway.imaging.launch import PARENT_VARIABLE, heavy_address, worker_environment
from gateway.imaging.messages import Accepted, Computed, Job, decode_answer, encode_job
from gateway.report import QualityReport, Result
from tests.imaging.pictures import encode, photo_like, probe, score
from tests.proc import eventually, open_descriptors, threads

if TYPE_CHECKING:
    from tests.imaging.conftest import Scorers

PICTURE = encode(photo_like(400, 300), "JPEG")
HELD_WHOLE = encode(Image.new("RGB", (5000, 4000)), "JPEG", progressive=True, subsampling=0)  # 120 MB of coefficients
Answer = Accepted | Result | ApiError | None


class Conversation:
    """A client that speaks to a scorer message by message."""

    def __init__(self, scorers: Scorers, job: Job, *, heavy: bool = False) -> None:
        self.connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.connection.settimeout(60)
        self.connection.connect(heavy_address(scorers.address) if heavy else scorers.address)
        self.feed, source = socket.socketpair()
        with source:
            socket.send_fds(self.connection, [encode_job(job)], [source.fileno()])

    def answer(self) -> Answer:
        answer = self.raw_answer()
        return answer.result if isinstance(answer, Computed) else answer

    def raw_answer(self) -> Accepted | Computed | ApiError | None:
        message = self.connection.recv(65_536)
        return decode_answer(message) if message else None

    def send(self, data: bytes) -> None:
        with self.feed, suppress(BrokenPipeError, ConnectionResetError):  # the scorer may have seen enough
            self.feed.sendall(data)

    def close(self) -> None:
        self.connection.close()
        self.feed.close()


def job(data: bytes = PICTURE, deadline_s: float = 60.0, max_pixels: int = 10**8, max_memory_bytes: int = 2**30) -> Job:
    return Job(probe(data), deadline_s, max_pixels, max_memory_bytes)


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


def test_a_result_comes_with_the_times_of_its_stages_by_the_clock_of_all_processes(scorers: Scorers) -> None:
    scorers.start()
    before, talk = time.monotonic(), Conversation(scorers, job())
    talk.send(PICTURE)
    assert isinstance(talk.answer(), Accepted)
    computed = talk.raw_answer()
    talk.close()
    assert isinstance(computed, Computed)
    assert list(computed.stages) == ["decode", "model"]
    moments = [before, *computed.stages["decode"], *computed.stages["model"], time.monotonic()]
    assert moments == sorted(moments)
    assert computed.result == score(PICTURE), "and nothing of them is in the result"


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


def test_a_picture_that_takes_too_much_memory_is_answered_and_its_scorer_ends(scorers: Scorers) -> None:
    process = scorers.start()
    _, error = converse(scorers, HELD_WHOLE, job(HELD_WHOLE, max_memory_bytes=2**26))
    assert isinstance(error, ApiError)
    assert error.kind is IMAGE_TOO_LARGE
    assert "67,108,864 bytes" in error.message
    assert process.wait(30) == 0, "nothing has gone wrong: the next one may start at once"


def test_the_same_picture_is_scored_where_it_may_take_the_memory(scorers: Scorers) -> None:
    scorers.start()
    assert isinstance(converse(scorers, HELD_WHOLE, job(HELD_WHOLE, max_memory_bytes=2**28))[1], QualityReport)


def test_a_scorer_serves_the_queue_of_heavy_pictures_only_when_told_to(scorers: Scorers) -> None:
    scorers.start(heavy=False)
    waiting = Conversation(scorers, job(), heavy=True)
    assert isinstance(converse(scorers, PICTURE, job())[1], QualityReport)
    waiting.connection.settimeout(0.3)
    with pytest.raises(TimeoutError):
        waiting.answer()
    waiting.connection.settimeout(60)
    helper = scorers.start(heavy=True)
    assert waiting.answer() == Accepted(helper.pid)
    waiting.close()


def test_neither_queue_starves_the_other(scorers: Scorers) -> None:
    talks = [Conversation(scorers, job(), heavy=heavy) for heavy in (True, True, False, False)]
    for talk in talks:
        talk.send(PICTURE)
    assert scorers.start(max_jobs=2).wait(60) == 0
    for talk in talks:
        talk.connection.settimeout(0)
    assert [is_answered(talk) for talk in talks] == [True, False, True, False]
    for talk in talks:
        talk.close()


def is_answered(talk: Conversation) -> bool:
    try:
        return talk.answer() is not None
    except BlockingIOError:
        return False


def test_a_scorers_libraries_work_in_one_thread_each() -> None:
    code = (
        "import os, numpy, pyvips; square = numpy.ones((600, 600)); square @ square\n"
        "print(len(os.listdir('/proc/self/task')), pyvips.vips_lib.vips_concurrency_get())"
    )
    done = subprocess.run([sys.executable, "-c", code], env=worker_environment(), stdout=-1, check=True)
    assert done.stdout.split() == [b"1", b"1"]


def test_a_working_scorer_has_a_thread_for_its_work_and_one_that_watches_the_memory(scorers: Scorers) -> None:
    process = scorers.start()
    data = encode(photo_like(4000, 3000), "JPEG", quality=95)
    talk = Conversation(scorers, job(data))
    assert isinstance(talk.answer(), Accepted)
    talk.send(data)
    talk.connection.settimeout(0)
    counts = [0]
    while not is_answered(talk):
        counts.append(len(threads(process.pid) - {process.pid}))
    talk.close()
    assert max(counts) == 2, "none is libvips'"


def test_a_scorer_leaves_the_cpu_to_whoever_wants_it(scorers: Scorers) -> None:
    pid = scorers.start().pid
    talk = Conversation(scorers, job())
    assert isinstance(talk.answer(), Accepted)
    talk.close()
    assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    assert os.sched_getscheduler(pid) == os.SCHED_BATCH


def test_a_jpeg_is_scored_in_time_that_nobody_else_wants(scorers: Scorers) -> None:
    pid = scorers.start().pid
    talk = Conversation(scorers, job())
    assert isinstance(talk.answer(), Accepted)
    # Itself, who does the work, and who looks at it.
    eventually(lambda: sorted(classes(pid).values()) == [os.SCHED_BATCH, os.SCHED_IDLE, os.SCHED_IDLE])
    assert os.sched_getscheduler(pid) == os.SCHED_BATCH
    talk.send(PICTURE)
    assert isinstance(talk.answer(), QualityReport)
    talk.close()


def test_a_full_machine_keeps_no_scorer_from_its_work(scorers: Scorers) -> None:
    pid, data = scorers.start().pid, encode(photo_like(4000, 3000), "JPEG", quality=95)
    converse(scorers, PICTURE, job())
    command = [sys.executable, "-c", "print(flush=True)\nwhile True: pass"]
    loops = [subprocess.Popen(command, stdout=-1) for _ in range(2 * len(os.sched_getaffinity(0)))]
    try:
        for loop in loops:
            assert loop.stdout is not None
            with loop.stdout:
                loop.stdout.readline()
        assert isinstance(converse(scorers, data, job(data))[1], QualityReport)
        talk = Conversation(scorers, job())
        assert isinstance(talk.answer(), Accepted)
        eventually(lambda: len(threads(pid)) == 3)
        assert sorted(classes(pid).values()) == [os.SCHED_BATCH, os.SCHED_BATCH, os.SCHED_IDLE], "who waits for work"
        talk.send(PICTURE)
        assert isinstance(talk.answer(), QualityReport)
        talk.close()
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def test_what_libvips_decodes_in_threads_of_its_own_is_only_nice(scorers: Scorers) -> None:
    pid, data = scorers.start().pid, encode(photo_like(400, 300), "PNG")
    talk = Conversation(scorers, replace(job(), facts=probe(data)))
    assert isinstance(talk.answer(), Accepted)
    talk.send(data)
    assert isinstance(talk.answer(), QualityReport)
    talk.close()
    assert list(classes(pid).values()) == [os.SCHED_BATCH] * 2, "its thread stays a while"


def classes(pid: int) -> dict[int, int]:
    return {thread: os.sched_getscheduler(thread) for thread in threads(pid)}


def test_an_overrun_is_ended_by_the_kernel(scorers: Scorers) -> None:
    process = scorers.start()
    talk = Conversation(scorers, job(deadline_s=0.1))
    assert isinstance(talk.answer(), Accepted)
    assert talk.answer() is None
    assert process.wait(30) == -signal.SIGALRM
    talk.close()


def test_work_for_a_client_that_has_gone_is_soon_given_up(scorers: Scorers) -> None:
    process = scorers.start()
    talk = Conversation(scorers, job(deadline_s=100))
    assert isinstance(talk.answer(), Accepted)
    talk.connection.close()  # while the decoder still waits for the picture
    assert process.wait(50) == -signal.SIGALRM
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


def test_a_scorer_has_the_allocator_that_was_chosen_for_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LD_PRELOAD", raising=False)
    assert "LD_PRELOAD" not in worker_environment()
    monkeypatch.setenv("LD_PRELOAD", "libjemalloc.so.2")
    assert worker_environment()["LD_PRELOAD"] == "libjemalloc.so.2"
