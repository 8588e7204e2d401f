"""What each vendor's own service takes, one row a dialect, for those who want to meet its limits here. Pure.

Must not know requests or settings. A vendor without a row states no limits of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gateway.imaging.limits import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gateway.imaging.limits import Limits

_UNLIMITED = 2**63


@dataclass(frozen=True, slots=True)
class VendorLimits:
    """The limits that a vendor publishes: names of `Facts.format`, bytes of the file, pixels a side and in all."""

    formats: frozenset[str]
    max_bytes: int = _UNLIMITED
    max_side: int = _UNLIMITED
    max_pixels: int = _UNLIMITED


STRICT: Mapping[str, VendorLimits] = {  # name of the dialect -> what its vendor takes
    # Aliyun, "Overview of IMG", usage notes on source images: 20 MB, 30,000 pixels a side, 250 million in all.
    "oss": VendorLimits(
        frozenset({"jpeg", "png", "bmp", "gif", "webp", "tiff", "heic", "avif"}),
        max_bytes=20 * 2**20,
        max_side=30_000,
        max_pixels=250_000_000,
    ),
    # Tencent, "Image quality assessment": PNG, JPG and JPEG; 4 MiB at most as Base64, which is this many bytes.
    "cos": VendorLimits(frozenset({"jpeg", "png"}), max_bytes=3_145_728),
}


def strict(dialect: str, own: Limits) -> Limits:
    """Return the gateway's own limits, narrowed to what the dialect's vendor takes. Raises KeyError without a row."""
    vendor = STRICT[dialect]
    return replace(
        own,
        max_bytes=min(own.max_bytes, vendor.max_bytes),
        max_side=min(own.max_side, vendor.max_side),
        max_pixels=min(own.max_pixels, vendor.max_pixels),
        formats=tuple(name for name in own.formats if name in vendor.formats),
    )


def impossible(own: Limits, strict_dialects: Iterable[str]) -> Iterator[str]:
    """Say what no configuration can mean: a format that is not known here, strictness of a dialect without a row."""
    yield from (f"limits.formats: there is no {name!r}" for name in sorted({*own.formats} - {*FORMATS}))
    for name in strict_dialects:
        if name not in STRICT:
            yield f"dialects.{name}.strict_limits: no vendor's limits are known for it, only for {', '.join(STRICT)}"
