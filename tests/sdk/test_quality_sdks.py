"""Cloudinary's and Sightengine's own SDKs ask for scores: only their base URL is changed."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import cloudinary
import cloudinary.api
import pytest
from sightengine.client import SightengineClient

from tests.harness import KEY_ID, SECRET
from tests.imaging.pictures import encode, photo_like
from tests.journeys.neighbourhood import Neighbourhood, cloud_gateway, neighbourhood
from tests.node.packages import Node, prepare_node
from tests.stores_up.programs import ProgramError
from tests.stores_up.required import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.fake_store import FakeStore
    from tests.harness import GatewayUnderTest

pytestmark = pytest.mark.timeout(400)
PICTURE = encode(photo_like(480, 360), "JPEG", quality=90)


@pytest.fixture
async def around() -> AsyncIterator[Neighbourhood]:
    async with neighbourhood() as running:
        running.pictures["/a%20b.jpg?x=1&y=2"] = PICTURE
        yield running


@pytest.fixture
async def gateway(
    store: FakeStore, scorer_address: str, tmp_path: Path, around: Neighbourhood
) -> AsyncIterator[GatewayUnderTest]:
    store.objects["/demo/a%20b.jpg"] = PICTURE
    async with cloud_gateway(store.endpoint, scorer_address, tmp_path, around) as running:
        yield running


@pytest.fixture(scope="module")
def node() -> Node:
    try:
        return prepare_node()
    except ProgramError as error:
        unavailable(f"the npm SDKs cannot be had: {error}")


def check(gateway: GatewayUnderTest, *models: str, secret: str = SECRET.reveal()) -> Any:
    asked = SightengineClient(KEY_ID, secret).check(*models)
    asked.endpoint = f"{gateway.url}/1.0/"
    return asked


async def test_sightengine_from_pypi_sets_a_url_a_file_and_bytes(
    gateway: GatewayUnderTest, around: Neighbourhood, tmp_path: Path
) -> None:
    file = tmp_path / "a b.jpg"
    file.write_bytes(PICTURE)
    url = f"{around.url}/a b.jpg?x=1&y=2"
    answers = [
        await asyncio.to_thread(check(gateway, "quality").set_url, url),
        await asyncio.to_thread(check(gateway, "quality", "properties").set_url, "s3://demo/a b.jpg"),
        await asyncio.to_thread(check(gateway, "quality").set_file, str(file)),
        await asyncio.to_thread(check(gateway, "quality").set_bytes, PICTURE),
    ]
    assert [answer["status"] for answer in answers] == ["success"] * 4, answers
    assert len({answer["quality"]["score"] for answer in answers}) == 1
    assert [answer["media"]["uri"] for answer in answers] == [url, "s3://demo/a b.jpg", "a b.jpg", "media"]


async def test_sightengine_from_pypi_reads_its_errors(gateway: GatewayUnderTest) -> None:
    wrong = await asyncio.to_thread(check(gateway, "quality", secret="wrong").set_bytes, PICTURE)
    assert wrong["error"] == {"type": "argument_error", "code": 1, "message": "Incorrect API user or API secret"}
    none = await asyncio.to_thread(check(gateway, "quality").set_bytes, b"no picture")
    assert (none["status"], none["error"]["type"]) == ("failure", "media_error")
    video = await asyncio.to_thread(check(gateway, "quality").video_sync, "http://a.test/a.mp4")
    assert video["error"]["type"] == "argument_error"


async def test_cloudinary_from_pypi_analyses(gateway: GatewayUnderTest, around: Neighbourhood) -> None:
    cloudinary.config(cloud_name="demo", api_key=KEY_ID, api_secret=SECRET.reveal(), upload_prefix=gateway.url)
    url = f"{around.url}/a%20b.jpg?x=1&y=2"
    for uri in (url, "s3://demo/a b.jpg"):
        told = await asyncio.to_thread(cloudinary.api.analyze, "uri", "image_quality", uri)
        assert told["data"]["entity"] == uri
        assert set(told["data"]["analysis"]) == {"quality", "score", "confidence", "model_version"}
    with pytest.raises(cloudinary.exceptions.NotAllowed, match="captioning"):
        await asyncio.to_thread(cloudinary.api.analyze, "uri", "captioning", url)
    with pytest.raises(cloudinary.exceptions.NotFound):
        await asyncio.to_thread(cloudinary.api.analyze, "uri", "image_quality", "s3://demo/none.jpg")
    with pytest.raises(cloudinary.exceptions.BadRequest, match="not one that this gateway fetches"):
        await asyncio.to_thread(cloudinary.api.analyze, "uri", "image_quality", "http://169.254.169.254/")
    cloudinary.config(api_secret="wrong")
    with pytest.raises(cloudinary.exceptions.AuthorizationRequired):
        await asyncio.to_thread(cloudinary.api.analyze, "uri", "image_quality", url)


async def test_the_npm_sdks_do_the_same(gateway: GatewayUnderTest, around: Neighbourhood, node: Node) -> None:
    given = {
        "url": gateway.url,
        "keyId": KEY_ID,
        "secret": SECRET.reveal(),
        "picture": f"{around.url}/a%20b.jpg?x=1&y=2",
        "data": b64encode(PICTURE).decode(),
    }
    results = await asyncio.to_thread(node.drive, "quality", given)
    scores = {results[name]["quality"]["score"] for name in ("set_url", "set_file", "set_bytes")}
    assert len(scores) == 1, results
    assert results["wrong"]["error"]["code"] == 1
    assert results["analyze"]["data"]["entity"] == given["picture"]
    assert results["analyze"]["data"]["analysis"]["score"] == pytest.approx(scores.pop(), abs=0.005)
    assert results["forbidden"] == 403
