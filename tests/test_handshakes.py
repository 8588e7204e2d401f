"""Handshakes that fail are counted by their reason, whoever is to blame."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from gateway import app
from gateway.telemetry import Telemetry
from gateway.tls import LiveCertificate
from tests.certificates import Authority
from tests.served import serving
from tests.test_tls import ask, client, serving_tls, settings_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def certificate(tmp_path: Path) -> LiveCertificate:
    authority = Authority()
    authority.write(tmp_path / "ca.pem")
    authority.issue(tmp_path / "server.pem")
    return LiveCertificate(settings_for(tmp_path, client_ca=str(tmp_path / "ca.pem"), minimum_version="1.3"))


def certified(tmp_path: Path) -> ssl.SSLContext:
    context = client(tmp_path)
    context.load_cert_chain(tmp_path / "server.pem")
    return context


def plain(port: int, _: Path) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.recv(100)


def gone(port: int, _: Path) -> None:
    socket.create_connection(("127.0.0.1", port), 10).close()


def silent(port: int, _: Path) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.recv(100)


def old(port: int, tmp_path: Path) -> None:
    ask(port, client(tmp_path, maximum_version=ssl.TLSVersion.TLSv1_2))


def nameless(port: int, tmp_path: Path) -> None:
    ask(port, client(tmp_path))


def foreign(port: int, tmp_path: Path) -> None:
    context = client(tmp_path)
    context.load_cert_chain(Authority().issue(tmp_path / "foreign.pem"))
    ask(port, context)


def doubtful(port: int, _: Path) -> None:
    ask(port, ssl.create_default_context())


@pytest.mark.parametrize(
    ("visit", "reason"),
    [
        (plain, "not_tls"),
        (gone, "unfinished"),
        (silent, "unfinished"),
        (old, "version"),
        (nameless, "no_client_certificate"),
        (foreign, "client_certificate"),
        (doubtful, "refused_by_client"),
    ],
)
async def test_a_handshake_that_fails_is_counted_once_by_its_reason(
    certificate: LiveCertificate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    visit: Callable[[int, Path], None],
    reason: str,
) -> None:
    monkeypatch.setattr(app, "HANDSHAKE_TIMEOUT_S", 0.2)
    async with serving_tls(certificate) as port:
        assert (await asyncio.to_thread(ask, port, certified(tmp_path)))[0] == "secure"
        with suppress(OSError):
            await asyncio.to_thread(visit, port, tmp_path)
        async with asyncio.timeout(30):
            while not certificate.failures:
                gc.collect()  # a connection that has ended may be part of a cycle
                await asyncio.sleep(0.01)
    gc.collect()
    assert certificate.failures == {reason: 1}


@pytest.mark.usefixtures("certificate")
def test_the_metrics_tell_of_failed_handshakes(tmp_path: Path) -> None:
    tls = f'[tls]\ncertificate = "{tmp_path}/server.pem"\n'
    with serving(tmp_path, "http://127.0.0.1:9", more_settings=tls, server="[telemetry]\nstore_check_s = 0") as served:
        plain(int(served.place.authority.partition(":")[2]), tmp_path)
        host, _, port = served.admin.partition(":")
        with socket.create_connection((host, int(port)), 10) as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            page = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert b'gateway_tls_handshakes_failed_total{reason="not_tls"} 1\n' in page
    telemetry = Telemetry(handshakes_failed=Counter(cipher=2))
    assert telemetry.counts()["gateway_tls_handshakes_failed_total", "cipher"] == 2
