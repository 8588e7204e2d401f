"""How assets are told to Cloudinary's clients: the documented sample replies, field by field. Pure.

Source: Cloudinary, "Upload API reference", "Admin API reference", "Search API", sample responses.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gateway.dialects.cloudinary_quality import EXTENDED
from gateway.request import percent_encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.assets import Asset

PLACEHOLDER = False  # nothing here stands in for a picture that is still being made


@dataclass(frozen=True, slots=True)
class Urls:
    """Where assets can be fetched: at a delivery host, or, without one, as objects of their bucket at `authority`."""

    delivery_host: str
    authority: str
    bucket: str

    def of(self, asset: Asset, scheme: str) -> str:
        """Return an asset's URL."""
        if self.delivery_host:
            return f"{scheme}://{self.delivery_host}{delivery_path(asset)}"
        return f"{scheme}://{self.authority}/{percent_encode(self.bucket)}/{percent_encode(asset.key, safe='/')}"


def delivery_path(asset: Asset) -> str:
    """Return `/CLOUD/TYPE/TYPE/vVERSION/PUBLIC_ID.FORMAT`, percent-encoded; a raw asset's id ends as its file did."""
    name = asset.public_id if asset.resource_type == "raw" else f"{asset.public_id}.{asset.format}"
    place = f"/{asset.cloud}/{asset.resource_type}/{asset.type}/v{asset.version}/{name}"
    return percent_encode(place.removesuffix("."), safe="/")


def iso(seconds: float) -> str:
    """Return a time (seconds since 1970) as the vendor writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def uploaded(asset: Asset, urls: Urls, signature: str, api_key: str) -> dict[str, Any]:
    """Return the reply to an upload, in the sample's order; analyses are put behind `original_filename`."""
    return {
        "asset_id": asset.asset_id,
        "public_id": asset.public_id,
        "version": asset.version,
        "version_id": asset.version_id,
        "signature": signature,
        **_sides(asset),
        **({"format": asset.format} if asset.format else {}),
        "resource_type": asset.resource_type,
        "created_at": iso(asset.created_at),
        "tags": list(asset.tags),
        **({"pages": asset.pages} if asset.resource_type == "image" else {}),
        "bytes": asset.bytes,
        "type": asset.type,
        "etag": asset.etag,
        "placeholder": PLACEHOLDER,
        "url": urls.of(asset, "http"),
        "secure_url": urls.of(asset, "https"),
        "asset_folder": asset.asset_folder,
        "display_name": asset.display_name,
        **_context(asset),
        **({"original_filename": asset.original_filename} if asset.original_filename else {}),
        "api_key": api_key,
    }


def listed(asset: Asset, urls: Urls) -> dict[str, Any]:
    """Return an asset as one of many of the admin API."""
    return {
        "asset_id": asset.asset_id,
        "public_id": asset.public_id,
        "format": asset.format,
        "version": asset.version,
        "resource_type": asset.resource_type,
        "type": asset.type,
        "created_at": iso(asset.created_at),
        "bytes": asset.bytes,
        **_sides(asset),
        "asset_folder": asset.asset_folder,
        "display_name": asset.display_name,
        "access_mode": "public" if asset.type == "upload" else "authenticated",
        "url": urls.of(asset, "http"),
        "secure_url": urls.of(asset, "https"),
        "tags": list(asset.tags),
        **_context(asset),
    }


def shown(asset: Asset, urls: Urls) -> dict[str, Any]:
    """Return one asset's details."""
    pages = {"pages": asset.pages} if asset.resource_type == "image" else {}
    more = {"etag": asset.etag, "version_id": asset.version_id, "placeholder": PLACEHOLDER, **pages}
    original = {"original_filename": asset.original_filename} if asset.original_filename else {}
    return {**listed(asset, urls), **more, **original, "derived": []}


def found(asset: Asset, urls: Urls) -> dict[str, Any]:
    """Return an asset as a result of a search, with the scores that were indexed."""
    scores = {name: asset.scores[_score(name)] for name in EXTENDED if _score(name) in asset.scores}
    told = {"quality_analysis": scores, "quality_score": asset.scores.get("quality_score")} if scores else {}
    return {
        **listed(asset, urls),
        "filename": asset.public_id.rpartition("/")[2],
        "uploaded_at": iso(asset.version),
        **({"aspect_ratio": asset.width / asset.height, "pixels": asset.width * asset.height} if asset.height else {}),
        "status": "active",
        "etag": asset.etag,
        **told,
    }


def _score(name: str) -> str:
    return f"quality_analysis.{name}"


def _sides(asset: Asset) -> dict[str, int]:
    return {"width": asset.width, "height": asset.height} if asset.width else {}


def _context(asset: Asset) -> Mapping[str, Any]:
    return {"context": {"custom": dict(asset.context)}} if asset.context else {}
