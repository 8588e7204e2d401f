"""A scorer process: takes jobs from a socket, one at a time. Knows descriptors and alarms; must not know HTTP.

`python -m gateway.imaging.worker FD [MAX_JOBS]`: FD is an inherited, listening AF_UNIX SOCK_SEQPACKET socket that all
scorers share. Per connection one job comes in, with the reading end of a socketpair; two messages go out, the first
when the job is taken up, the second with its result.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

from gateway.errors import SCORER_DIED, ApiError
from gateway.imaging.assess import assess
from gateway.imaging.launch import PARENT_VARIABLE
from gateway.imaging.messages import MAX_MESSAGE_BYTES, Accepted, decode_job, encode_answer
from gateway.processes import die_with_parent

if TYPE_CHECKING:
    from gateway.imaging.messages import Job
    from gateway.report import QualityReport

_JOB_TIMEOUT_S = 5.0  # a client sends its job right after connecting
_GRACE_S = 0.5  # the client gives up first; the alarm is for a decoder that does not notice that its input ended
_NICENESS = 5  # the gateway's own processes answer before pictures are decoded

_log = logging.getLogger(__name__)


def main(arguments: list[str]) -> None:
    """Serve jobs until MAX_JOBS are done (0 or absent: for ever)."""
    die_with_parent(int(os.environ.get(PARENT_VARIABLE, os.getppid())))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    os.nice(_NICENESS)
    max_jobs = int(arguments[1]) if len(arguments) > 1 else 0
    done = 0
    with socket.socket(fileno=int(arguments[0])) as listener:
        listener.settimeout(None)
        while not max_jobs or done < max_jobs:
            connection, _ = listener.accept()
            with connection:
                done += _serve(connection)


def _serve(connection: socket.socket) -> bool:
    """Do the job of one connection; tell whether there was one. A client that has gone costs nothing."""
    descriptors: list[int] = []
    try:
        connection.settimeout(_JOB_TIMEOUT_S)
        message, descriptors, _, _ = socket.recv_fds(connection, MAX_MESSAGE_BYTES, 1)
        if not descriptors:
            return False
        connection.sendall(encode_answer(Accepted(os.getpid())))
        connection.sendall(encode_answer(_work(decode_job(message), descriptors[0])))
    except OSError:
        return False
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return True


def _work(job: Job, descriptor: int) -> QualityReport | ApiError:
    """Score what the descriptor brings, under an alarm whose default action ends this process, whatever it does."""
    signal.setitimer(signal.ITIMER_REAL, max(0.0, job.deadline_s) + _GRACE_S)
    try:
        return assess(descriptor, job.facts, max_pixels=job.max_pixels)
    except ApiError as error:
        return error
    except Exception:  # noqa: BLE001 - a picture that our own code cannot take must not cost the process as well
        _log.exception("scoring failed")
        return ApiError(SCORER_DIED, "scoring raised an exception, see the scorer's log")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main(sys.argv[1:])
