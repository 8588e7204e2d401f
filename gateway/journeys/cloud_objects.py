"""Cloudinary's signed calls about an asset that is there: explicit, destroy, rename."""

from __future__ import annotations

import secrets
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gateway.dialects.base import StoreRequest
from gateway.dialects.cloudinary_upload import flag
from gateway.errors import ALREADY_EXISTS, ASSET_CHANGED, INVALID_ARGUMENT, NO_SUCH_RESOURCE, ApiError
from gateway.journeys.cloud_assets import Desk, wish_of, with_details
from gateway.journeys.cloud_caller import bucket_of
from gateway.journeys.cloud_notify import notify, receiver
from gateway.journeys.ingest import look_up
from gateway.request import percent_encode
from gateway.stores.documents import document, refuse_error, stored_etag

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from gateway.assets import Asset
    from gateway.dialects.cloudinary_routes import Route
    from gateway.journeys.cloud_body import Received

_RENAME_S = 60  # after so long a name is free again, though its rename has not come back


async def explicit(desk: Desk, found: Route, body: Received) -> dict[str, Any]:
    """Score an asset that is there, and say more about it; what is scored here is not indexed. Raises ApiError."""
    public_id = needed(body.fields, "public_id")
    wish = wish_of(body.fields)
    desk.allow(desk.ref(public_id), "cloudinary:Upload", "s3:GetObject", wish=wish)
    to = receiver(desk, body.fields)
    asset = await desk.current(public_id, found.resource_type, body.fields.get("type") or "upload")
    told = await desk.analysed(asset, wish, index=False)
    changed = with_details(asset, body.fields)
    await desk.remember(changed, asset)
    reply = {**desk.reply(changed), **told}
    await notify(desk, to, "explicit", reply)
    return reply


async def destroy(desk: Desk, found: Route, body: Received) -> dict[str, Any]:
    """Remove an asset; one that is not there is told in the reply, as the vendor does. Raises ApiError."""
    public_id = needed(body.fields, "public_id")
    to = receiver(desk, body.fields)
    kind = body.fields.get("type") or "upload"
    removed = await remove(desk, public_id, found.resource_type, kind)
    if removed:
        resources = [{"resource_type": found.resource_type, "type": kind, "public_id": public_id}]
        await notify(desk, to, "delete", {"resources": resources})
    return {"result": "ok" if removed else "not found"}


async def remove(desk: Desk, public_id: str, resource_type: str, kind: str) -> bool:
    """Remove an asset and its object; tell whether there was one. Raises ApiError."""
    desk.allow(desk.ref(public_id), "cloudinary:Destroy", "s3:DeleteObject")
    try:
        asset = await desk.current(public_id, resource_type, kind)
    except ApiError as error:
        if error.kind is not NO_SUCH_RESOURCE:
            raise
        return False
    await _delete(desk, asset)
    return True


async def _delete(desk: Desk, asset: Asset) -> None:
    bucket = bucket_of(desk.call, desk.caller, desk.cloud)
    async with bucket.open(StoreRequest("DELETE", percent_encode(asset.key, safe="/"), "", ())) as answer:
        if answer.status != 404:
            await refuse_error(answer)
    await desk.call.services.ledger.remove_asset(asset)


async def rename(desk: Desk, found: Route, body: Received) -> dict[str, Any]:
    """Give an asset another public id, in the store as well. Raises ALREADY_EXISTS and other ApiErrors."""
    old, new = needed(body.fields, "from_public_id"), needed(body.fields, "to_public_id")
    desk.allow(desk.ref(new), "cloudinary:Rename", "s3:PutObject")
    desk.allow(desk.ref(old), "cloudinary:Rename", "s3:GetObject", "s3:DeleteObject")
    to = receiver(desk, body.fields)
    asset = await desk.current(old, found.resource_type, body.fields.get("type") or "upload")
    if old == new:
        return desk.reply(asset)
    async with _nobody_else(desk, new):
        bucket = bucket_of(desk.call, desk.caller, desk.cloud)
        if not flag(body.fields, "overwrite") and await look_up(new, bucket):
            raise _exists(new)
        known = await desk.call.services.ledger.asset(desk.cloud.name, new)
        renamed = await _copied(desk, asset, new)
        await desk.settle(renamed, known)
        left = await look_up(old, bucket)
        if left and left.etag == asset.store_etag:  # else somebody has just uploaded another one under the old name
            await _delete(desk, asset)
    reply = desk.reply(renamed)
    await notify(desk, to, "rename", {**reply, "from_public_id": old, "to_public_id": new})
    return reply


@asynccontextmanager
async def _nobody_else(desk: Desk, public_id: str) -> AsyncIterator[None]:
    """Keep other renames to the same name away: a store would let one overwrite the other. Raises ALREADY_EXISTS."""
    ledger, name = desk.call.services.ledger, f"{desk.cloud.name}:renaming:{public_id}"
    taken = await ledger.count(name, 1, _RENAME_S)
    try:
        if taken > 1:
            raise _exists(public_id)
        yield
    finally:
        await ledger.count(name, -1, _RENAME_S)


async def _copied(desk: Desk, asset: Asset, new: str) -> Asset:
    """Copy the object that was looked at, and no later one. Raises ASSET_CHANGED."""
    bucket = bucket_of(desk.call, desk.caller, desk.cloud)
    source = f"{percent_encode(bucket.name)}/{percent_encode(asset.key, safe='/')}"
    headers = (("x-amz-copy-source", source), ("x-amz-copy-source-if-match", f'"{asset.store_etag}"'))
    async with bucket.open(StoreRequest("PUT", percent_encode(new, safe="/"), "", headers)) as answer:
        if answer.status == 412:
            raise ApiError(ASSET_CHANGED)
        etag = (await document(answer)).child_text("ETag").strip('"')
    etag = etag or await stored_etag(bucket, percent_encode(new, safe="/"), "", ())
    display_name = asset.display_name if asset.display_name != _last(asset.public_id) else _last(new)
    return replace(asset, public_id=new, store_etag=etag, version_id=secrets.token_hex(16), display_name=display_name)


def _exists(public_id: str) -> ApiError:
    return ApiError(ALREADY_EXISTS, message=f"to_public_id ({public_id}) already exists")


def _last(public_id: str) -> str:
    return public_id.rpartition("/")[2]


def needed(fields: Mapping[str, str], name: str) -> str:
    """Return a parameter that must be there. Raises INVALID_ARGUMENT."""
    if not fields.get(name):
        raise ApiError(INVALID_ARGUMENT, f"no {name}", message=f"Missing required parameter - {name}")
    return fields[name]
