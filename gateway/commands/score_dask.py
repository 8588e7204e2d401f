"""`gateway score --engine dask`: batches of pictures on the workers of a Dask cluster, each with scorers of its own.

The workers read the settings, and so the store's keys, where they run (`--config`, environment): no secret goes over
the network. Local paths must mean the same files there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections import deque
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distributed import Client, LocalCluster, WorkerPlugin, get_worker

from gateway import report
from gateway.commands.score_output import Scored
from gateway.commands.score_run import scored_in_order
from gateway.commands.score_sources import Openers, is_remote
from gateway.errors import ApiError, ErrorKind
from gateway.imaging.pool import ScorerClient
from gateway.settings import Server, load
from gateway.supervisor import scorer_queue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.commands.score_sources import Source
    from gateway.settings import Settings
    from gateway.supervisor import Child

_BATCH = 32  # pictures a task: seconds of work, little to do again when a worker dies
_AHEAD = 3  # batches a thread of the cluster may be ahead of the oldest
_RETRIES = 3  # of a batch whose worker died
_NAME = "gateway-scorers"


class Scorers(WorkerPlugin):  # type: ignore[misc] # distributed has no types
    """The scorer processes of one Dask worker, one a thread."""

    name = _NAME

    def setup(self, worker: Any) -> None:
        """Start the scorers when the worker starts."""
        self._stack = ExitStack()
        self._lock = threading.Lock()
        server = Server(scorers=worker.state.nthreads)
        self.address, self._children = self._stack.enter_context(scorer_queue(server))
        self.count = worker.state.nthreads
        self.ensure()

    def ensure(self) -> None:
        """Replace what has ended."""
        with self._lock:
            for child in self._children:
                child.ended(time.monotonic())
                child.ensure(time.monotonic())

    def teardown(self, worker: Any) -> None:
        """End the scorers with the worker."""
        del worker
        with self._lock:
            for child in self._children:
                _end(child)
            self._stack.close()


def _end(child: Child) -> None:
    child.send(signal.SIGKILL)
    while child.pid:
        child.ended(time.monotonic())
        time.sleep(0.01)


async def scored_by_dask(
    found: AsyncIterator[Source], settings: Settings, config: Path | None, scheduler: str
) -> AsyncIterator[Scored]:
    """Score the pictures on a cluster; yield the results in the order of the sources.

    Without the address of a `scheduler` the cluster is made here, of as many workers as there would be scorers.
    """
    logging.getLogger("distributed").setLevel(logging.ERROR)
    async with AsyncExitStack() as stack:
        address: Any = scheduler or await stack.enter_async_context(_local_cluster(settings))
        client = await stack.enter_async_context(Client(address, asynchronous=True))
        await client.register_plugin(Scorers())
        most = 1 + _AHEAD * sum((await client.nthreads()).values())
        pending: deque[Any] = deque()
        async for batch in _batches(found):
            if isinstance(batch, Scored):
                pending.append(batch)
            else:
                pending.append(client.submit(score_batch, batch, str(config or ""), pure=False, retries=_RETRIES))
            if len(pending) > most:
                for scored in await _results(pending.popleft()):
                    yield scored
        while pending:
            for scored in await _results(pending.popleft()):
                yield scored


def _local_cluster(settings: Settings) -> Any:
    workers = settings.server.scorers or len(os.sched_getaffinity(0))
    return LocalCluster(
        n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, asynchronous=True
    )


async def _batches(found: AsyncIterator[Source]) -> AsyncIterator[list[tuple[int, str]] | Scored]:
    """Yield the places of pictures in batches, and, in between, as it is, what failed before there was a picture."""
    batch: list[tuple[int, str]] = []
    async for source in found:
        if not source.failure:
            batch.append((source.argument, source.path))
        if batch and (source.failure or len(batch) == _BATCH):
            yield batch
            batch = []
        if source.failure:
            yield Scored(source.path, source.failure, argument=source.argument, cut_short=source.cut_short)
    if batch:
        yield batch


async def _results(pending: Any) -> list[Scored]:
    if isinstance(pending, Scored):
        return [pending]
    return [Scored(each["path"], _result(each), argument=each["argument"]) for each in await pending]


def _result(told: dict[str, Any]) -> report.QualityReport | ApiError:
    return ApiError(ErrorKind(*told["error"])) if "error" in told else report.from_json(told["report"])


# --- on a worker ----------------------------------------------------------------------------------------------------


def score_batch(batch: list[tuple[int, str]], config: str) -> list[dict[str, Any]]:
    """Score the pictures at these paths (each after the number of its argument) with this worker's scorers."""
    scorers: Scorers = get_worker().plugins[_NAME]
    scorers.ensure()
    settings = _settings(config, remote=any(is_remote(path) for _, path in batch))
    return asyncio.run(_score(batch, scorers, settings))


async def _score(batch: list[tuple[int, str]], scorers: Scorers, settings: Settings) -> list[dict[str, Any]]:
    client = ScorerClient(scorers.address, settings.limits)
    async with AsyncExitStack() as stack:
        openers = Openers(settings, stack)

        async def found() -> AsyncIterator[Source]:
            for argument, path in batch:
                yield replace(openers.source(path), argument=argument)

        remote = any(is_remote(path) for _, path in batch)
        done = scored_in_order(client, found(), scorers.count, thumbnails=False, remote=remote)
        return [_tell(scored) async for scored in done]


@cache
def _settings(config: str, *, remote: bool) -> Settings:
    base = None if config or remote else {"upstream": {"unused": {"endpoint": "http://-"}}}
    return load(Path(config) if config else None, os.environ, base)


def _tell(scored: Scored) -> dict[str, Any]:
    result = scored.result
    told: dict[str, Any] = {"path": scored.path, "argument": scored.argument}
    if isinstance(result, ApiError):
        return {**told, "error": (result.kind.status, result.kind.code, result.message)}
    return {**told, "report": report.to_json(result)}
