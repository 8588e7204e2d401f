"""TLS on the public port and to the store: whom it believes, what it serves, how a certificate is replaced."""

from __future__ import annotations

import asyncio
import http.client
import logging
import os
import re
import socket
import ssl
import tomllib
import urllib.request
from contextlib import asynccontextmanager, suppress
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from gateway import app
from gateway.app import listen_on, renew
from gateway.commands.config import read
from gateway.dialects.base import Rendered
from gateway.errors import UPSTREAM_UNREACHABLE
from gateway.listener import PublicServer
from gateway.settings import SettingsError, load
from gateway.supervisor import renew as supervisor_renews
from gateway.telemetry import Telemetry
from gateway.tls import LiveCertificate, TlsError, TlsSettings, opened, read_chain, store_context
from gateway.wire import Exchange
from tests.certificates import Authority
from tests.fake_store import FakeStore
from tests.harness import running_gateway
from tests.proc import eventually
from tests.served import serving
from tests.threaded_store import threaded_store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.connection import Incoming

NOW = datetime.now(UTC)
LONG = bytes(range(251)) * 20_000  # 5 MB, of which the gateway could see the first part only, were it not encrypted
NOBODY = "http://127.0.0.1:9"  # what is refused unsigned never reaches a store


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority()
    made.write(tmp_path / "ca.pem")
    return made


def settings_for(tmp_path: Path, **more: str) -> TlsSettings:
    return TlsSettings(certificate=str(tmp_path / "server.pem"), **more)  # type: ignore[arg-type] # one is a Literal


def client(tmp_path: Path, **limits: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    for name, value in limits.items():
        setattr(context, name, value)
    return context


# --- the public port ------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving_tls(certificate: LiveCertificate) -> AsyncIterator[int]:
    """Serve one word over TLS the way the gateway process does; yields the port."""

    async def handle(request: Incoming) -> None:
        text = b"secure" if request.connection.secure else b"plain"
        await Exchange(request, 0).send(Rendered(200, (), text))

    listening = socket.create_server(("127.0.0.1", 0))
    server = PublicServer(handle, lambda _: pytest.fail("unreadable"))
    listener = await listen_on(server, listening, certificate)
    yield listening.getsockname()[1]
    listener.close()
    await server.shutdown(0.1)


def ask(port: int, context: ssl.SSLContext) -> tuple[str, str, str]:
    """Return the answer, the TLS version and the name in the server's certificate."""
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    connection.request("GET", "/")
    assert isinstance(connection.sock, ssl.SSLSocket)
    shown = x509.load_der_x509_certificate(connection.sock.getpeercert(binary_form=True) or b"")
    version = connection.sock.version() or ""
    text = connection.getresponse().read().decode()
    connection.close()
    return text, version, str(shown.subject.rfc4514_string())


async def test_the_port_speaks_tls_from_1_2_on_and_a_request_knows_it(authority: Authority, tmp_path: Path) -> None:
    authority.issue(tmp_path / "server.pem")
    async with serving_tls(LiveCertificate(settings_for(tmp_path))) as port:
        assert await asyncio.to_thread(ask, port, client(tmp_path)) == ("secure", "TLSv1.3", "CN=server")
        at_most = client(tmp_path, maximum_version=ssl.TLSVersion.TLSv1_2)
        assert (await asyncio.to_thread(ask, port, at_most))[1] == "TLSv1.2"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("minimum", "offered"), [("1.2", ssl.TLSVersion.TLSv1_1), ("1.3", ssl.TLSVersion.TLSv1_2)])
async def test_an_older_version_is_refused(
    authority: Authority, tmp_path: Path, minimum: str, offered: ssl.TLSVersion
) -> None:
    authority.issue(tmp_path / "server.pem")
    async with serving_tls(LiveCertificate(settings_for(tmp_path, minimum_version=minimum))) as port:
        older = client(tmp_path, minimum_version=ssl.TLSVersion.TLSv1, maximum_version=offered)
        older.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(OSError, match=r"(?i)version|protocol|reset"):
            await asyncio.to_thread(ask, port, older)


async def test_a_plain_request_gets_no_answer_on_a_tls_port(authority: Authority, tmp_path: Path) -> None:
    authority.issue(tmp_path / "server.pem")
    async with serving_tls(LiveCertificate(settings_for(tmp_path))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ConnectionError):
            assert b"HTTP" not in await reader.read()
        writer.close()


async def test_who_connects_and_says_nothing_is_let_go(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "HANDSHAKE_TIMEOUT_S", 0.1)
    authority.issue(tmp_path / "server.pem")
    async with serving_tls(LiveCertificate(settings_for(tmp_path))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 30) == b""
        writer.close()


async def test_with_client_authorities_only_their_clients_get_in(authority: Authority, tmp_path: Path) -> None:
    authority.issue(tmp_path / "server.pem")
    clients = Authority()
    clients.write(tmp_path / "clients.pem")
    known, stranger = client(tmp_path), client(tmp_path)
    known.load_cert_chain(clients.issue(tmp_path / "known.pem"))
    stranger.load_cert_chain(Authority().issue(tmp_path / "stranger.pem"))
    live = LiveCertificate(settings_for(tmp_path, client_ca=str(tmp_path / "clients.pem")))
    async with serving_tls(live) as port:
        assert (await asyncio.to_thread(ask, port, known))[0] == "secure"
        for refused in (client(tmp_path), stranger):
            with pytest.raises((OSError, http.client.HTTPException)):
                await asyncio.to_thread(ask, port, refused)
        Authority().write(tmp_path / "clients.pem")  # other authorities, for new connections at once
        live.reload(NOW)
        with pytest.raises((OSError, http.client.HTTPException)):
            await asyncio.to_thread(ask, port, known)


def test_what_is_no_certificate_and_key_is_named(authority: Authority, tmp_path: Path) -> None:
    good = authority.issue(tmp_path / "good.pem")
    other = authority.issue(tmp_path / "other.pem")
    locked = authority.issue(tmp_path / "locked.pem", passphrase=b"secret")
    empty = tmp_path / "empty.pem"
    empty.touch()
    for certificate, key, words in (
        (tmp_path / "gone.pem", None, r"tls\.certificate, tls\.key: No such file"),
        (empty, None, "tls.certificate, tls.key: "),
        (tmp_path / "ca.pem", None, "tls.certificate, tls.key: "),  # without a key
        (good, other, "key values mismatch"),
        (locked, None, "tls.certificate, tls.key: "),  # and nobody is asked for a passphrase
    ):
        with pytest.raises(TlsError, match=words):
            read_chain(TlsSettings(str(certificate), str(key or "")))
    with pytest.raises(TlsError, match=r"tls\.client_ca: .*gone"):
        read_chain(TlsSettings(str(good), client_ca=str(tmp_path / "gone")))


# --- a new certificate ----------------------------------------------------------------------------------------------


def test_without_a_certificate_there_is_no_tls() -> None:
    assert opened(TlsSettings()) is None


def test_a_change_is_seen_when_the_files_have_been_left_alone_between_two_looks(
    authority: Authority, tmp_path: Path
) -> None:
    authority.issue(tmp_path / "server.pem")
    live = opened(settings_for(tmp_path))
    assert live
    assert [live.has_changed() for _ in range(3)] == [False] * 3
    authority.issue(tmp_path / "server.pem")
    assert [live.has_changed() for _ in range(2)] == [False, True]
    live.reload(NOW)
    assert live.has_changed() is False


@pytest.mark.parametrize("broken", ["half", "gone", "expired", "other key"])
async def test_a_broken_certificate_keeps_the_old_one_with_a_line_and_a_count(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr(app, "_LOOK_S", 0.02)
    path = authority.issue(tmp_path / "server.pem", "first")
    live, telemetry = LiveCertificate(settings_for(tmp_path)), Telemetry()
    renewing = asyncio.create_task(renew(live, telemetry))
    async with serving_tls(live) as port, asyncio.timeout(30):
        spoil(authority, path, broken)
        while not telemetry.certificate_reloads["failed"]:  # noqa: ASYNC110 # a counter tells nobody
            await asyncio.sleep(0.01)
        assert (await asyncio.to_thread(ask, port, client(tmp_path)))[2] == "CN=first"
        authority.issue(path, "second")
        while not telemetry.certificate_reloads["ok"]:  # noqa: ASYNC110 # a counter tells nobody
            await asyncio.sleep(0.01)
        assert (await asyncio.to_thread(ask, port, client(tmp_path)))[2] == "CN=second"
    renewing.cancel()
    (record,) = caplog.records
    assert record.getMessage().startswith("this gateway process keeps its old certificate: tls.certificate")
    shown = telemetry.exposition()
    assert 'gateway_certificate_reloads_total{result="failed"} 1\n' in shown
    assert 'gateway_certificate_reloads_total{result="ok"} 1\n' in shown
    (expiry,) = re.findall(r"gateway_certificate_expiry_timestamp_seconds (\d+)\n", shown)
    assert timedelta(hours=23) < datetime.fromtimestamp(int(expiry), UTC) - NOW < timedelta(hours=25)


def spoil(authority: Authority, path: Path, how: str) -> None:
    match how:
        case "half":
            path.write_bytes(path.read_bytes()[:300])
        case "gone":
            path.unlink()
        case "expired":
            authority.issue(path, life=timedelta(days=-1))
        case "other key":
            other = authority.issue(path.with_name("other.pem")).read_bytes()
            path.write_bytes(
                path.read_bytes().partition(b"-----BEGIN PRIVATE")[0] + other[other.index(b"-----BEGIN P") :]
            )


def test_the_supervisor_keeps_the_last_good_certificate_for_processes_to_come(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = authority.issue(tmp_path / "server.pem")
    live = LiveCertificate(settings_for(tmp_path))
    before = live.expires_at
    path.write_text("half a certificate")
    supervisor_renews(live, NOW)
    assert live.expires_at == before
    authority.issue(path, life=timedelta(days=9))
    supervisor_renews(live, NOW)
    assert live.expires_at > before
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("the old certificate stays in force: tls.certificate")
    assert said[1].startswith("read the certificate again, it expires at ")


def test_the_gateway_serves_a_new_certificate_without_losing_a_request(authority: Authority, tmp_path: Path) -> None:
    path = authority.issue(tmp_path / "server.pem", "first")
    # Relative: beside the settings. Nobody is the store, so nobody is asked whether it is there.
    more = f'[tls]\ncertificate = "{path.name}"\n[telemetry]\nstore_check_s = 0\n'
    with serving(tmp_path, NOBODY, more_settings=more) as gateway:
        port = int(gateway.place.authority.rpartition(":")[2])
        names: set[str] = set()

        def sees(name: str) -> bool:
            text, _, subject = ask(port, client(tmp_path))
            assert "AccessDenied" in text, text
            names.add(subject)
            return subject == name

        assert sees("CN=first")
        path.write_text("half a certificate")
        eventually(lambda: sees("CN=first") and b'reloads_total{result="failed"} 1' in metrics(gateway.admin))
        for pid in gateway.gateway_pids():
            os.kill(pid, 9)  # its successor has the old certificate from the supervisor
        eventually(lambda: reachable(port))
        assert sees("CN=first")
        authority.issue(path, "second")
        eventually(lambda: sees("CN=second"))
        assert names == {"CN=first", "CN=second"}
    log = (tmp_path / "serve.log").read_text()
    assert "ready on https://" in log
    assert "the old certificate stays in force: tls.certificate" in log


def test_a_long_body_comes_whole_where_the_client_speaks_tls(authority: Authority, tmp_path: Path) -> None:
    more = f'[tls]\ncertificate = "{authority.issue(tmp_path / "server.pem").name}"\n'
    store = FakeStore(objects={"/demo/key": LONG})
    with threaded_store(store) as endpoint, serving(tmp_path, endpoint, more_settings=more) as gateway:
        place = gateway.place
        url = f"https://{place.authority}/demo/key?{place.presigned('GET', '/demo/key')}"
        with urllib.request.urlopen(url, timeout=10, context=client(tmp_path)) as answer:
            assert answer.read() == LONG


def metrics(admin: str) -> bytes:
    with urllib.request.urlopen(f"http://{admin}/metrics", timeout=10) as answer:
        return bytes(answer.read())


def reachable(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


# --- the store ------------------------------------------------------------------------------------------------------


async def fetch(endpoint: str, **upstream: object) -> tuple[int, bytes]:
    row = {"endpoint": endpoint, "access_key": "up", "secret": "up-secret", **upstream}
    async with running_gateway(endpoint, upstream={"default": row}) as gateway:
        status, _, body = await gateway.get(gateway.s3_url("/demo/key"))
        return status, body


async def test_a_store_is_believed_only_with_a_certificate_of_a_trusted_authority(
    authority: Authority, tmp_path: Path
) -> None:
    store = FakeStore(objects={"/demo/key": b"stored"})
    other = Authority().write(tmp_path / "other.pem")
    with threaded_store(store, authority.issue(tmp_path / "store.pem")) as endpoint:
        assert await fetch(endpoint, ca=str(tmp_path / "ca.pem")) == (200, b"stored")
        seen = len(store.seen)
        for trust in ({}, {"ca": str(other)}):
            status, body = await fetch(endpoint, **trust)
            assert (status, UPSTREAM_UNREACHABLE.code.encode() in body) == (UPSTREAM_UNREACHABLE.status, True)
        assert len(store.seen) == seen, "a request was sent to a stranger"
        assert await fetch(endpoint, verify=False) == (200, b"stored")


async def test_a_long_body_comes_whole_where_the_store_speaks_tls(authority: Authority, tmp_path: Path) -> None:
    store = FakeStore(objects={"/demo/key": LONG})
    with threaded_store(store, authority.issue(tmp_path / "store.pem")) as endpoint:
        assert await fetch(endpoint, ca=str(tmp_path / "ca.pem")) == (200, LONG)


async def test_a_store_under_another_name_than_its_certificate_s_is_not_believed(
    authority: Authority, tmp_path: Path
) -> None:
    with threaded_store(FakeStore(), authority.issue(tmp_path / "store.pem")) as endpoint:
        named = endpoint.replace("127.0.0.1", "localhost")
        status, _ = await fetch(named, ca=str(tmp_path / "ca.pem"))
        assert status == UPSTREAM_UNREACHABLE.status


def test_the_system_s_authorities_are_trusted_by_default_and_anybody_only_when_told() -> None:
    assert load(None, {}, {"upstream": {"m": {"endpoint": "https://s"}}}).upstream["m"].verify is True
    trusting, credulous = store_context("", verify=True), store_context("", verify=False)
    assert (trusting.verify_mode, trusting.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert trusting.cert_store_stats() == ssl.create_default_context().cert_store_stats()
    assert (credulous.verify_mode, credulous.check_hostname) == (ssl.CERT_NONE, False)


# --- the settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"upstream": {"m": {"endpoint": "http://s", "ca": "ca.pem"}}}, "upstream.m.ca: counts only for"),
        ({"upstream": {"m": {"endpoint": "https://s", "ca": "ca.pem", "verify": False}}}, "upstream.m.ca: counts only"),
        ({"upstream": {"m": {"endpoint": "https://s", "ca": "/gone.pem"}}}, "upstream.m: ca: /gone.pem: No such file"),
        ({"tls": {"key": "k"}}, "need tls.certificate"),
        ({"tls": {"client_ca": "k"}}, "need tls.certificate"),
        ({"tls": {"certificate": "c", "minimum_version": "1.1"}}, "tls.minimum_version: must be '1.2' or '1.3'"),
    ],
)
def test_a_contradiction_is_named(table: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {}, {"upstream": {"m": {"endpoint": "https://s"}}, **table})
    assert words in str(caught.value)


def test_the_sample_names_every_setting_of_tls_as_it_is_called() -> None:
    sample = (Path(__file__).parent.parent / "config" / "gateway.toml").read_text()
    table = tomllib.loads(
        sample[sample.index("# [tls]") :].partition("\n\n")[0].replace("# ", "", 1).replace("\n# ", "\n")
    )["tls"]
    assert set(table) == {item.name for item in fields(TlsSettings)}
    assert load(None, {}, {"upstream": {"m": {"endpoint": "https://s"}}, "tls": table}).tls.minimum_version == "1.2"


def test_a_certificate_that_cannot_be_read_is_named_before_anything_listens(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text('[upstream.m]\nendpoint = "https://s"\n[tls]\ncertificate = "gone.pem"\n')
    with pytest.raises(SettingsError) as caught:
        read(path)
    assert str(caught.value).splitlines() == [
        "keys.file: is needed, or nobody could sign a request",
        "tls.certificate, tls.key: No such file or directory",
    ]
