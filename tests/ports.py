"""Ports for servers that are told where to listen: nothing else on this machine takes one before the server does."""

from __future__ import annotations

import secrets
import socket
from functools import cache
from pathlib import Path

_reservations: list[socket.socket] = []


def free_port() -> int:
    """A TCP port of 127.0.0.1, reserved for this process until it ends.

    The kernel gives no such port to an outgoing connection, or to who asks for any (`ip_local_port_range`), so none can
    be gone when the server at last binds it. Processes that ask beside each other see what the others reserved: an
    abstract Unix socket stands for each port, and goes with its owner however that ends.
    """
    while True:
        port = secrets.choice(_never_given_away())
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0gateway-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
        else:
            _reservations.append(reservation)
            return port


@cache
def _never_given_away() -> range:
    """The larger of the two ranges beside the kernel's own; all unprivileged ports where it takes nearly all itself."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    beside = max(range(10_000, first), range(last + 1, 65_536), key=len)
    return beside if len(beside) > 1_000 else range(10_000, 65_536)
