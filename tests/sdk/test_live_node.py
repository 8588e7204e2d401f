"""The npm SDKs through the gateway in front of every real store: signed headers, signed URLs, wrong secrets, scores."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

import pytest

from tests.imaging.pictures import encode, photo_like
from tests.node.packages import Node, prepare_node
from tests.stores_up.fixtures import BUCKET, COS_BUCKET, timed
from tests.stores_up.programs import ProgramError
from tests.stores_up.required import unavailable

if TYPE_CHECKING:
    from tests.stores_up.fixtures import Live

pytestmark = [pytest.mark.store, pytest.mark.timeout(400)]
PICTURE = encode(photo_like(480, 360), "JPEG", quality=90)
DRIVERS = [("aws_s3", ""), ("minio", ""), ("ali_oss", "V1"), ("ali_oss", "V4"), ("cos", "")]
REFUSALS = {"SignatureDoesNotMatch", "SignatureDoesNotMatchError"}


@pytest.fixture(scope="session")
def node(pytestconfig: pytest.Config) -> Node:
    try:
        with timed(pytestconfig, "Node: install"):
            return prepare_node()
    except ProgramError as error:
        unavailable(f"the npm SDKs cannot be had: {error}")


@pytest.mark.parametrize(("driver", "version"), DRIVERS)
def test_an_npm_sdk_does_all_it_can(live: Live, node: Node, driver: str, version: str) -> None:
    key = f"node/{driver}{version}.jpg"
    given = {
        "port": int(live.gateway.place.authority.rpartition(":")[2]),
        "bucket": BUCKET,
        "cosBucket": COS_BUCKET,
        "keyId": live.gateway.place.key_id,
        "secret": live.gateway.place.secret.reveal(),
        "key": key,
        "data": b64encode(PICTURE).decode(),
    }
    results = node.drive(driver, given, version)
    for name in {"get", "getAgain", "url"} & set(results):
        assert b64decode(results[name]) == PICTURE, name
    assert results["length"] == len(PICTURE)
    assert "keys" not in results or key in results["keys"]
    assert "score" not in results or 0.1 < results["score"] <= 1
    assert results["refused"] in REFUSALS
    assert live.store.request("HEAD", f"/{BUCKET}/{key}")[0] == 404
