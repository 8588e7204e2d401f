"""Requests to the vendors' own APIs: who answers which. One line a vendor; each journey is a module of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.dialects import cloudinary, cloudinary_analyze, cloudinary_delivery
from gateway.dialects import sightengine as sightengine_dialect
from gateway.journeys import cloud_analysis, cloud_api, cloud_delivery, sightengine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gateway.dialects.base import VendorDialect
    from gateway.journeys.vendor_call import Call

# Each goes the same way: where, who, what, allowed, do, render. It sends its answer, or raises ApiError.
_ANSWERS: Mapping[str, Callable[[Call], Awaitable[None]]] = {
    cloudinary.NAME: cloud_api.answer,
    cloudinary_delivery.NAME: cloud_delivery.answer,
    cloudinary_analyze.NAME: cloud_analysis.answer,
    sightengine_dialect.NAME: sightengine.answer,
}


async def answer(call: Call, dialect: VendorDialect) -> None:
    """Answer a request that `registry.reserved` has given to this dialect. Raises ApiError."""
    await _ANSWERS[dialect.NAME](call)
