"""The dialects, and which of them a request speaks. Knows the order of the signs; must not know what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.dialects import cloudinary, cloudinary_analyze, cloudinary_delivery, cos, oss, s3, sightengine
from gateway.dialects.process import cos_names, oss_names, process_parameters
from gateway.request import by_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.dialects.base import AnalysingDialect, Dialect, VendorDialect
    from gateway.request import HostMap, RequestHead

__all__ = ["ANALYSING", "DIALECTS", "VENDORS", "analysing", "by_name", "process_parameters", "reserved", "select"]

DIALECTS: tuple[Dialect, ...] = (s3, oss, cos)
ANALYSING: tuple[AnalysingDialect, ...] = (oss, cos)
_BY_NAME = {dialect.NAME: dialect for dialect in DIALECTS}
_ANALYSING = {dialect.NAME: dialect for dialect in ANALYSING}
_BY_SCHEME = {scheme: dialect for dialect in DIALECTS for scheme in dialect.SCHEMES}
VENDORS: tuple[VendorDialect, ...] = (cloudinary, cloudinary_analyze, cloudinary_delivery, sightengine)


def by_name(name: str) -> Dialect:
    """Return the dialect of this name. Raises KeyError for an unknown one."""
    return _BY_NAME[name]


def analysing(dialect: Dialect) -> AnalysingDialect:
    """Return the dialect as one that can tell a score. Raises KeyError for one that never asks for one."""
    return _ANALYSING[dialect.NAME]


def reserved(
    head: RequestHead, scheme_names: tuple[str, ...], hosts: Mapping[str, tuple[str, ...]]
) -> VendorDialect | None:
    """Say whose own API a request is for, before anybody looks for a bucket in it; None when it is for none.

    `hosts` are the host names of each API that is answered (none: any). A claim of S3, OSS or COS decides against
    all of them, so that no bucket is lost.
    """
    for dialect in () if scheme_names else VENDORS:
        names = hosts.get(dialect.NAME)
        if names is not None and (not names or head.host in names) and dialect.reserves(head):
            return dialect
    return None


def select(head: RequestHead, scheme_names: tuple[str, ...], hosts: HostMap, default: str) -> Dialect:
    """Say which dialect a request speaks, and its errors with it.

    First of: a process parameter, whatever scheme signed the request; the scheme that was recognised; the host's
    suffix; the listener's default. Both vendors' process parameters at once go to OSS, which refuses them.
    """
    return _of_process(head) or _of_scheme(scheme_names) or _of_host(hosts.suffix_of(head.host)) or by_name(default)


@by_names
def _of_process(names: tuple[str, ...]) -> Dialect | None:
    if oss_names(names):
        return oss
    return cos if cos_names(names) else None


def _of_scheme(scheme_names: tuple[str, ...]) -> Dialect | None:
    for name in scheme_names:
        if name in _BY_SCHEME:
            return _BY_SCHEME[name]
    return None


def _of_host(suffix: tuple[str, str] | None) -> Dialect | None:
    return next((dialect for dialect in DIALECTS if suffix and suffix[1] == dialect.NAME), None)
