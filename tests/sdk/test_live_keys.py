"""Awkward names of objects through every client, on every real store: what can be sent comes back as it was.

LIVE_LONG=1 sends every name through every client to every store; otherwise each client has a share of them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.sdk.awkward_keys import KEYS
from tests.sdk.folder_clients import FOLDER_CLIENTS, file_names, round_trip_of_files
from tests.sdk.key_clients import S3_CLIENTS, VENDOR_CLIENTS
from tests.sdk.live_clients import Account
from tests.sdk.round_trips import raw, round_trips
from tests.sdk.unsendable_keys import UNSENDABLE, UNSENDABLE_AT, unsendable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.stores_up.fixtures import Live

IS_LONG = os.environ.get("LIVE_LONG") == "1"
pytestmark = [pytest.mark.store, pytest.mark.timeout(1200 if IS_LONG else 400)]
CLIENTS = {**S3_CLIENTS, **VENDOR_CLIENTS}
FAILING = {*UNSENDABLE, *(client for client, _ in UNSENDABLE_AT)}
SHARES = {"rgw": 6, "swift": 18}  # one in so many names; Swift is slow
on_rgw = pytest.mark.parametrize("live", ["rgw"], indirect=True)


def share(names: Sequence[str], of: str, store: str) -> list[str]:
    """Return a client's share of the names: another one for each, so that together they have them all."""
    return list(names) if IS_LONG else list(names[[*CLIENTS, *FOLDER_CLIENTS].index(of) :: SHARES[store]])


@pytest.fixture
def store_name(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["live"])


def test_there_are_two_hundred_names() -> None:
    assert len(set(KEYS)) == len(KEYS) == 200
    assert max(len(key.encode()) for key in KEYS) == 1024
    wanted = set(KEYS)
    for of in CLIENTS:
        wanted -= set(share(KEYS, of, "rgw"))
    assert not wanted


@pytest.mark.parametrize("client", CLIENTS)
def test_names_come_back_as_they_were(live: Live, client: str, store_name: str) -> None:
    keys = share(KEYS, client, store_name)
    with CLIENTS[client](Account.of(live.gateway.place)) as calls:
        told = round_trips(calls, live.store, keys)
    failed, expected = set(told), unsendable(client, store_name) & set(keys)
    assert failed == expected, {key: told.get(key, "went well") for key in failed ^ expected}


@pytest.mark.parametrize("client", [client for client in S3_CLIENTS if IS_LONG or client in FAILING])
def test_what_fails_fails_at_the_store_too(live: Live, client: str, store_name: str) -> None:
    expected = unsendable(client, store_name)
    wanted = expected | set(share(KEYS, client, store_name))
    with CLIENTS[client](Account.of(live.store)) as calls:
        assert set(round_trips(calls, live.store, sorted(wanted))) == expected


@on_rgw
def test_without_a_client_every_name_comes_back(live: Live) -> None:
    assert round_trips(raw(live.gateway.place), live.store, KEYS) == {}


@on_rgw
@pytest.mark.parametrize("client", FOLDER_CLIENTS)
def test_names_of_files_come_back_as_they_were(live: Live, client: str, tmp_path: Path) -> None:
    calls = FOLDER_CLIENTS[client](Account.of(live.gateway.place))
    names = share(file_names(), client, "rgw")
    assert set(round_trip_of_files(calls, live.store, names, tmp_path)) == unsendable(client) & set(names)
