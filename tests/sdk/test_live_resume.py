"""Uploads of a file by every SDK, in parts of its default size: whole, cut off and resumed, on every real store.

LIVE_LONG=1 runs every client on every store; otherwise the slower store gets those alone whose parts are small.
"""

from __future__ import annotations

import os
import random
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import oss2
import pytest

from tests.sdk.cutting_proxy import cutting
from tests.sdk.live_clients import Account
from tests.sdk.resuming import FORGETFUL, REPEATING, RESUMING, Job
from tests.sdk.vendor_cos import Cos
from tests.sdk.vendor_oss import Oss2
from tests.served import serving
from tests.stores_up.fixtures import BUCKET, HOSTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tests.sdk.vendor_calls import Vendor
    from tests.served import Place
    from tests.stores_up.fixtures import Live

pytestmark = [pytest.mark.store, pytest.mark.timeout(400)]
DATA = random.Random(23).randbytes(23 * 1024 * 1024)  # noqa: S311 # bytes, not secrets
ALL = {**RESUMING, **REPEATING}
IS_LONG = os.environ.get("LIVE_LONG") == "1"
SAMPLE = ("oss2 V4", "alibabacloud-oss-v2", "cos-python", "ali-oss")
on_rgw = pytest.mark.parametrize("live", ["rgw"], indirect=True)
on_swift = pytest.mark.parametrize("live", ["swift"], indirect=True)


def each_of(clients: Iterable[str], *sample: str) -> pytest.MarkDecorator:
    """Parametrise with the clients; with a sample alone where there is one and time is short."""
    chosen = [client for client in sample or clients if "KB" not in client]
    return pytest.mark.parametrize("client", clients if IS_LONG else chosen)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("resume") / "file.bin"
    path.write_bytes(DATA)
    return path


@pytest.fixture(scope="module")
def other_port(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A second gateway in front of the same store: it has seen nothing of what the first one has."""
    place, folder = live.store, tmp_path_factory.mktemp("other-gateway")
    with serving(folder, f"http://{place.authority}", place.key_id, place.secret.reveal(), HOSTS) as gateway:
        yield port_of(gateway.place)


@pytest.fixture
def job(live: Live, file: Path, tmp_path: Path) -> Job:
    place, key = live.gateway.place, f"resume/{secrets.token_hex(6)}/a b+\u56fe.bin"
    return Job(port_of(place), place.key_id, place.secret.reveal(), key, file, tmp_path)


def port_of(place: Place) -> int:
    return int(place.authority.rpartition(":")[2])


def stored(live: Live, job: Job) -> bytes:
    """The object as the store has it; b"" without one."""
    status, _, body = live.store.request("GET", f"/{BUCKET}/{quote(job.key)}")
    assert status in (200, 404)
    return body if status == 200 else b""


@on_rgw
@each_of(ALL)
def test_a_file_arrives_whole(live: Live, job: Job, client: str) -> None:
    ALL[client](job)
    assert stored(live, job) == DATA


@on_rgw
@each_of(RESUMING)
def test_an_upload_that_was_cut_off_is_resumed(live: Live, job: Job, other_port: int, client: str) -> None:
    check_resumed(live, job, other_port, client)


@on_swift
@each_of(RESUMING, *SAMPLE)
def test_an_upload_to_swift_that_was_cut_off_is_resumed(live: Live, job: Job, other_port: int, client: str) -> None:
    check_resumed(live, job, other_port, client)


def check_resumed(live: Live, job: Job, other_port: int, client: str) -> None:
    upload = RESUMING[client]
    with cutting(job.port, cut_after=1) as proxy:
        through_proxy = replace(job, port=proxy.port)
        with pytest.raises(Exception):  # noqa: B017, PT011 # each SDK raises its own
            upload(through_proxy)
        assert proxy.cuts == 1
        assert stored(live, job) == b""
        first = set(proxy.answered)
        proxy.heal(other_port)
        upload(through_proxy)
        assert first & set(proxy.sent) == (first if client in FORGETFUL else set())
    assert stored(live, job) == DATA


@on_rgw
@each_of(REPEATING)
def test_an_upload_that_is_cut_off_goes_on(live: Live, job: Job, client: str) -> None:
    with cutting(job.port, cut_after=1, heals_itself=True) as proxy:
        REPEATING[client](replace(job, port=proxy.port))
        assert proxy.cuts == 1
        assert len(proxy.answered) == len(set(proxy.answered)), "nothing is sent again that had arrived"
    assert stored(live, job) == DATA


@pytest.mark.parametrize("build", [lambda account: Oss2(account, oss2.AuthV4), Cos], ids=["oss2", "cos-python"])
def test_small_parts_may_be_copied_too(live: Live, job: Job, build: Callable[[Account], Vendor]) -> None:
    vendor = build(Account(job.port, 0, "", job.key_id, job.secret))
    small, large = DATA[: 1024 * 1024], DATA[: 6 * 1024 * 1024]
    vendor.put(f"{job.key}.small", small)
    upload = vendor.begin(job.key)
    tags = [(1, vendor.copy_part(job.key, upload, 1, f"{job.key}.small")), (2, vendor.part(job.key, upload, 2, small))]
    tags += [(3, vendor.part(job.key, upload, 3, large)), (4, vendor.copy_part(job.key, upload, 4, f"{job.key}.small"))]
    assert [(number, etag) for number, etag, _ in vendor.parts(job.key, upload)] == tags
    vendor.complete(job.key, upload, tags)
    assert stored(live, job) == small + small + large + small
