"""What stores do beyond S3, where no right has a name for it. Knows stores' own words; must not know any vendor's.

Sources: MinIO (`internal/http/headers.go`, `cmd/object-handlers.go`), Ceph RGW ("Admin Operations", system requests),
OpenStack Swift (`swift/common/middleware/s3api/s3request.py`, "Object Storage API").
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gateway.dialects.hidden import refuse_hidden, refuse_hidden_source
from gateway.errors import ACCESS_DENIED, NOT_IMPLEMENTED, ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.request import Headers, ObjectRef

# Behind these first path segments stores keep their administration (MinIO's /minio/admin, Ceph's /admin/user), where
# the key with which the gateway signs may do far more than read or write objects.
RESERVED_BUCKETS = ("admin", "minio")
# No S3 client needs these, no signature of S3 covers them, and they read, replace, publish or expire other things
# than the right that was checked: MinIO's, Ceph's, and Swift's own headers, which its S3 layer may pass on.
_HEADERS = (
    *("x-minio-", "x-rgw-"),
    *("x-account-", "x-auth-", "x-backend-", "x-container-", "x-copy-from", "x-delete-", "x-fresh-metadata"),
    *("x-history-location", "x-object-", "x-remove-", "x-service-token", "x-static-large-object", "x-storage-"),
    *("x-symlink-", "x-versions-"),
)
# Ceph's system requests: with a system user's key they act as another user (rgwx-uid).
_PARAMETERS = "rgwx-"
# MinIO unpacks such an upload into keys that nobody was asked about.
_UNPACKING = "x-amz-meta-snowball-auto-extract"
_METADATA = re.compile(r"x-(amz|oss|cos)-meta-")


def is_extension(name: str) -> bool:
    """Tell whether a request header (lower-case name) speaks to a store past S3, so that it must not go on.

    So does a name with an underscore, metadata apart: a WSGI store that folds `_` and `-` would act on
    `x-amz-copy_source`, for which no right was checked here.
    """
    return name.startswith(_HEADERS) or ("_" in name and not _METADATA.match(name))


def refuse_reserved(ref: ObjectRef) -> None:
    """Raise ACCESS_DENIED for a bucket whose name stores keep for themselves, and for the gateway's own keys."""
    refuse_hidden(ref)
    if ref.bucket in RESERVED_BUCKETS:
        message = f"The bucket name {ref.bucket} is reserved: stores keep their administration there."
        raise ApiError(ACCESS_DENIED, "reserved bucket name", message=message)


def refuse_extensions(headers: Headers, parameter_names: Iterable[str]) -> None:
    """Raise ApiError for what can neither go on to the store nor be left out: `headers` are those that go on."""
    refuse_hidden_source(headers)
    if _UNPACKING in dict(headers):
        raise ApiError(NOT_IMPLEMENTED, _UNPACKING, message="Unpacking an upload (snowball) is not supported.")
    for name in parameter_names:
        if name.startswith(_PARAMETERS):
            message = "System requests do not pass this gateway."
            raise ApiError(ACCESS_DENIED, f"{_PARAMETERS} parameter", message=message)
