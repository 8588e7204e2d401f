"""Cloudinary's admin API: assets shown, listed, changed, removed."""

from __future__ import annotations

import binascii
from base64 import b64decode, urlsafe_b64encode
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from gateway.dialects.cloudinary_replies import listed, shown
from gateway.dialects.cloudinary_upload import public_ids
from gateway.errors import INVALID_ARGUMENT, ApiError
from gateway.journeys.cloud_assets import wish_of, with_details
from gateway.journeys.cloud_objects import remove
from gateway.request import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.assets import Asset
    from gateway.dialects.cloudinary_routes import Route
    from gateway.journeys.cloud_assets import Desk, Wish
    from gateway.journeys.cloud_body import Received

MAX_RESULTS = 500
_RESULTS = 10  # unasked
_MAX_NAMES = 100
_READ = ("cloudinary:Read", "s3:GetObject")


async def ping(desk: Desk, found: Route, body: Received) -> dict[str, Any]:
    """Say that the credentials are right."""
    del desk, found, body
    return {"status": "ok"}


async def show(desk: Desk, found: Route, body: Received) -> dict[str, Any]:
    """Show one asset, scored if that is asked for; the result is not indexed. Raises ApiError."""
    wish = wish_of(body.fields)
    asset = await _one(desk, found, *_READ, wish=wish)
    return {**shown(asset, desk.urls), **await desk.analysed(asset, wish, index=False)}


async def update(desk: Desk, found: Route, body: Received) -> dict[str, Any]:
    """Change what is said about an asset, and score it if that is asked for, or if its cloud always does.

    The result is indexed. Raises ApiError.
    """
    wish = wish_of(body.fields, always=desk.cloud.settings.analyse_on_update)
    asset = await _one(desk, found, "cloudinary:Update", "s3:GetObject", wish=wish)
    changed = with_details(asset, body.fields)
    await desk.remember(changed, asset)
    return {**shown(changed, desk.urls), **await desk.analysed(changed, wish, index=True)}


async def _one(desk: Desk, found: Route, *actions: str, wish: Wish) -> Asset:
    """Return the asset that a path names, by either of its names, once the caller may do this with it."""
    if not found.asset_id:
        desk.allow(desk.ref(found.public_id), *actions, wish=wish)
        return await desk.current(found.public_id, found.resource_type, found.type)
    known = await desk.by_id(found.asset_id)
    desk.allow(desk.ref(known.public_id), *actions, wish=wish)
    return await desk.current(known.public_id, known.resource_type, known.type)


async def list_assets(desk: Desk, found: Route, body: Received) -> dict[str, Any]:
    """List assets by their public ids, page by page. Raises ApiError."""
    desk.allow(ObjectRef(desk.cloud.bucket.name, ""), "cloudinary:Read", "s3:ListBucket")
    most = max_results(body.fields, _RESULTS)
    if names := public_ids(body.fields):
        ledger = desk.call.services.ledger
        known = [await ledger.asset(desk.cloud.name, name) for name in names[:_MAX_NAMES]]
        return {"resources": [listed(asset, desk.urls) for asset in known if asset and _fits(asset, found)]}
    page, more = await _page(desk, found, body.fields, most)
    told: dict[str, Any] = {"resources": [listed(asset, desk.urls) for asset in page]}
    return {**told, "next_cursor": to_cursor(page[-1].public_id)} if more else told


async def _page(desk: Desk, found: Route, fields: Mapping[str, str], most: int) -> tuple[list[Asset], bool]:
    """Return a page of assets, and whether more follow."""
    after = from_cursor(fields["next_cursor"]) if fields.get("next_cursor") else ""
    page: list[Asset] = []
    assets = desk.call.services.ledger.assets(desk.cloud.name, fields.get("prefix", ""), after)
    async with aclosing(assets):
        async for asset in assets:
            if _fits(asset, found):
                if len(page) == most:
                    return page, True
                page.append(asset)
    return page, False


def _fits(asset: Asset, found: Route) -> bool:
    return found.resource_type in ("", asset.resource_type) and found.type in ("", asset.type)


async def delete(desk: Desk, found: Route, body: Received) -> dict[str, Any]:
    """Remove the assets that are named. Raises ApiError."""
    names = public_ids(body.fields)
    if not names or len(names) > _MAX_NAMES:
        message = f"Missing required parameter - public_ids: 1 to {_MAX_NAMES} of them"
        raise ApiError(INVALID_ARGUMENT, "public_ids", message=message)
    deleted = {}
    for name in names:
        gone = await remove(desk, name, found.resource_type, found.type)
        deleted[name] = "deleted" if gone else "not_found"
    return {"deleted": deleted, "partial": False}


def max_results(fields: Mapping[str, str], default: int) -> int:
    """Read how many results a page may have. Raises INVALID_ARGUMENT outside of 1..500."""
    text = fields.get("max_results", "") or str(default)
    if not text.isascii() or not text.isdigit() or len(text) > 6 or not 1 <= int(text) <= MAX_RESULTS:
        raise ApiError(INVALID_ARGUMENT, "max_results", message=f"Invalid max_results: 1 to {MAX_RESULTS} is expected")
    return int(text)


def to_cursor(text: str) -> str:
    """Return a place in a list as a token."""
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def from_cursor(token: str) -> str:
    """Read `to_cursor`'s token. Raises INVALID_ARGUMENT."""
    try:
        return b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise ApiError(INVALID_ARGUMENT, "next_cursor", message="Invalid next_cursor") from None
