"""npm's `cloudinary`, unmodified but for its upload_prefix, against the embedded store."""

from __future__ import annotations

import time
from base64 import b64encode
from typing import TYPE_CHECKING, Literal

import pytest

from gateway.auth.cloudinary import sign_notification
from gateway.credentials import Secret
from tests.digests import md5
from tests.journeys.clouds import picture
from tests.sdk.cloud import KEY_ID, SECRET, cloud_host

if TYPE_CHECKING:
    from pathlib import Path

    from tests.node.packages import Node
    from tests.served import Place

pytestmark = [pytest.mark.store, pytest.mark.timeout(400)]
ALGORITHMS: tuple[Literal["sha1", "sha256"], ...] = ("sha1", "sha256")
PICTURE = picture("teal", (400, 260))


def note(algorithm: Literal["sha1", "sha256"]) -> dict[str, object]:
    """A notification as the gateway sends it."""
    body, now = '{"notification_type": "upload", "public_id": "é"}', int(time.time())
    signature = sign_notification(body, now, Secret(SECRET), algorithm)
    return {"body": body, "timestamp": now, "signature": signature}


def test_the_npm_sdk_does_all_it_can(swift: Place, node: Node, tmp_path: Path) -> None:
    with cloud_host(swift, tmp_path, PICTURE) as host:
        given = {
            "prefix": host.prefix,
            "cloud": "demo",
            "keyId": KEY_ID,
            "secret": SECRET,
            "key": "node/one",
            "folder": str(tmp_path),
            "url": host.picture_url,
            "data": b64encode(PICTURE).decode(),
            "notes": {algorithm: note(algorithm) for algorithm in ALGORITHMS},
        }
        results = node.drive("cloudinary", given)
    digest = md5(PICTURE)
    uploads = ("upload", "url", "dataUri", "stream", "large", "unsigned")
    assert {name: results[name]["etag"] for name in uploads} == dict.fromkeys(uploads, digest)
    assert {results[name]["asset_id"] for name in ("upload", "url", "dataUri", "large", "explicit", "resource")} == {
        results["upload"]["asset_id"]
    }
    assert all("focus" in results[name]["quality_analysis"] for name in (*uploads, "explicit") if name != "stream")
    assert (results["verified"], results["sha256"]) == (True, True)
    assert "iqa" in results["update"]["info"]["detection"]["object_detection"]["data"]
    assert results["resource"]["tags"] == ["new"]
    assert [row["public_id"] for row in results["found"]["resources"]] == ["node/one"]
    assert results["notAnImage"] == "400 Invalid image file"
    assert results["missing"] == "404 Resource not found - nothing/there"
    assert results["wrongKey"].startswith("401 Invalid Signature ")
    assert results["notified"] == {"sha1": True, "sha256": True}
    assert (results["renamed"]["public_id"], results["renamed"]["tags"]) == ("node/one-renamed", ["new"])
    assert results["destroy"] == {"result": "ok"}
