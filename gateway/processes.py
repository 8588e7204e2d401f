"""Small facts about processes and listening sockets. Must not know what the processes do."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # glibc, malloc.h
_PIECES_BYTES = 4 * 1024 * 1024  # larger than any piece of a body
_KEPT_BYTES = 32 * 1024 * 1024


class StartError(Exception):
    """The gateway cannot start; the text is one clear sentence for its operator."""


def open_standard_streams() -> None:
    """Open /dev/null where a standard stream is closed, or the next file or socket would be taken for it."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:  # the lowest number that is free is this one, and so what open gives
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 # the name says it
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


def die_with_parent(parent_pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Ask the kernel to signal this process when its parent ends; leave at once when it has ended already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def raise_open_files() -> None:
    """Raise the soft limit of open files to the hard one: each transfer needs several descriptors."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def keep_freed_memory() -> None:
    """Let this process keep up to 32 MiB that it has freed: the pieces of bodies come and go in the same sizes.

    Otherwise each piece costs two calls of the kernel and a page fault for every 4 KiB, a third of the time that a
    1 MB object takes. Does nothing where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _PIECES_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_TOP_PAD, _PIECES_BYTES)


def fork(function: Callable[[], int]) -> int:
    """Run a function in a child process, of its own group, that ends with its parent; return the child's pid.

    The child's exit status is what the function returns; 1, with a trace on stderr, when it raises. Raises OSError
    when the system has no room for another process.
    """
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal between fork and the lines below would be swallowed by the parent's handlers, or reported to the parent.
    numbers = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid:  # here is the parent, with a child or without
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if pid:
        return pid
    status = 1
    try:
        os.setpgid(0, 0)
        signal.set_wakeup_fd(-1)
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        die_with_parent(parent, signal.SIGTERM)
        status = function()
    except BaseException:  # noqa: BLE001 # the last frame of this process: nobody else will tell
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def listen(host: str, port: int, count: int = 1) -> list[socket.socket]:
    """Return `count` listening TCP sockets on one address. Raises StartError when it is taken or not ours.

    Several sockets share the port with SO_REUSEPORT, so that the kernel spreads connections; a single one is
    bound without it, and so is a first probe, or a second gateway would quietly take half of the connections.
    """
    probe = _bind(host, port, shared=False)
    if count == 1:
        probe.listen(1024)
        return [probe]
    port = probe.getsockname()[1]
    probe.close()
    sockets = [_bind(host, port, shared=True) for _ in range(count)]
    for each in sockets:
        each.listen(1024)
    return sockets


def _bind(host: str, port: int, *, shared: bool) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise StartError(f"Cannot listen on {host}:{port}: {error.strerror}.") from None
    except ValueError:  # too long, say, to ask anybody for
        raise StartError(f"Cannot listen on {host}:{port}: that is no name of a host.") from None
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise StartError(f"Cannot listen on {host}:{port}: {error.strerror}.") from None
    return bound
