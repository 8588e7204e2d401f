"""The operations of OSS and COS that S3 has too, as one table. Knows parameters; must not know documents or headers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.dialects.base import MultipartStep
from gateway.dialects.request_documents import complete_upload, create_bucket, delete_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gateway.request import ObjectRef


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: Amazon's name of it, and what its request may say.

    `subresources` ask for it; `parameters` go on to the store beside them, those of `local` do not, since the answer
    is cut by them here. `asks` replaces the sub-resource by the store's one. `encodes`: the store is always asked to
    percent-encode keys, since XML cannot hold all that may stand in one.
    """

    name: str
    subresources: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()
    local: frozenset[str] = frozenset()
    asks: str = ""
    encodes: bool = False
    request: Callable[[bytes], bytes] | None = None
    step: MultipartStep | None = None


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LIST = _names("prefix delimiter max-keys")
_UPLOAD_ID = _names("uploadId")
_PART = _names("uploadId partNumber")
_VERSION = _names("versionId")
_COPY_PART = Operation("UploadPartCopy", _PART, step=MultipartStep.COPY_PART)
_COPY = Operation("CopyObject")

_SERVICE: Mapping[str, tuple[Operation, ...]] = {
    "GET": (Operation("ListBuckets", local=_names("prefix marker max-keys")),),
}
_BUCKET: Mapping[str, tuple[Operation, ...]] = {
    "GET": (
        Operation("GetBucketAcl", _names("acl")),
        Operation("GetBucketInfo", _names("bucketInfo"), asks="acl"),
        Operation("GetBucketLocation", _names("location")),
        Operation("GetBucketVersioning", _names("versioning")),
        # Not asked to encode: Ceph RGW 16 does it then, but does not say so.
        Operation(
            "ListMultipartUploads",
            _names("uploads"),
            _names("prefix delimiter key-marker upload-id-marker max-uploads"),
            step=MultipartStep.LIST_UPLOADS,
        ),
        Operation(
            "ListObjectVersions", _names("versions"), _LIST | _names("key-marker version-id-marker"), encodes=True
        ),
        Operation(
            "ListObjectsV2",
            _names("list-type"),
            _LIST | _names("continuation-token start-after fetch-owner"),
            encodes=True,
        ),
        Operation("ListObjects", frozenset(), _LIST | _names("marker"), encodes=True),
    ),
    "HEAD": (Operation("HeadBucket"),),
    "PUT": (Operation("CreateBucket", request=create_bucket),),
    "POST": (Operation("DeleteObjects", _names("delete"), request=delete_objects),),
    "DELETE": (Operation("DeleteBucket"),),
}
_OBJECT: Mapping[str, tuple[Operation, ...]] = {
    "GET": (
        Operation("GetObjectAcl", _names("acl"), _VERSION),
        Operation("ListParts", _UPLOAD_ID, _names("max-parts part-number-marker"), step=MultipartStep.LIST_PARTS),
        Operation("GetObject", frozenset(), _VERSION),
    ),
    "HEAD": (Operation("GetObject", frozenset(), _VERSION),),
    "PUT": (
        Operation("UploadPart", _PART, step=MultipartStep.UPLOAD_PART),
        Operation("PutObject", frozenset(), _VERSION),
    ),
    "POST": (
        Operation("CreateMultipartUpload", _names("uploads"), step=MultipartStep.INITIATE),
        Operation("CompleteMultipartUpload", _UPLOAD_ID, request=complete_upload, step=MultipartStep.COMPLETE),
    ),
    "DELETE": (
        Operation("AbortMultipartUpload", _UPLOAD_ID, step=MultipartStep.ABORT),
        Operation("DeleteObject", frozenset(), _VERSION),
    ),
}
_COPYING = {"UploadPart": _COPY_PART, "PutObject": _COPY}


def find(method: str, ref: ObjectRef, names: Iterable[str], *, copies: bool) -> Operation | None:
    """Return the operation of a request with these parameters, None for one that has no counterpart on S3.

    `copies`: the request names a copy source. All of an operation's sub-resources must be there; what else is among
    the names is for the caller to judge.
    """
    given = frozenset(names)
    level = _OBJECT if ref.key else _BUCKET if ref.bucket else _SERVICE
    found = next((row for row in level.get(method, ()) if row.subresources <= given), None)
    return _COPYING.get(found.name, found) if found and copies else found
