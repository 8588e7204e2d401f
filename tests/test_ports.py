from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from tests import ports

if TYPE_CHECKING:
    import pytest


def test_a_port_is_nobody_elses_until_it_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    reserved = [ports.free_port() for _ in range(3)]
    assert not any(first <= port <= last for port in reserved)
    with socket.socket() as bound, socket.socket() as unbound:
        for each in (bound, unbound):
            each.bind(("127.0.0.1", 0))
        taken, free = bound.getsockname()[1], unbound.getsockname()[1]
        unbound.close()
        monkeypatch.setattr(ports, "_never_given_away", lambda: [*reserved, taken, free])
        assert ports.free_port() == free
