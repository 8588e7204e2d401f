"""The client of the scorer processes. Knows sockets and deadlines; must not know numpy, pyvips or any vendor.

One job is one connection: connect (the socket's backlog is the bounded queue; heavy pictures have one of their own),
send the facts and the reading end of a socketpair, pump the picture into the other end, wait for the report.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from gateway.errors import SCORER_DIED, SCORERS_BUSY, SCORING_TOO_SLOW, UPSTREAM_BROKEN, ApiError
from gateway.imaging.build import build
from gateway.imaging.launch import heavy_address
from gateway.imaging.limits import Limits, check_bytes, check_format, check_limits, is_heavy, memory_limit
from gateway.imaging.messages import MAX_MESSAGE_BYTES, Accepted, Computed, Job, decode_answer, encode_job
from gateway.imaging.probe import Probe
from gateway.imaging.registry import Processor, processor
from gateway.imaging.small import small_report
from gateway.report import QualityReport
from gateway.splice import SinkGoneError, nowhere

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractContextManager

    from gateway.imaging.facts import Facts
    from gateway.report import Result
    from gateway.splice import Pourable


# How much of a picture the kernel may hold for its scorer (it grants twice that, or what it grants at most): neither
# of the two is woken for small pieces.
_FEED_BYTES = 512 * 1024


class HeaderProcess(Protocol):
    """What the module of a processor of headers offers as `process`. May raise ApiError."""

    def __call__(self, facts: Facts, header: bytes, file_bytes: int | None, /) -> Result:
        """Compute the result."""


class ScorerClient:
    """Scores pictures in the scorer processes that listen at `address` (the path of their socket).

    Heavy pictures go to the socket beside it (`heavy_address`).
    """

    def __init__(
        self,
        address: str,
        limits: Limits,
        on_stage: Callable[[str, float, float], None] = lambda _stage, _began, _ended: None,
    ) -> None:
        """`on_stage` is told when each stage of a picture's way began and ended, by time.monotonic.

        They are header, wait (for a scorer) and score, of which the scorer tells decode and model; and what `stage`
        is asked to time.
        """
        self._address = address
        self._on_stage = on_stage
        self._limits = limits
        # What a result depends on, beside the picture.
        self.fingerprint = hashlib.sha256(f"{build()} {limits}".encode()).hexdigest()
        self._tasks: set[_Task] = set()

    @property
    def jobs(self) -> tuple[int, int]:
        """How many pictures wait for a scorer, and how many are being scored."""
        waiting = sum(not task.accepted for task in self._tasks)
        return waiting, len(self._tasks) - waiting

    @property
    def oldest_wait_s(self) -> float:
        """For how long the first of the pictures that wait has waited; 0 when none does."""
        now = monotonic()
        return max((now - task.submitted_at for task in self._tasks if not task.accepted), default=0.0)

    async def score(
        self,
        chunks: AsyncIterator[bytes],
        *,
        declared_bytes: int | None,
        thumbnail_to: int | None = None,
        rest: Pourable | None = None,
    ) -> QualityReport:
        """Score one picture: `process` with the processor `score`.

        `thumbnail_to` is a descriptor of a file into which the scorer puts a small JPEG.
        """
        report = await self.process(
            "score", chunks, declared_bytes=declared_bytes, thumbnail_to=thumbnail_to, rest=rest
        )
        assert isinstance(report, QualityReport), "what the registry's module returns"  # noqa: S101 # not a client's
        return report

    async def process(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        *,
        declared_bytes: int | None,
        thumbnail_to: int | None = None,
        small_decides: bool = False,
        rest: Pourable | None = None,
    ) -> Result:
        """Hand one picture to the processor `name`, read from `chunks` as fast as the scorer takes it.

        A processor of headers alone gets its answer here, and no more is read than the header; the limits of what is
        decoded do not hold for it, the accepted formats and the deadline do. With `small_decides` that goes for the
        score of a small picture too (see `small_report`), within all limits.

        `declared_bytes` is the length that the upstream promised, None when it promised none. The iterator raises
        when the upstream breaks, and is left for the caller to close. `rest` is the body that it reads, where what
        follows the header can go to the scorer unseen.

        Raises NOT_AN_IMAGE, IMAGE_DAMAGED, IMAGE_TOO_LARGE, IMAGE_SIDE_TOO_LONG, IMAGE_FILE_TOO_LARGE, UPSTREAM_BROKEN,
        SCORERS_BUSY (the queue is full, or the job stood in it until the deadline), SCORING_TOO_SLOW (the download or
        the scoring overran the deadline) and SCORER_DIED; a processor may add its own.
        """
        row = processor(name)
        if declared_bytes is not None and not row.header_only:
            check_bytes(declared_bytes, self._limits)
        body = _Body(chunks, self._limits, declared_bytes, rest)
        clock = asyncio.get_running_loop().time
        started = monotonic()
        ends_at = clock() + self._limits.deadline_s
        task: _Task | None = None
        with ExitStack() as descriptors:
            try:
                async with asyncio.timeout_at(ends_at):
                    facts, prefix = await _probe(body)
                    self._on_stage("header", started, monotonic())
                    if row.header_only:
                        check_format(facts, self._limits)
                        return _header_process(row)(facts, b"".join(prefix), declared_bytes)
                    check_limits(facts, self._limits)
                    if small_decides and (report := small_report(facts)):
                        return report
                    job = self._job(name, facts, ends_at - clock())
                    task = self._submit(job, descriptors, thumbnail_to)
                    computed = await _run(task, prefix, body)
                    self._tell(task, computed)
                    return computed.result
            except (TimeoutError, _ScorerGoneError) as error:
                if clock() >= ends_at:
                    raise self._late(task) from None
                if isinstance(error, _ScorerGoneError):
                    raise _died() from None
                raise

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Tell of one more stage: what is done until leaving, unless by an exception."""
        return _Stage(name, self._on_stage)

    def _tell(self, task: _Task, computed: Computed) -> None:
        accepted_at = task.accepted_at or task.submitted_at
        self._on_stage("wait", task.submitted_at, accepted_at)
        self._on_stage("score", accepted_at, monotonic())
        for name, (began, ended) in computed.stages.items():
            self._on_stage(name, began, ended)

    def _job(self, name: str, facts: Facts, remaining_s: float) -> Job:
        max_pixels = self._limits.max_pixels_whole if facts.held_whole else self._limits.max_pixels
        return Job(facts, remaining_s, max_pixels, memory_limit(facts, self._limits), name)

    def _submit(self, job: Job, descriptors: ExitStack, thumbnail_to: int | None) -> _Task:
        """Queue the job. `descriptors` closes what is opened. Raises SCORERS_BUSY, SCORER_DIED."""
        connection = descriptors.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        feed, source = socket.socketpair()
        descriptors.enter_context(feed)
        connection.settimeout(0)
        feed.settimeout(0)
        feed.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _FEED_BYTES)
        address = heavy_address(self._address) if is_heavy(job.facts) else self._address
        with source:
            try:
                connection.connect(address)
                socket.send_fds(
                    connection, [encode_job(job)], [fd for fd in (source.fileno(), thumbnail_to) if fd is not None]
                )
            except BlockingIOError:
                raise ApiError(SCORERS_BUSY, "the scorers' queue is full") from None
            except OSError as error:
                raise ApiError(SCORER_DIED, f"no scorer can be reached: {error}") from error
        task = _Task(connection, feed)
        self._tasks.add(task)
        descriptors.callback(self._tasks.discard, task)
        return task

    def _late(self, task: _Task | None) -> ApiError:
        limit = f"the limit of {self._limits.deadline_s:g} seconds"
        if task is not None and not task.accepted:
            return ApiError(SCORERS_BUSY, f"no scorer was free within {limit}")
        return ApiError(SCORING_TOO_SLOW, message=f"Reading and scoring the image took longer than {limit}.")


def _died() -> ApiError:
    message = "The scorer process ended while it worked on this image. Other images are not affected."
    return ApiError(SCORER_DIED, "the scorer ended without a result", message=message)


class _Stage:
    """A stage while it lasts; a generator would do, at several times the cost."""

    __slots__ = ("_began", "_name", "_tell")

    def __init__(self, name: str, tell: Callable[[str, float, float], None]) -> None:
        self._name, self._tell = name, tell

    def __enter__(self) -> None:
        self._began = monotonic()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._tell(self._name, self._began, monotonic())


class _ScorerGoneError(Exception):
    """The scorer closed the connection without a result."""


class _Body:
    """The picture's bytes as they come, counted and checked against what was declared."""

    def __init__(
        self, chunks: AsyncIterator[bytes], limits: Limits, declared_bytes: int | None, rest: Pourable | None
    ) -> None:
        self._chunks = chunks
        self._limits = limits
        self._declared_bytes = declared_bytes
        self._rest = rest
        self._count = 0

    async def next(self) -> bytes | None:
        """Return the next bytes, None at the whole end. Raises IMAGE_FILE_TOO_LARGE or UPSTREAM_BROKEN."""
        data = await anext(self._chunks, None)
        self._counted(len(data or b""))
        declared = self._declared_bytes
        if declared is not None and (self._count > declared or (data is None and self._count < declared)):
            raise ApiError(UPSTREAM_BROKEN, f"{declared} bytes declared, {self._count} received")
        return data

    def claim(self) -> tuple[bytes, int]:
        """Return what has come already, and how many bytes `pour` is to move then; 0: `next` goes on."""
        if self._rest is None:
            return b"", 0
        data = self._rest.at_hand()
        self._counted(len(data))
        return data, self._rest.claim_rest()

    async def pour(self, count: int, sink: int | None) -> None:
        """Move the claimed bytes to a socket, or nowhere, as when its reader has seen enough; `next` goes on then."""
        assert self._rest is not None, "claim() comes first"  # noqa: S101 # a caller's mistake
        end = self._count + count
        if sink is not None:
            try:
                await self._rest.pour(count, sink, self._counted)
            except SinkGoneError as error:
                count = error.left
            else:
                return
        self._counted(end - count - self._count)  # what was on its way to the sink
        with nowhere() as hole:
            await self._rest.pour(count, hole, self._counted)

    def _counted(self, count: int) -> None:
        self._count += count
        check_bytes(self._count, self._limits)


def _header_process(row: Processor) -> HeaderProcess:
    process: HeaderProcess = import_module(row.module).process
    return process


async def _probe(body: _Body) -> tuple[Facts, list[bytes]]:
    """Read until the header is known; return it with all that was read."""
    probe, prefix = Probe(), list[bytes]()
    while (data := await body.next()) is not None:
        prefix.append(data)
        if facts := probe.feed(data):
            return facts, prefix
    return probe.finish(), prefix


@dataclass(slots=True, eq=False)
class _Task:
    """A submitted job: the connection to its scorer, and the end into which the picture is fed."""

    connection: socket.socket
    feed: socket.socket
    submitted_at: float = field(default_factory=monotonic)
    accepted_at: float = 0.0

    @property
    def accepted(self) -> bool:
        """Tell whether a scorer has taken it."""
        return self.accepted_at > 0

    async def answer(self) -> Computed:
        """Wait for the result. Raises what the scorer found wrong, or _ScorerGoneError."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                message = await loop.sock_recv(self.connection, MAX_MESSAGE_BYTES)
            except ConnectionError:
                message = b""
            if not message:
                raise _ScorerGoneError
            answer = decode_answer(message)
            if isinstance(answer, ApiError):
                raise answer
            if not isinstance(answer, Accepted):
                return answer
            self.accepted_at = monotonic()

    async def pump(self, prefix: list[bytes], body: _Body) -> None:
        """Feed the picture to the scorer, and read it to its end even when the scorer has seen enough.

        A score counts only once the body has ended whole. The scorer learns of the end only then, so that a broken
        body is never taken for a short one.
        """
        wanted = True
        at_hand, left = body.claim()
        for data in (*prefix, at_hand):
            wanted = wanted and await self._send(data)
        prefix.clear()
        if left:
            await body.pour(left, self.feed.fileno() if wanted else None)
        while (more := await body.next()) is not None:
            wanted = wanted and await self._send(more)
        self.feed.close()

    async def _send(self, data: bytes) -> bool:
        """Send with back-pressure; tell whether the scorer still reads."""
        try:
            await asyncio.get_running_loop().sock_sendall(self.feed, data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True


async def _run(task: _Task, prefix: list[bytes], body: _Body) -> Computed:
    """Pump and wait at once; the first error of either ends both, the body's own first."""
    pump = asyncio.ensure_future(task.pump(prefix, body))
    answer = asyncio.ensure_future(task.answer())
    try:
        done, _ = await asyncio.wait((pump, answer), return_when=asyncio.FIRST_EXCEPTION)
        if pump in done:
            pump.result()
        return await answer
    finally:
        pump.cancel()
        answer.cancel()
        await asyncio.gather(pump, answer, return_exceptions=True)
