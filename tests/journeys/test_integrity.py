"""A body that is not what was promised never becomes an object, on real stores: the last byte is held back."""

from __future__ import annotations

import hashlib
import http.client
import random
import re
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from gateway.dialects.xml import XmlLimits, parse
from tests.digests import content_md5, md5
from tests.journeys import uploads
from tests.stores_up.fixtures import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.journeys.uploads import Upload
    from tests.stores_up.fixtures import Live

pytestmark = [pytest.mark.store, pytest.mark.timeout(400)]
DATA = random.Random(3).randbytes(2 * uploads.CHUNK_BYTES + 1000)  # noqa: S311 # bytes, not secrets
OLD = b"what was there before"
FLIPS = 30  # in each mode, on each kind of place: 270 on each store
UNSIGNED = "UNSIGNED-PAYLOAD"
DIGEST = hashlib.sha256(DATA).hexdigest()
OTHER = DATA[:-1] + bytes([DATA[-1] ^ 1])

each_kind = pytest.mark.parametrize("kind", ["new", "overwritten", "part"])
each_mode = pytest.mark.parametrize("mode", uploads.MODES)


@dataclass(frozen=True)
class Destination:
    """Where an upload may go, and the proof, asked of the store itself, that nothing has arrived there."""

    live: Live
    kind: str
    path: str
    query: str = ""

    def assert_untouched(self, after: str) -> None:
        store = self.live.store
        match self.kind:
            case "new":
                assert store.request("HEAD", self.path)[0] == 404, after
            case "overwritten":
                assert store.request("GET", self.path)[2] == OLD, after
            case _:
                status, _, listing = store.request("GET", self.path, query=self.query.partition("&")[2])
                assert (status, b"<PartNumber>" in listing) == (200, False), after


@pytest.fixture
def destination(live: Live, kind: str) -> Iterator[Destination]:
    path = f"/{BUCKET}/integrity/{kind}"
    store = live.store
    match kind:
        case "new":
            yield Destination(live, kind, path)
        case "overwritten":
            assert store.request("PUT", path, (), OLD)[0] == 200
            yield Destination(live, kind, path)
        case _:
            started = store.request("POST", path, query="uploads")[2]
            upload_id = parse(started, XmlLimits()).child_text("UploadId")
            yield Destination(live, kind, path, f"partNumber=1&uploadId={upload_id}")
            assert store.request("DELETE", path, query=f"uploadId={upload_id}")[0] == 204
    store.request("DELETE", path)


def flips(upload: Upload, seed: str) -> Iterator[tuple[int, int]]:
    """Choose positions, two thirds of them in the framing, and a bit for each.

    In the framing bit 5 stays: it would only turn a letter of a hexadecimal size, or of a trailer's name, into a
    capital, which means the same.
    """
    draw = random.Random(seed)  # noqa: S311 # the same positions in each run
    data = sorted(set(range(len(upload.body))) - set(upload.framing))
    for position in draw.sample(upload.framing, FLIPS * 2 // 3):
        yield position, draw.choice((0, 1, 2, 3, 4, 6, 7))
    for position in draw.sample(data, FLIPS // 3):
        yield position, draw.randrange(8)


@each_kind
@each_mode
def test_a_flipped_bit_leaves_nothing(live: Live, destination: Destination, mode: str) -> None:
    gateway = live.gateway.place
    upload = uploads.chunked(gateway, destination.path, destination.query, DATA, mode)
    for position, bit in flips(upload, f"{mode} {destination.kind}"):
        around = f"bit {bit} of byte {position} in {upload.body[max(0, position - 30) : position + 30]!r}"
        status, text = uploads.send(gateway, upload.flipped(position, bit), pause_at=position)
        assert status in (400, 403), f"{status} {text} after {around}"
        destination.assert_untouched(around)


@each_kind
@each_mode
def test_the_same_upload_arrives_when_no_bit_is_flipped(live: Live, destination: Destination, mode: str) -> None:
    gateway = live.gateway.place
    status, text = uploads.send(gateway, uploads.chunked(gateway, destination.path, destination.query, DATA, mode))
    assert status == 200, text
    if destination.kind == "part":
        listing = live.store.request("GET", destination.path, query=destination.query.partition("&")[2])[2]
        assert md5(DATA) in listing.decode()
    else:
        assert live.store.request("GET", destination.path)[2] == DATA


WRONG = {
    "x-amz-content-sha256": (DIGEST, (), "XAmzContentSHA256Mismatch"),
    "Content-MD5": (UNSIGNED, (("content-md5", content_md5(DATA)),), "BadDigest"),
    "crc32": (UNSIGNED, (("x-amz-checksum-crc32", uploads.crc32_base64(DATA)),), "BadDigest"),
}


@each_kind
@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_digest_leaves_nothing(live: Live, destination: Destination, what: str) -> None:
    payload, headers, code = WRONG[what]
    gateway = live.gateway.place
    upload = uploads.plain(gateway, destination.path, destination.query, OTHER, payload, headers)
    status, text = uploads.send(gateway, upload)
    assert (status, re.findall("<Code>(.*?)</Code>", text)) == (400, [code])
    destination.assert_untouched(what)
    right = uploads.plain(gateway, destination.path, destination.query, DATA, payload, headers)
    assert uploads.send(gateway, right)[0] == 200


@each_kind
@pytest.mark.parametrize("vanish", [False, True], ids=["ends", "vanishes"])
@pytest.mark.parametrize("mode", [*uploads.MODES, UNSIGNED, DIGEST], ids=[*uploads.MODES, UNSIGNED, "digest"])
def test_a_client_that_leaves_early_leaves_nothing(
    live: Live, destination: Destination, mode: str, *, vanish: bool
) -> None:
    gateway = live.gateway.place
    make = uploads.plain if mode in (UNSIGNED, DIGEST) else uploads.chunked
    upload = make(gateway, destination.path, destination.query, DATA, mode)
    whole = len(upload.body)
    for length in (0, 1, whole // 2, whole - 100, whole - 1):
        before = requests_ended(live)
        status = uploads.send_in_part(gateway, upload, length, vanish=vanish)
        assert status in (0, 400), status
        wait_until_ended(live, before + 1)
        destination.assert_untouched(f"{length} of {whole} bytes")


def requests_ended(live: Live) -> int:
    with closing(http.client.HTTPConnection(live.gateway.admin, timeout=5)) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    return sum(int(count) for count in re.findall(r"^gateway_requests_total\{.*\} (\d+)$", text, re.MULTILINE))


def wait_until_ended(live: Live, count: int) -> None:
    """Wait until the gateway has done with a request whose client no longer waits for an answer."""
    deadline = time.monotonic() + 30
    while requests_ended(live) < count:
        assert time.monotonic() < deadline, "the gateway still works on the request"
        time.sleep(0.01)


def test_nothing_of_all_this_lies_in_the_store(live: Live) -> None:
    listing = live.store.request("GET", f"/{BUCKET}", query="list-type=2&prefix=integrity%2F")[2]
    assert (b"<Name>live</Name>" in listing, b"<Contents>" in listing) == (True, False)
