"""An asset of a cloud as plain data: what is remembered of an upload beside the object itself. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003 # dataclasses name it at run time
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset: the object `key` of the bucket that its cloud has now, known to the vendor's clients by `public_id`.

    `asset_id` and `version_id` are 32 hex digits; `version` counts seconds since 1970 and grows with each new content;
    `created_at` is in seconds since 1970. `etag` is the MD5 of the content where it is known, `store_etag` the store's
    own tag, by which a change behind our back is noticed. `width` and `height` are pixels as stored, 0 where there are
    none. `scores` are the indexed results (0..1) by the name that a search uses.
    """

    asset_id: str
    cloud: str
    public_id: str
    resource_type: str
    type: str
    version: int
    version_id: str
    created_at: float
    bytes: int
    etag: str
    store_etag: str = ""
    format: str = ""
    width: int = 0
    height: int = 0
    pages: int = 1
    original_filename: str = ""
    display_name: str = ""
    asset_folder: str = ""
    tags: tuple[str, ...] = ()
    context: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    uploaded: bool = True  # by the cloud's own API, not found in its bucket

    @property
    def key(self) -> str:
        """The key of the object."""
        return self.public_id


def dumps(asset: Asset) -> str:
    """Return the asset as a line of JSON; `loads` is its inverse."""
    return json.dumps(asdict(asset), separators=(",", ":"))


def loads(text: str | bytes) -> Asset:
    """Rebuild an asset from `dumps`'s text."""
    document = json.loads(text)
    return Asset(**{**document, "tags": tuple(document["tags"])})
