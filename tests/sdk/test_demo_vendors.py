"""The demo answers quality vendors about its own samples, by their URLs at the gateway, and fetches nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sightengine.client import SightengineClient

from gateway.commands.demo_names import BUCKET, DEMO_ACCESS_KEY, DEMO_SECRET
from tests.boto import s3_client

if TYPE_CHECKING:
    from tests.conftest import Demo

pytestmark = pytest.mark.store


def test_a_sample_is_checked_by_its_signed_url_and_the_rest_of_the_loopback_is_out_of_reach(demo: Demo) -> None:
    store = s3_client(demo.endpoint, DEMO_ACCESS_KEY, DEMO_SECRET)
    key = store.list_objects_v2(Bucket=BUCKET)["Contents"][0]["Key"]
    url = store.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key}, ExpiresIn=600)
    asked = SightengineClient(DEMO_ACCESS_KEY, DEMO_SECRET).check("quality")
    asked.endpoint = f"{demo.endpoint}/1.0/"
    told = asked.set_url(url)
    assert told["status"] == "success", told
    assert told == {**told, "quality": asked.set_url(f"s3://{BUCKET}/{key}")["quality"]}
    for other in (f"http://127.0.0.1:{demo.admin_port}/metrics", "http://example.com/a.jpg"):
        assert asked.set_url(other)["error"]["message"] == "The URL is not one that this gateway fetches."
