"""Every client does every operation on every real store, directly and through the gateway: `docs/compatibility.md`.

`make compatibility` writes the page anew.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.matrix.clients import Endpoint
from tests.matrix.fill import NOT_OFFERED, fill, missing_of_the_daily_work, worse_through_the_gateway
from tests.matrix.operations import OPERATIONS
from tests.matrix.page import STORES, Page, read, render, unexplained
from tests.matrix.registry import CLIENTS
from tests.stores_up.programs import alone, run

if TYPE_CHECKING:
    from tests.matrix.clients import Client
    from tests.matrix.fill import Column
    from tests.served import Place
    from tests.stores_up.fixtures import Live

PAGE = ROOT / "docs" / "compatibility.md"
WRITES = os.environ.get("COMPATIBILITY") == "write"
LEAST_OPERATIONS = 14


def endpoint(place: Place) -> Endpoint:
    return Endpoint(place.authority, place.key_id, place.secret.reveal())


def observed(live: Live, client: Client) -> tuple[Column, Column]:
    """Fill a client's columns at one store, both ways at the same time."""
    folder = f"matrix/{re.sub('[^a-z0-9]+', '-', client.name.lower()).strip('-')}"

    def column(place: Place, way: str) -> Column:
        return fill(client, endpoint(place), live.store, f"{folder}/{way}/")

    with ThreadPoolExecutor(2) as both:
        gateway = both.submit(column, live.gateway.place, "gateway")
        if client.dialect != "s3":
            return dict.fromkeys(OPERATIONS, NOT_OFFERED), gateway.result()
        direct = both.submit(column, live.store, "direct")
        return direct.result(), gateway.result()


def store_version(store: str) -> str:
    if store == "swift":
        return version("swift")
    return run(("radosgw", "--version"), 30).split()[2].decode()


def write(store: str, client: Client, columns: tuple[Column, Column]) -> None:
    """Put what was observed into the page."""
    with alone("compatibility"):
        page = read(PAGE.read_text()) if PAGE.exists() else Page()
        page.versions |= {STORES[store]: store_version(store), client.name: client.version()}
        for way, column in zip(("direct", "gateway"), columns, strict=True):
            page.columns[client.name, f"{STORES[store]}, {way}"] = column
        PAGE.write_text(render(page))


@pytest.mark.store
@pytest.mark.timeout(600)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_does_what_the_page_says(live: Live, client: Client, request: pytest.FixtureRequest) -> None:
    store = request.node.callspec.params["live"]
    direct, gateway = observed(live, client)
    if WRITES:
        write(store, client, (direct, gateway))
    assert worse_through_the_gateway(direct, gateway) == {}
    assert client.dialect == "s3" or missing_of_the_daily_work(gateway) == {}
    page = read(PAGE.read_text())
    assert page.columns[client.name, f"{STORES[store]}, direct"] == direct
    assert page.columns[client.name, f"{STORES[store]}, gateway"] == gateway


def test_the_page_is_what_its_cells_make_it() -> None:
    text = PAGE.read_text()
    assert render(read(text)) == text


def test_the_page_gives_a_reason_for_every_red_cell() -> None:
    assert unexplained(read(PAGE.read_text())) == set()


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_the_page_says_enough_about_each_client(client: Client) -> None:
    page = read(PAGE.read_text())
    for store in STORES.values():
        cells = page.columns[client.name, f"{store}, gateway"].values()
        assert sum(cell != NOT_OFFERED for cell in cells) >= LEAST_OPERATIONS
