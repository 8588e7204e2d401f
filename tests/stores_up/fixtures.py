"""Fixtures: the real stores, started when the first test asks for them, and a gateway in front of each."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.served import Place, Served, serving
from tests.stores_up import rgw as ceph
from tests.stores_up.debian import install

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "live"
COS_BUCKET = f"{BUCKET}-1250000000"  # Tencent's names end in the account's number
HOSTS = f"""
[buckets.{BUCKET}]
aliases = ["{COS_BUCKET}"]
[dialects.oss]
hosts = ["oss.localhost"]
[dialects.cos]
hosts = ["cos.localhost", "cos.ap-beijing.myqcloud.com"]
"""
TIMES = pytest.StashKey[list[str]]()


@dataclass(frozen=True)
class Live:
    """A real store, with the bucket `live` in it, and a gateway in front of it."""

    store: Place
    gateway: Served


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Place]:
    """The embedded store by itself."""
    pytest.importorskip("swift", reason="the embedded store is not installed (pip install .[demo])")
    from gateway.stores.embedded import EmbeddedStore  # noqa: PLC0415 # only where Swift is there

    store = EmbeddedStore(tmp_path_factory.mktemp("swift") / "data")
    with timed(pytestconfig, "Swift: start"):
        access = store.start()
    yield Place(access.endpoint.removeprefix("http://"), access.access_key_id, access.secret)
    store.stop()


@pytest.fixture(scope="session")
def rgw(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Place]:
    """A Ceph RGW, from Debian's packages."""
    with timed(pytestconfig, "Ceph RGW: install"):
        install(*ceph.PROGRAMS)
    cluster = ceph.Rgw(tmp_path_factory.mktemp("rgw"))
    try:
        with timed(pytestconfig, "Ceph RGW: start"):
            place = cluster.start()
        yield place
    finally:
        cluster.stop()


@pytest.fixture(scope="module", params=["swift", "rgw"])
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A gateway in front of each real store."""
    store: Place = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp(f"{request.param}-gateway")
    with serving(folder, f"http://{store.authority}", store.key_id, store.secret.reveal(), HOSTS) as gateway:
        assert gateway.place.request("PUT", f"/{BUCKET}")[0] in (200, 409)  # another module may have made it
        yield Live(store, gateway)


@contextmanager
def timed(config: pytest.Config, what: str) -> Iterator[None]:
    """Note how long something took; the run's summary tells it."""
    started = time.monotonic()
    yield
    config.stash.setdefault(TIMES, []).append(f"{what} took {time.monotonic() - started:.1f} s")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(TIMES, []):
        terminalreporter.write_line(line)
