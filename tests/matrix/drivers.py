"""Clients in processes of their own, each started once for all its calls; `lines.py` is how they are asked."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.matrix.clients import RefusedError
from tests.matrix.lines import packed, unpacked
from tests.stores_up.programs import ProgramError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

    from tests.matrix.clients import Calls

STOP_S = 20


@contextmanager
def driven(command: Sequence[str]) -> Iterator[Calls]:
    """Start a driver; yields the calls that it offers. Raises ProgramError when the driver itself fails."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
        assert process.stdin
        assert process.stdout
        try:
            names = answered(process.stdout, said)
            yield {name: partial(ask, process.stdin, process.stdout, said, name) for name in names}
        finally:
            process.stdin.close()
            process.stdout.close()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ask(requests: IO[bytes], answers: IO[bytes], said: IO[bytes], name: str, *arguments: object) -> Any:
    """Make one call. Raises RefusedError for an error of the client, ProgramError for a fault of the driver."""
    requests.write(packed([name, arguments]).encode())
    requests.flush()
    answer = answered(answers, said)
    if "refused" in answer:
        raise RefusedError(answer["refused"])
    if "fault" in answer:
        raise ProgramError(f"{name}: {answer['fault']}")
    return answer.get("result")


def answered(answers: IO[bytes], said: IO[bytes]) -> Any:
    line = answers.readline()
    if not line:
        said.seek(0)
        raise ProgramError(f"the driver ended: {said.read()[-2000:].decode(errors='replace')}")
    return unpacked(line)


def code(error: Exception) -> str | None:
    return str(error) if isinstance(error, RefusedError) else None
