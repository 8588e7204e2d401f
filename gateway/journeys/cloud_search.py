"""Cloudinary's search: what was remembered of each upload, filtered and sorted; no picture is read."""

from __future__ import annotations

import json
from contextlib import aclosing
from time import perf_counter
from typing import TYPE_CHECKING, Any

from gateway.dialects.cloudinary_replies import found as as_found
from gateway.dialects.cloudinary_search import MAX_LENGTH, Rank, parse, parse_sorting, place, rank
from gateway.errors import INVALID_ARGUMENT, ApiError
from gateway.journeys.cloud_admin import from_cursor, max_results, to_cursor
from gateway.request import ObjectRef

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from gateway.assets import Asset
    from gateway.dialects.cloudinary_routes import Route
    from gateway.dialects.cloudinary_search import Condition, Sorting
    from gateway.journeys.cloud_assets import Desk
    from gateway.journeys.cloud_body import Received

_RESULTS = 50  # unasked
_MAX_TOKEN = 256 * 1024  # it holds what the last result was sorted by, which may be long texts


async def search(desk: Desk, found: Route, body: Received) -> dict[str, Any]:
    """Return a page of the assets for which an expression holds. Raises INVALID_ARGUMENT, ACCESS_DENIED."""
    del found
    started = perf_counter()
    desk.allow(ObjectRef(desk.cloud.bucket.name, ""), "cloudinary:Search", "s3:ListBucket")
    condition = parse(body.fields.get("expression", ""))
    sorting = parse_sorting(_rows(body.fields.get("sort_by", "")))
    most = max_results(body.fields, _RESULTS)
    after = _after(body.fields.get("next_cursor", ""), sorting)
    async with aclosing(desk.call.services.ledger.assets(desk.cloud.name)) as assets:
        count, page, more = await _best(assets, condition, sorting, after, most)
    told = {
        "total_count": count,
        "time": round((perf_counter() - started) * 1000),
        "resources": [as_found(asset, desk.urls) for asset in page],
    }
    return {**told, "next_cursor": to_cursor(json.dumps(place(page[-1], sorting)))} if more else told


async def _best(
    assets: AsyncGenerator[Asset], condition: Condition, sorting: Sorting, after: Rank | None, most: int
) -> tuple[int, list[Asset], bool]:
    """Return how many assets fit, the first `most` of them behind `after`, and whether more follow.

    No more are held than three pages.
    """
    count = 0
    kept: list[tuple[Rank, Asset]] = []
    async for asset in assets:
        if not condition(asset):
            continue
        count += 1
        where = rank(place(asset, sorting), sorting)
        if after is None or after < where:
            kept.append((where, asset))
        if len(kept) > 3 * most + 1:
            kept = sorted(kept, key=lambda row: row[0])[: most + 1]
    kept.sort(key=lambda row: row[0])
    return count, [asset for _, asset in kept[:most]], len(kept) > most


def _rows(text: str) -> object:
    """Read `sort_by`: a JSON list, or its only table. Raises INVALID_ARGUMENT."""
    if len(text) > MAX_LENGTH:
        raise ApiError(INVALID_ARGUMENT, "sort_by", message=f"Invalid sort_by: more than {MAX_LENGTH} characters")
    try:
        rows = json.loads(f"[{text}]" if text.startswith("{") else text) if text else None
    except (ValueError, RecursionError):
        raise ApiError(INVALID_ARGUMENT, "sort_by", message="Invalid sort_by: JSON is expected") from None
    return rows


def _after(token: str, sorting: Sorting) -> Rank | None:
    if not token:
        return None
    try:
        where = json.loads(from_cursor(token)) if len(token) <= _MAX_TOKEN else None
    except (ValueError, RecursionError):
        raise ApiError(INVALID_ARGUMENT, "next_cursor", message="Invalid next_cursor") from None
    return rank(where if isinstance(where, list) else [], sorting)
