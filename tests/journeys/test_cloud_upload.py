from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from gateway.journeys.cloud_upload import name_in
from tests.digests import md5
from tests.journeys.clouds import CLOUD, CloudUnderTest, basic, form_of, picture, running_cloud, signed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fake_store import FakeStore


async def test_an_upload_becomes_an_object_and_its_reply_is_true_to_it(cloud: CloudUnderTest, store: FakeStore) -> None:
    data = picture()
    status, reply = await cloud.upload(data, public_id="shop/one", quality_analysis="1", tags="a,b", context="k=v")
    assert status == 200, reply
    assert store.objects["/demo/shop/one"] == data
    assert store.types["/demo/shop/one"] == "image/jpeg"
    assert reply["etag"] == md5(data)
    assert (reply["width"], reply["height"], reply["format"], reply["bytes"]) == (320, 200, "jpg", len(data))
    assert (reply["tags"], reply["context"]) == (["a", "b"], {"custom": {"k": "v"}})
    assert set(reply["quality_analysis"]) >= {"focus", "jpeg_quality", "pixel_score", "color_score"}
    assert 0 <= reply["quality_score"] <= 1


async def test_data_uris_and_objects_of_the_store_are_sources_too(cloud: CloudUnderTest, store: FakeStore) -> None:
    data = picture(kind="PNG")
    store.objects["/demo/kept/source.png"] = data
    uri = "data:image/png;base64," + b64encode(data).decode()
    for name, source in (("d", uri), ("s", "s3://demo/kept/source.png")):
        status, reply = await cloud.upload(source, public_id=name)
        assert (status, store.objects[f"/demo/{name}"]) == (200, data), reply
        assert reply["format"] == "png"
    assert reply["original_filename"] == "source"


@pytest.mark.parametrize(
    ("setting", "signed_own", "signed_other"), [("own", 200, 403), ("any", 200, 200), ("none", 403, 403)]
)
async def test_a_source_that_no_signature_covers_is_read_as_far_as_the_cloud_permits(
    store: FakeStore, scorer_address: str, tmp_path: Path, setting: str, signed_own: int, signed_other: int
) -> None:
    store.objects["/demo/a"] = store.objects["/shop/a"] = picture()
    settings = CLOUD | {"s3_sources": setting}
    async with running_cloud(store.endpoint, scorer_address, tmp_path, cloud=settings) as cloud:
        for source, expected in (("s3://demo/a", signed_own), ("s3://shop/a", signed_other)):
            assert (await cloud.upload(source, public_id="x"))[0] == expected
            in_clear = form_of({"public_id": "x"}, source)
            assert (await cloud.post("image/upload", in_clear, headers=basic()))[0] == 200


async def test_a_preset_lends_an_upload_to_everybody(cloud: CloudUnderTest, store: FakeStore) -> None:
    form = form_of({"upload_preset": "open", "public_id": "x"}, picture())
    status, reply = await cloud.post("image/upload", form)
    assert status == 200, reply
    assert (reply["public_id"], reply["tags"]) == ("lent/x", ["u"])
    assert "/demo/lent/x" in store.objects
    assert "quality_score" in reply


async def test_the_later_calls_find_what_was_uploaded(cloud: CloudUnderTest, store: FakeStore) -> None:
    _, reply = await cloud.upload(picture(), public_id="one")
    status, shown = await cloud.admin("GET", "resources/image/upload/one?quality_analysis=true")
    assert (status, shown["asset_id"]) == (200, reply["asset_id"])
    assert "quality_analysis" in shown
    status, again = await cloud.post("image/explicit", form_of(signed({"public_id": "one", "type": "upload"}), None))
    assert (status, again["signature"]) == (200, reply["signature"])
    for result in ("ok", "not found"):
        form = form_of(signed({"public_id": "one"}), None)
        assert await cloud.post("image/destroy", form) == (200, {"result": result})
    assert "/demo/one" not in store.objects


def test_a_files_name_out_of_a_url_is_text() -> None:
    names = [name_in(url) for url in ("http://h/a%20b.jpg?x=1", "http://h", "http://h/%FF.jpg", "http://[x")]
    assert names == ["a b.jpg", "", "\ufffd.jpg", ""]
