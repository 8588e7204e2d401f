"""The journey of a request for the original of an asset, on a host name that is configured for that.

Such a host publishes its cloud's assets of type `upload` that were uploaded through the API, and nothing else of the
bucket: an object that came by S3 is not among them, in an asset's place neither, nor a private or authenticated asset.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from gateway.credentials import ANONYMOUS
from gateway.dialects.base import StoreRequest
from gateway.dialects.cloudinary_delivery import delivery, fits, missing, names
from gateway.errors import METHOD_NOT_ALLOWED, UNSUPPORTED_AUTHORIZATION, ApiError
from gateway.journeys.cloud_caller import cloud_of
from gateway.journeys.forward import answer_headers
from gateway.request import percent_encode
from gateway.stores.documents import store_error
from gateway.vendors import delivery_hosts

if TYPE_CHECKING:
    from gateway.assets import Asset
    from gateway.dialects.cloudinary_delivery import Delivery
    from gateway.journeys.cloud_caller import Cloud
    from gateway.journeys.vendor_call import Call
    from gateway.request import Headers
    from gateway.stores.answer import StoreAnswer
    from gateway.stores.ledger import Ledger

# An upload in the place of an asset is known to the store a moment before it is known here.
_PAUSES_S = (0.05, 0.2, 0.0)
_ACTIVE = ("html", "xml", "script")  # SVG is XML too
_ASKED = ("range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since")


async def answer(call: Call) -> None:
    """Send an original, or the part of it that is asked for. Raises ApiError."""
    if call.head.method not in ("GET", "HEAD"):
        raise ApiError(METHOD_NOT_ALLOWED, call.head.method)
    call.services.quotas.admit(call.head.peer, monotonic())
    found = delivery(call.head)
    cloud = cloud_of(call, found.cloud)
    if call.head.host not in delivery_hosts({cloud.name: cloud.settings}):  # another cloud's, which publishes its own
        raise missing(found)
    if found.type != "upload":
        message = f"Assets of type {found.type} are not delivered without a signature, which is not known here"
        raise ApiError(UNSUPPORTED_AUTHORIZATION, message=message)
    for pause_s in _PAUSES_S:
        asset = await asset_at(call.services.ledger, found)
        call.record.key = asset.key
        if await _sent(call, cloud, found, asset):
            return
        await asyncio.sleep(pause_s)
    await call.services.ledger.put_asset(replace(asset, uploaded=False), asset.version_id)
    raise missing(found)


async def _sent(call: Call, cloud: Cloud, found: Delivery, asset: Asset) -> bool:
    """Send an asset; False, and nothing sent, when the store has another object in its place. Raises ApiError."""
    store = replace(call.store_for(ANONYMOUS, cloud.bucket), signed=True)
    headers = tuple(pair for pair in call.head.headers if pair[0] in _ASKED)
    request = StoreRequest(call.head.method, percent_encode(asset.key, safe="/"), "", headers)
    async with store.open(request) as stored:
        if stored.status >= 400:
            error = await store_error(stored)
            raise missing(found) if stored.status == 404 else error
        etag = stored.header("etag").strip('"')
        if etag != asset.store_etag and (etag or stored.status != 304):
            return False
        await call.exchange.begin(stored.status, stored.reason, (*answer_headers(stored.headers), *_safe(stored)))
        if call.head.method == "GET":
            async for chunk in stored.chunks():
                await call.exchange.write(chunk)
    return True


def _safe(stored: StoreAnswer) -> Headers:
    """Return what keeps a browser from running what anybody may have uploaded, on this host's account."""
    active = any(each in stored.header("content-type").lower() for each in _ACTIVE)
    return (("X-Content-Type-Options", "nosniff"), *((("Content-Security-Policy", "sandbox"),) if active else ()))


async def asset_at(ledger: Ledger, found: Delivery) -> Asset:
    """Return the asset that a URL names. Raises NO_SUCH_RESOURCE, and INVALID_ARGUMENT for a transformation."""
    for public_id, extension in names(found):
        asset = await ledger.asset(found.cloud, public_id)
        if asset and asset.uploaded and fits(asset, found, extension):
            return asset
    raise missing(found)
