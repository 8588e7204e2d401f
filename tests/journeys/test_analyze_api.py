"""The Analyze API through the whole gateway: sources, refusals, tasks, notifications that the SDK's check accepts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import cloudinary
import pytest
from cloudinary.utils import verify_notification_signature

from gateway.assets import Asset
from gateway.credentials import Credential, Identity, Statement
from gateway.stores.ledger import open_ledger
from tests.harness import KEY_ID, SECRET, keyring
from tests.imaging.pictures import encode, photo_like
from tests.journeys.clouds import basic
from tests.journeys.neighbourhood import Neighbourhood, analyze, cloud_gateway, neighbourhood, task_status, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from tests.fake_store import FakeStore
    from tests.journeys.neighbourhood import Note

PICTURE = encode(photo_like(320, 240), "JPEG", quality=90)
OTHER_KEY = "OTHER"


@pytest.fixture
async def around() -> AsyncIterator[Neighbourhood]:
    async with neighbourhood() as running:
        running.pictures["/a.jpg"] = PICTURE
        running.pictures["/text.jpg"] = b"no picture"
        yield running


@pytest.fixture
def opened(store: FakeStore, scorer_address: str, tmp_path: Path, around: Neighbourhood) -> Any:
    """Opens a gateway in front of the same store, ledger and neighbourhood."""
    store.objects["/demo/d/a%20b.jpg"] = PICTURE
    store.objects["/demo/d/a%20b"] = PICTURE
    store.objects["/demo/text.jpg"] = b"no picture"

    def open_one(**tables: Any) -> Any:
        return cloud_gateway(store.endpoint, scorer_address, tmp_path, around, **tables)

    return open_one


def verified(note: Note) -> bool:
    cloudinary.config(cloud_name="demo", api_key=KEY_ID, api_secret=SECRET.reveal())
    return bool(verify_notification_signature(note.body, note.timestamp, note.signature))


async def test_a_picture_is_analysed_by_url_by_object_and_by_asset_id_alike(
    opened: Any, around: Neighbourhood, tmp_path: Path
) -> None:
    asset = Asset("ab" * 16, "demo", "d/a b.jpg", "image", "upload", 1, "cd" * 16, 1.0, len(PICTURE), "")
    ledger = open_ledger("", str(tmp_path))
    await ledger.put_asset(asset)
    await ledger.close()
    async with opened() as gateway:
        answers = [
            await analyze(gateway, {"source": source})
            for source in (
                {"uri": f"{around.url}/a.jpg"},
                {"uri": "s3://demo/d/a b.jpg"},
                {"asset_id": asset.asset_id},
            )
        ]
        old = {"analysis_type": "image_quality", "uri": f"{around.url}/a.jpg", "parameters": None}
        answers.append(await analyze(gateway, old, path="/v2/demo/analysis/analyze/uri"))
    assert [status for status, _ in answers] == [200] * 4
    assert len({str(answer["data"]["analysis"]) for _, answer in answers}) == 1
    entities = [answer["data"]["entity"] for _, answer in answers]
    assert entities == [f"{around.url}/a.jpg", "s3://demo/d/a b.jpg", asset.asset_id, f"{around.url}/a.jpg"]
    assert answers[0][1]["limits"] is None


async def test_a_url_that_the_cloud_delivers_under_is_its_asset_though_nothing_may_be_fetched(
    opened: Any, tmp_path: Path
) -> None:
    asset = Asset(
        *("ab" * 16, "demo", "d/a b", "image", "private", 1, "cd" * 16, 1.0, len(PICTURE), ""),
        format="jpg",
        uploaded=True,
    )
    ledger = open_ledger("", str(tmp_path))
    await ledger.put_asset(asset)
    await ledger.close()
    tables = {"clouds": {"demo": {"bucket": "demo", "delivery_host": "res.localhost:9000"}}, "fetch": {}}
    place = "res.localhost:9000/demo/image"
    async with opened(**tables) as gateway:
        uris = [f"https://{place}/private/v1/d/a%20b.jpg", f"http://{place}/private/d/a b.jpg?_a=BAMADZ"]
        answers = [await analyze(gateway, {"source": {"uri": uri}}) for uri in uris]
        status, told = await analyze(gateway, {"source": {"uri": f"http://{place}/upload/none.jpg"}})
        other, _ = await analyze(gateway, {"source": {"uri": "http://res.localhost:9000/other/image/private/d/a.jpg"}})
        evil, _ = await analyze(
            gateway, {"source": {"uri": "http://res.localhost:9000@127.0.0.1/demo/image/private/d/a b.jpg"}}
        )
    assert [status for status, _ in answers] == [200, 200], answers
    assert (status, told["error"]["category"], other, evil) == (404, "user_error", 404, 400)


@pytest.mark.parametrize(
    ("document", "status", "words"),
    [
        (b"{", 400, "not JSON"),
        ({"source": {"uri": "s3://demo/none.jpg"}}, 404, "NoSuchKey"),
        ({"source": {"uri": "s3://demo/text.jpg"}}, 400, "nvalid image|not an image"),
        ({"source": {"uri": "{around}/text.jpg"}}, 400, "nvalid image|not an image"),
        ({"source": {"uri": "{around}/none.jpg"}}, 400, "status 404"),
        ({"source": {"uri": "http://127.0.0.1:1/a.jpg"}}, 400, "not one that this gateway fetches"),
        ({"source": {"uri": "http://169.254.169.254/"}, "async": True}, 400, "not one that this gateway fetches"),
        ({"source": {"uri": "s3://demo"}}, 400, "s3://bucket/key"),
        ({"source": {"uri": "s3://../key"}}, 400, "s3://bucket/key"),
        ({"source": {"uri": "s3://demo/.gateway-parts/x"}}, 403, "Keys that begin with"),
        (b"[" * 60_000, 400, "not JSON"),
        (b" " * 70_000, 400, "larger than 65536"),
        ({"source": {"asset_id": "ff" * 16}}, 404, "Resource not found"),
        (
            {"source": {"uri": "s3://demo/d/a b.jpg"}, "async": True, "notification_url": "http://10.0.0.1/"},
            400,
            "not one that this gateway fetches",
        ),
    ],
)
async def test_bad_input_is_told_by_the_schema(
    opened: Any, around: Neighbourhood, document: Any, status: int, words: str
) -> None:
    if isinstance(document, dict) and "uri" in document["source"]:
        uri = document["source"]["uri"].replace("{around}", around.url)
        document = {**document, "source": {"uri": uri}}
    async with opened() as gateway:
        answered, told = await analyze(gateway, document)
    assert answered == status
    assert re.search(words, told["error"]["message"])


@pytest.mark.parametrize(
    ("auth", "path", "status", "category"),
    [
        ({}, "", 401, "auth_error"),
        (basic(KEY_ID, "wrong"), "", 401, "auth_error"),
        (basic("nobody", "wrong"), "", 401, "auth_error"),
        (basic(KEY_ID, SECRET.reveal()), "/v2/analysis/other/analyze/image_quality", 401, "auth_error"),
        (basic(KEY_ID, SECRET.reveal()), "/v2/analysis/demo/analyze/captioning", 403, "user_error"),
        (basic("READER", SECRET.reveal()), "", 403, "auth_error"),
    ],
)
async def test_who_and_what_is_not_permitted_is_refused(
    opened: Any, auth: Mapping[str, str], path: str, status: int, category: str
) -> None:
    async with opened() as gateway:
        answered, told = await analyze(gateway, {"source": {"uri": "s3://demo/d/a b.jpg"}}, auth, path)
    assert (answered, told["error"]["category"]) == (status, category)
    assert SECRET.reveal() not in str(told)


async def test_a_bucket_of_that_name_is_still_reached_by_signed_requests(opened: Any, store: FakeStore) -> None:
    store.objects["/v2/analysis/demo/analyze/image_quality"] = b"an object"
    async with opened() as gateway:
        status, _, body = await gateway.get(gateway.s3_url("/v2/analysis/demo/analyze/image_quality"))
    assert (status, body) == (200, b"an object")


async def test_it_can_be_bound_to_hosts_of_its_own_or_switched_off(opened: Any) -> None:
    request = {"source": {"uri": "s3://demo/d/a b.jpg"}}
    for settings, host, ours in (
        ({"enabled": False}, "", False),
        ({"hosts": ["analyze.test"]}, "", False),
        ({"hosts": ["analyze.test"]}, "analyze.test", True),
    ):
        async with opened(dialects={"cloudinary": settings}) as gateway:
            url = gateway.raw_url("/v2/analysis/demo/analyze/image_quality")
            headers = {**basic(), **({"Host": host} if host else {})}
            status, told, _ = await gateway.request("POST", url, data=json.dumps(request).encode(), headers=headers)
        assert (status == 200, told["Content-Type"].startswith("application/json")) == (ours, ours)


async def test_a_task_is_promised_done_and_told_with_a_signature_that_the_sdk_accepts(
    opened: Any, around: Neighbourhood
) -> None:
    request = {"source": {"uri": "s3://demo/d/a b.jpg"}, "async": True, "notification_url": around.hook}
    async with opened() as gateway:
        _, expected = await analyze(gateway, {"source": request["source"]})
        status, told = await analyze(gateway, request)
        assert (status, told["data"]["status"]) == (202, "pending")
        note = await around.note(told["data"]["task_id"])
        assert await task_status(gateway, told["data"]["task_id"]) == (200, "completed")
        assert await task_status(gateway, "0" * 64) == (404, "There is no such task.")
    assert verified(note)
    assert note.document["data"] == expected["data"]
    assert (note.document["http_status"], note.document["error"]) == (200, None)
    assert note.document["request_id"] == told["request_id"]


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_notifications_are_signed_by_the_algorithm_that_the_cloud_and_the_sdk_are_set_to(
    opened: Any, around: Neighbourhood, algorithm: str
) -> None:
    tables = {"clouds": {"demo": {"bucket": "demo", "signature_algorithm": algorithm}}}
    request = {"source": {"uri": "s3://demo/d/a b.jpg"}, "async": True, "notification_url": around.hook}
    async with opened(**tables) as gateway:
        note = await around.note((await analyze(gateway, request))[1]["data"]["task_id"])
    cloudinary.config(api_secret=SECRET.reveal(), signature_algorithm=algorithm)
    assert verify_notification_signature(note.body, note.timestamp, note.signature)
    other = {"sha1": "sha256", "sha256": "sha1"}[algorithm]
    assert not verify_notification_signature(note.body, note.timestamp, note.signature, algorithm=other)
    cloudinary.reset_config()


@pytest.mark.parametrize(
    ("rights", "status"),
    [
        (("cloudinary:Analyze",), 403),
        (("s3:GetObject",), 403),
        (("cloudinary:Analyze", "s3:GetObject"), 202),
    ],
)
async def test_a_task_about_an_object_needs_the_right_to_read_and_to_analyse_it(
    opened: Any, rights: tuple[str, ...], status: int
) -> None:
    identity = Identity("analyst", (Statement("allow", rights, ("demo/d/*",)),))
    async with opened(clients={KEY_ID: Credential(KEY_ID, SECRET, identity)}) as gateway:
        request = {"source": {"uri": "s3://demo/d/a b.jpg"}, "async": True}
        assert (await analyze(gateway, request))[0] == status
        assert (await analyze(gateway, {**request, "async": False}))[0] == (200 if status == 202 else 403)


async def test_a_failure_is_told_too_and_goes_where_the_cloud_says(opened: Any, around: Neighbourhood) -> None:
    # The cloud's own receiver is the operator's choice: no allow-list holds for it.
    tables = {"clouds": {"demo": {"bucket": "demo", "notification_url": around.hook}}, "fetch": {}}
    async with opened(**tables) as gateway:
        _, told = await analyze(gateway, {"source": {"uri": "s3://demo/none.jpg"}, "async": True})
        note = await around.note(told["data"]["task_id"])
        assert await task_status(gateway, told["data"]["task_id"]) == (200, "failed")
    assert verified(note)
    assert (note.document["http_status"], note.document["data"]) == (404, None)
    assert note.document["error"]["category"] == "user_error"


async def test_a_receiver_that_fails_is_told_again_even_by_the_next_gateway(opened: Any, around: Neighbourhood) -> None:
    around.takes = lambda: False
    request = {"source": {"uri": "s3://demo/d/a b.jpg"}, "async": True, "notification_url": around.hook}
    async with opened() as gateway:
        _, told = await analyze(gateway, request)
        await until(lambda: len(around.notes) >= 2)
    around.takes = lambda: True
    async with opened() as gateway:
        note = await around.note(told["data"]["task_id"])
        assert await task_status(gateway, told["data"]["task_id"]) == (200, "completed")
    assert {each.body for each in around.notes} == {note.body}
    assert all(map(verified, around.notes))


async def test_a_task_outlives_the_gateway_that_promised_it(opened: Any, around: Neighbourhood) -> None:
    request = {"source": {"uri": f"{around.url}/a.jpg"}, "async": True, "notification_url": around.hook}
    async with opened() as gateway:
        _, told = await analyze(gateway, request)  # and it ends before it can do more than begin
    async with opened():
        assert verified(await around.note(told["data"]["task_id"]))


async def test_a_task_is_nobody_else_s_business(opened: Any) -> None:
    other = Identity("other", (Statement("allow", ("*",), ("*",)),))
    clients = {**keyring(), OTHER_KEY: Credential(OTHER_KEY, SECRET, other)}
    async with opened(clients=clients) as gateway:
        _, told = await analyze(gateway, {"source": {"uri": "s3://demo/none.jpg"}, "async": True})
        stranger = basic(OTHER_KEY, SECRET.reveal())
        assert (await task_status(gateway, told["data"]["task_id"], stranger))[0] == 404
        assert (await task_status(gateway, told["data"]["task_id"]))[0] == 200


async def test_more_open_tasks_than_are_kept_are_refused(opened: Any, around: Neighbourhood) -> None:
    around.takes = lambda: False  # so that they stay open
    request = {"source": {"uri": "s3://demo/none.jpg"}, "async": True, "notification_url": around.hook}
    async with opened(tasks={"max_open": 2, "first_wait_s": 60.0, "longest_wait_s": 60.0}) as gateway:
        answers = [await analyze(gateway, request) for _ in range(3)]
    assert [status for status, _ in answers] == [202, 202, 429]
    assert answers[2][1]["error"]["category"] == "rate_limit_error"


async def test_one_key_s_open_tasks_leave_room_for_another_s(opened: Any, around: Neighbourhood) -> None:
    around.takes = lambda: False  # so that they stay open
    request = {"source": {"uri": "s3://demo/none.jpg"}, "async": True, "notification_url": around.hook}
    tasks = {"max_open_of_key": 1, "first_wait_s": 60.0, "longest_wait_s": 60.0}
    other = Identity("other", (Statement("allow", ("*",), ("*",)),))
    clients = {**keyring(), OTHER_KEY: Credential(OTHER_KEY, SECRET, other)}
    async with opened(clients=clients, tasks=tasks) as gateway:
        assert [(await analyze(gateway, request))[0] for _ in range(2)] == [202, 429]
        assert (await analyze(gateway, request, basic(OTHER_KEY, SECRET.reveal())))[0] == 202


async def test_an_allowance_is_told_and_ends(opened: Any) -> None:
    tables = {"clouds": {"demo": {"bucket": "demo", "scores_per_day": 2}}}
    async with opened(**tables) as gateway:
        answers = [await analyze(gateway, {"source": {"uri": "s3://demo/d/a b.jpg"}}) for _ in range(3)]
    assert [status for status, _ in answers] == [200, 200, 429]
    items = [answer["limits"]["items"][0] for _, answer in answers[:2]]
    assert [(item["used_by_request"], item["remaining"], item["limit"]) for item in items] == [(1, 1, 2), (1, 0, 2)]
    assert all(item["reset_time"].endswith("00:00:00Z") for item in items)
    assert answers[2][1]["error"]["category"] == "rate_limit_error"
