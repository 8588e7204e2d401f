"""Cloudinary's delivery of originals, on a host name of its own: `/CLOUD/image/upload/[vVERSION/]PUBLIC_ID.EXT`. Pure.

Source: Cloudinary, "Transformation URL API reference", syntax. Errors are told as by the upload API.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.dialects.cloudinary import render_error
from gateway.dialects.cloudinary_routes import RESOURCE_TYPES, TYPES
from gateway.errors import INVALID_ARGUMENT, NO_SUCH_RESOURCE, ApiError
from gateway.request import percent_decode

if TYPE_CHECKING:
    from gateway.assets import Asset
    from gateway.request import RequestHead

__all__ = ["NAME", "Delivery", "delivery", "fits", "missing", "names", "render_error", "reserves"]

NAME = "cloudinary-delivery"
_VERSION = re.compile(r"v\d+")
# `w_100,h_100`, `c_fill`, `e_blur:300`, `$width_10`, `t_named`: a short name, `_`, a value.
_TRANSFORMATION = re.compile(r"\$?[a-z]{1,4}_[^/]+")
_SIGNATURE = re.compile(r"s--[\w-]{8,32}--")
_SAME = {"jpeg": "jpg", "jpe": "jpg", "tiff": "tif", "heif": "heic"}


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a delivery URL names; `rest` is all behind its version: a public id, and perhaps more."""

    cloud: str
    resource_type: str
    type: str
    rest: str


def reserves(head: RequestHead) -> bool:
    """Tell whether a request to a delivery host is this one's: each is."""
    return head.raw_path.startswith("/")


def delivery(head: RequestHead) -> Delivery:
    """Read a delivery URL's path. Raises NO_SUCH_RESOURCE."""
    cloud, _, place = percent_decode(head.raw_path.removeprefix("/")).partition("/")
    resource_type, _, place = place.partition("/")
    kind, _, rest = place.partition("/")
    parts = rest.split("/")
    if parts and _SIGNATURE.fullmatch(parts[0]):
        parts = parts[1:]
    if len(parts) > 1 and _VERSION.fullmatch(parts[0]):
        parts = parts[1:]
    known = resource_type in RESOURCE_TYPES and kind in TYPES
    if not known or not any(parts) or not (cloud + rest).isprintable():
        raise ApiError(NO_SUCH_RESOURCE, message="Resource not found")
    return Delivery(cloud, resource_type, kind, "/".join(parts))


def names(found: Delivery) -> tuple[tuple[str, str], ...]:
    """Return the (public id, extension) that a URL may mean, the likeliest first."""
    stem, dot, extension = found.rest.rpartition(".")
    whole = (found.rest, "")
    return (whole,) if not dot or "/" in extension or found.resource_type == "raw" else ((stem, extension), whole)


def fits(asset: Asset, found: Delivery, extension: str) -> bool:
    """Tell whether an asset is what a URL means. Raises INVALID_ARGUMENT for another format than the original's."""
    if (asset.resource_type, asset.type) != (found.resource_type, found.type):
        return False
    wanted = extension.lower()
    if wanted and _SAME.get(wanted, wanted) != asset.format:
        raise transformations_refused(f"the original is {asset.format or 'raw'}, {extension} would be another one")
    return True


def missing(found: Delivery) -> ApiError:
    """Return the error for a URL that names no asset: it may be that it asks for a transformation."""
    first = found.rest.partition("/")[0]
    if "/" in found.rest and _TRANSFORMATION.fullmatch(first):
        return transformations_refused(f"{first[:80]} is one")
    return ApiError(NO_SUCH_RESOURCE, message=f"Resource not found - {found.rest[:300]}")


def transformations_refused(why: str) -> ApiError:
    """Return the error for a transformation."""
    message = f"Transformations are not supported, originals alone are delivered: {why}"
    return ApiError(INVALID_ARGUMENT, "transformation", message=message)
