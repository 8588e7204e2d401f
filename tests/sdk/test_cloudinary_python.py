"""PyPI's `cloudinary`, unmodified but for its upload_prefix, against the embedded store."""

from __future__ import annotations

import http.client
import io
import re
import subprocess
import time
from base64 import b64encode
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from gateway.imaging.registry import MODEL_VERSION
from tests.digests import md5
from tests.journeys.clouds import picture, signature
from tests.sdk.cloud import KEY_ID, SECRET, CloudHost, cloud_host

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.served import Place

cloudinary = pytest.importorskip("cloudinary", reason="the SDK is not installed (pip install cloudinary)")
from cloudinary import api, exceptions, uploader, utils  # noqa: E402 # only where it is installed
from cloudinary.search import Search  # noqa: E402 # the same

PICTURE = picture("olive", (640, 400))
# The documented sample reply, field by field: what each must look like.
SAMPLE = {
    "asset_id": "[0-9a-f]{32}",
    "public_id": "user_photo_[a-z0-9]{6}",
    "version": r"\d{10}",
    "version_id": "[0-9a-f]{32}",
    "signature": "[0-9a-f]{40}",
    "width": "640",
    "height": "400",
    "format": "jpg",
    "resource_type": "image",
    "created_at": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ",
    "tags": r"\[\]",
    "pages": "1",
    "bytes": str(len(PICTURE)),
    "type": "upload",
    "etag": md5(PICTURE),
    "placeholder": "False",
    "url": r"http://res\.localhost/demo/image/upload/v\d{10}/user_photo_[a-z0-9]{6}\.jpg",
    "secure_url": r"https://res\.localhost/demo/image/upload/v\d{10}/user_photo_[a-z0-9]{6}\.jpg",
    "asset_folder": "",
    "display_name": "user_photo_[a-z0-9]{6}",
    "original_filename": "user_photo",
    "quality_analysis": r"\{'focus': 0\.\d{3,}\}",
    "api_key": KEY_ID,
}
EXTENDED = {
    *("jpeg_quality", "jpeg_chroma", "focus", "noise", "contrast", "exposure", "saturation", "lighting"),
    *("pixel_score", "color_score", "dct", "blockiness", "chroma_subsampling", "resolution"),
}


@pytest.fixture(scope="module")
def host(swift: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudHost]:
    with cloud_host(swift, tmp_path_factory.mktemp("cloud"), PICTURE) as running:
        yield running


@pytest.fixture(params=["sha1", "sha256"])
def algorithm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _configured(host: CloudHost) -> Iterator[None]:
    cloudinary.reset_config()
    configure(host)
    yield
    cloudinary.reset_config()


def configure(host: CloudHost, cloud_name: str = "demo", **more: Any) -> None:
    given = {"cloud_name": cloud_name, "api_key": KEY_ID, "api_secret": SECRET, "upload_prefix": host.prefix}
    cloudinary.config(**given | more)


@pytest.fixture
def user_photo(tmp_path: Path) -> str:
    (tmp_path / "user_photo.jpg").write_bytes(PICTURE)
    return str(tmp_path / "user_photo.jpg")


def test_the_reply_is_the_documented_sample_field_by_field(user_photo: str) -> None:
    reply = uploader.upload(user_photo, use_filename=True, quality_analysis=True)
    del reply["request_id"]  # which the SDK itself takes from a header
    assert list(reply) == [*[*SAMPLE][: len(SAMPLE) - 2], "api_key", "quality_analysis"]
    assert {name: value for name, value in reply.items() if not re.fullmatch(SAMPLE[name], str(value))} == {}


def test_replies_carry_signatures_that_the_sdk_verifies(user_photo: str, algorithm: str, host: CloudHost) -> None:
    configure(host, signature_algorithm=algorithm)
    reply = uploader.upload(user_photo, public_id="signed/a&b=c é", tags=["x", "y"], context={"k": "v|=w"})
    assert utils.verify_api_response_signature(reply["public_id"], reply["version"], reply["signature"])
    assert (reply["public_id"], reply["tags"]) == ("signed/a&b=c é", ["x", "y"])
    assert reply["context"] == {"custom": {"k": "v|=w"}}


@pytest.mark.parametrize("version", [1, 2])
def test_both_versions_of_the_signature_are_taken(user_photo: str, version: int, host: CloudHost) -> None:
    configure(host, signature_version=version)
    assert uploader.upload(user_photo, public_id="versions/a&b")["public_id"] == "versions/a&b"


def test_all_sources_give_the_same_asset(user_photo: str, host: CloudHost) -> None:
    uri = "data:image/jpeg;base64," + b64encode(PICTURE).decode()
    uploader.upload(user_photo, public_id="sources/first")
    sources = [user_photo, host.picture_url, uri, io.BytesIO(PICTURE), "s3://live/sources/first"]
    replies = [uploader.upload(source, public_id="sources/one") for source in sources]
    assert {reply["etag"] for reply in replies} == {md5(PICTURE)}
    assert len({reply["asset_id"] for reply in replies}) == 1
    assert len({reply["version"] for reply in replies}) == len(sources)


@pytest.mark.parametrize("options", [{}, {"public_id": "large/one"}, {"folder": "large", "use_filename": True}])
def test_a_large_upload_in_parts_is_one_asset(user_photo: str, options: dict[str, Any]) -> None:
    reply = uploader.upload_large(
        user_photo, chunk_size=20_000, resource_type="image", quality_analysis=True, **options
    )
    assert (reply["etag"], reply["bytes"]) == (md5(PICTURE), len(PICTURE))
    assert reply["quality_analysis"]["focus"] > 0
    assert reply["public_id"].startswith(options.get("public_id", options.get("folder", "")))
    assert reply["public_id"].count("/") == (1 if options else 0)


def test_an_upload_without_a_signature_gets_what_its_preset_says(user_photo: str) -> None:
    reply = uploader.unsigned_upload(user_photo, "preset1", public_id="lent")
    assert "focus" in reply["quality_analysis"]
    assert utils.verify_api_response_signature(reply["public_id"], reply["version"], reply["signature"])
    with pytest.raises(exceptions.BadRequest, match="Upload preset not found"):
        uploader.unsigned_upload(user_photo, "preset2")


def test_the_extended_analysis_tells_all_sub_scores(user_photo: str, host: CloudHost) -> None:
    configure(host, "rich")
    reply = uploader.upload(user_photo, public_id="extended", quality_analysis=True, detection="iqa")
    assert set(reply["quality_analysis"]) == EXTENDED
    assert all(value == round(value, 2) for value in reply["quality_analysis"].values())
    iqa = reply["info"]["detection"]["object_detection"]["data"]["iqa"]["tags"]["iqa-analysis"][0]["attributes"]
    assert round(iqa["score"], 2) == reply["quality_score"]
    assert iqa["quality"] in ("low", "medium", "high")


def test_explicit_update_and_resource_analyse_what_is_there(user_photo: str, host: CloudHost) -> None:
    asset_id = uploader.upload(user_photo, public_id="later/one")["asset_id"]
    explicit = uploader.explicit("later/one", type="upload", quality_analysis=True)
    assert explicit["asset_id"] == asset_id
    resource = api.resource("later/one", quality_analysis=True)
    assert resource["quality_analysis"] == explicit["quality_analysis"]
    assert api.resource_by_asset_id(asset_id)["public_id"] == "later/one"
    updated = api.update("later/one", detection="iqa", tags=["new"], context={"a": "b"})
    assert updated["info"]["detection"]["object_detection"]["data"]["iqa"]["model_version"] == int(MODEL_VERSION)
    assert (updated["tags"], updated["context"]) == (["new"], {"custom": {"a": "b"}})
    configure(host, "rich")
    uploader.upload(user_photo, public_id="later/two")
    assert set(api.update("later/two", quality_analysis=True)["quality_analysis"]) == EXTENDED  # sent as {}


def test_a_renamed_asset_keeps_its_id_and_details(user_photo: str) -> None:
    asset_id = uploader.upload(user_photo, public_id="moved/old", tags=["t"], context={"k": "v"})["asset_id"]
    assert uploader.rename("moved/old", "moved/ü new")["asset_id"] == asset_id
    moved = api.resource_by_asset_id(asset_id)
    assert (moved["public_id"], moved["tags"], moved["context"]) == ("moved/ü new", ["t"], {"custom": {"k": "v"}})
    with pytest.raises(exceptions.NotFound):
        api.resource("moved/old")
    assert uploader.destroy("moved/ü new", invalidate=True)["result"] == "ok"


def test_a_source_of_another_bucket_is_refused_as_no_signature_covers_it(user_photo: str) -> None:
    uploader.upload(user_photo, public_id="sources/own")
    assert uploader.upload("s3://live/sources/own", public_id="sources/copy")["bytes"] == len(PICTURE)
    with pytest.raises(exceptions.NotAllowed, match="No signature covers this source"):
        uploader.upload("s3://elsewhere/x", public_id="sources/copy")


def test_renamed_listed_destroyed(user_photo: str) -> None:
    for name in ("a", "b", "c"):
        uploader.upload(user_photo, public_id=f"many/{name}")
    assert uploader.rename("many/c", "many/d")["public_id"] == "many/d"
    with pytest.raises(exceptions.AlreadyExists):
        uploader.rename("many/b", "many/d")
    first = api.resources(type="upload", prefix="many/", max_results=2)
    second = api.resources(type="upload", prefix="many/", max_results=2, next_cursor=first["next_cursor"])
    assert [row["public_id"] for page in (first, second) for row in page["resources"]] == ["many/a", "many/b", "many/d"]
    assert "next_cursor" not in second
    assert [uploader.destroy("many/a")["result"] for _ in range(2)] == ["ok", "not found"]
    assert api.delete_resources(["many/b", "many/a"])["deleted"] == {"many/b": "deleted", "many/a": "not_found"}
    with pytest.raises(exceptions.NotFound, match="Resource not found - many/b"):
        api.resource("many/b")


def test_other_vendors_clients_meet_the_same_picture(user_photo: str, host: CloudHost) -> None:
    uploader.upload(user_photo, public_id="shared/one", type="private")
    assert host.gateway.place.request("GET", "/live/shared/one")[2] == PICTURE
    host.gateway.place.request("PUT", "/live/shared/s3", (("content-type", "image/jpeg"),), PICTURE)
    reply = uploader.explicit("shared/s3", type="upload", quality_analysis=True)
    assert (reply["etag"], reply["width"]) == (md5(PICTURE), 640)


def test_originals_are_delivered_whole_and_in_part(user_photo: str, host: CloudHost) -> None:
    reply = uploader.upload(user_photo, public_id="delivered/one")
    path = reply["url"].removeprefix("http://res.localhost")
    whole, part = (delivered(host, path, **headers) for headers in ({}, {"Range": "bytes=10-19"}))
    assert whole == (200, "image/jpeg", PICTURE)
    assert part == (206, "image/jpeg", PICTURE[10:20])
    assert delivered(host, path.replace("/upload/", "/upload/c_fill,w_100/"))[0] == 400


def delivered(host: CloudHost, path: str, **headers: str) -> tuple[int, str | None, bytes]:
    with closing(http.client.HTTPConnection(host.gateway.place.authority, timeout=60)) as connection:
        connection.request("GET", path, headers={"Host": "res.localhost", **headers})
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read()


def test_searches_filter_and_sort_by_what_uploads_scored(host: CloudHost) -> None:
    configure(host, "rich")
    for number, kind in enumerate(("JPEG", "PNG", "WEBP")):
        data = io.BytesIO(picture("red", (200 + 300 * number, 300), kind))
        uploader.upload(data, public_id=f"found/{number}", quality_analysis=True, folder="", tags=["searched"])
    uploader.upload(io.BytesIO(PICTURE), public_id="found/unscored", tags=["searched"])
    uploader.explicit("found/unscored", type="upload", quality_analysis=True)
    expression = "tags=searched AND quality_score>0 AND quality_analysis.pixel_score>=0"
    search = Search().expression(expression).sort_by("quality_score", "desc").max_results(2)
    first = search.execute()
    assert first["total_count"] == 3  # what explicit finds is not indexed
    second = search.next_cursor(first["next_cursor"]).execute()
    scores = [row["quality_score"] for page in (first, second) for row in page["resources"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    with pytest.raises(exceptions.BadRequest, match="there is no field 'colour'"):
        Search().expression("colour:red").execute()


def test_errors_are_the_vendors_own(user_photo: str, host: CloudHost) -> None:
    with pytest.raises(exceptions.BadRequest, match="Invalid image file"):
        uploader.upload(io.BytesIO(b"no picture"), public_id="bad")
    configure(host, api_secret="wrong")
    with pytest.raises(exceptions.AuthorizationRequired, match=r"Invalid Signature [0-9a-f]{40}\. String to sign - '"):
        uploader.upload(user_photo)
    with pytest.raises(exceptions.AuthorizationRequired):
        api.ping()
    configure(host, "nowhere")
    with pytest.raises(exceptions.AuthorizationRequired, match="Invalid cloud_name nowhere"):
        uploader.upload(user_photo)


def curl(*arguments: str) -> str:
    return subprocess.run(["curl", "-sS", *arguments], capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_curl_calls_of_the_vendors_pages_work(user_photo: str, host: CloudHost) -> None:
    base, key = f"{host.prefix}/v1_1/demo", f"{KEY_ID}:{SECRET}"
    now = str(int(time.time()))
    fields = {"quality_analysis": "true", "timestamp": now, "public_id": "curled"}
    told = [f"{name}={value}" for name, value in {**fields, "api_key": KEY_ID}.items()]
    sign = f"signature={signature(fields, SECRET)}"
    form = [part for each in (f"file=@{user_photo}", *told, sign) for part in ("-F", each)]
    assert '"focus"' in curl(f"{base}/image/upload", "-X", "POST", *form)
    url = f"file={host.picture_url}"
    assert '"focus"' in curl(f"{base}/image/upload", "-X", "POST", "--data", "&".join((url, *told, sign)))
    fields = {"public_id": "curled", "quality_analysis": "true", "timestamp": now, "type": "upload"}
    told = [f"{name}={value}" for name, value in {**fields, "api_key": KEY_ID}.items()]
    data = "&".join((*told, f"signature={signature(fields, SECRET)}"))
    assert '"focus"' in curl(f"{base}/image/explicit", "-X", "POST", "--data", data)
    with_key = f"{base}/resources/image/upload/curled".replace("http://", f"http://{key}@")
    assert '"focus"' in curl("-d", "quality_analysis=true", with_key)
    assert '"focus"' in curl("-d", '{"quality_analysis": true}', "-H", "Content-Type: application/json", with_key)
    assert '"iqa-analysis"' in curl("-d", "detection=iqa", with_key)
    assert '"public_id": "curled"' in curl(with_key)
