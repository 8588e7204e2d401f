"""Further ways to sign and to connect, through the gateway in front of every real store; the rest is in the matrix."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import requests

from tests.certificates import Authority
from tests.imaging.pictures import encode, photo_like
from tests.sdk.live_clients import CLIENTS, Account
from tests.sdk.live_tls import tls_in_front_of
from tests.stores_up.fixtures import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stores_up.fixtures import Live

pytestmark = [pytest.mark.store, pytest.mark.timeout(400)]
PICTURE = encode(photo_like(480, 360), "JPEG", quality=90)
each_client = pytest.mark.parametrize("client", CLIENTS)
each_scoring_client = pytest.mark.parametrize("client", [name for name in CLIENTS if name.startswith("oss")])


@pytest.fixture(scope="module")
def account(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    place = live.gateway.place
    port = int(place.authority.rpartition(":")[2])
    folder, authority = tmp_path_factory.mktemp("tls"), Authority()
    ca_file = authority.write(folder / "ca.pem")
    with tls_in_front_of(port, authority.issue(folder / "server.pem")) as tls_port:
        yield Account(port, tls_port, str(ca_file), place.key_id, place.secret.reveal())


@pytest.fixture
def stored(live: Live, client: str) -> str:
    """The key of a picture that lies in the store, put there past the client."""
    key = f"stored/{client.replace(' ', '-')}.jpg"
    assert live.store.request("PUT", f"/{BUCKET}/{key}", (("content-type", "image/jpeg"),), PICTURE)[0] == 200
    return key


@each_client
def test_a_client_puts_looks_gets_lists_and_deletes(live: Live, account: Account, client: str) -> None:
    calls, key = CLIENTS[client](account), f"own/{client.replace(' ', '-')}.jpg"
    calls.put(key, PICTURE)
    assert live.store.request("GET", f"/{BUCKET}/{key}")[2] == PICTURE
    assert calls.length(key) == len(PICTURE)
    assert calls.get(key) == PICTURE
    assert calls.listed is None or key in calls.listed()
    calls.delete(key)
    assert live.store.request("HEAD", f"/{BUCKET}/{key}")[0] == 404


@each_client
def test_a_signed_url_gets_the_object(account: Account, client: str, stored: str) -> None:
    url = CLIENTS[client](account).url(stored)
    answer = requests.get(url, verify=account.ca_file, timeout=30)
    assert (answer.status_code, answer.content) == (200, PICTURE)


@each_client
def test_a_wrong_secret_is_refused(account: Account, client: str, stored: str) -> None:
    calls = CLIENTS[client](replace(account, secret="wrong"))
    with pytest.raises(Exception, match=r"SignatureDoesNotMatch|403"):
        calls.get(stored)
    with pytest.raises(Exception, match=r"SignatureDoesNotMatch|403"):
        calls.put("own/never.jpg", PICTURE)


@each_scoring_client
def test_a_client_gets_its_score(account: Account, client: str, stored: str) -> None:
    score = CLIENTS[client](account).score
    assert score
    assert 0.1 < score(stored) <= 1
