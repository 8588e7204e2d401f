"""Which IAM action an S3 request needs. Knows S3's operations and Amazon's names for them; must not know identities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import ACCESS_DENIED, INVALID_ARGUMENT, INVALID_REQUEST, METHOD_NOT_ALLOWED, ApiError
from gateway.request import parse_query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from gateway.request import Headers, ObjectRef

_Row = tuple[str, str, str, str]  # the action of GET, PUT, POST, DELETE; "" where S3 has no such operation

_COLUMNS = {"GET": 0, "HEAD": 0, "OPTIONS": 0, "PUT": 1, "POST": 2, "DELETE": 3}
READING = frozenset(method for method, column in _COLUMNS.items() if column == 0)
_SERVICE: _Row = ("ListAllMyBuckets", "", "", "")
_BUCKET: _Row = ("ListBucket", "CreateBucket", "PutObject", "DeleteBucket")  # POST is a form upload
_OBJECT: _Row = ("GetObject", "PutObject", "PutObject", "DeleteObject")

# Source: "Actions, resources, and condition keys for Amazon S3", Service Authorization Reference. Several DELETEs share
# the action of the PUT.
_BUCKET_SUBRESOURCES: Mapping[str, _Row] = {
    "accelerate": ("GetAccelerateConfiguration", "PutAccelerateConfiguration", "", ""),
    "acl": ("GetBucketAcl", "PutBucketAcl", "", ""),
    "analytics": ("GetAnalyticsConfiguration", "PutAnalyticsConfiguration", "", "PutAnalyticsConfiguration"),
    "cors": ("GetBucketCORS", "PutBucketCORS", "", "PutBucketCORS"),
    "delete": ("", "", "DeleteObject", ""),
    "encryption": ("GetEncryptionConfiguration", "PutEncryptionConfiguration", "", "PutEncryptionConfiguration"),
    "intelligent-tiering": (
        "GetIntelligentTieringConfiguration",
        "PutIntelligentTieringConfiguration",
        "",
        "PutIntelligentTieringConfiguration",
    ),
    "inventory": ("GetInventoryConfiguration", "PutInventoryConfiguration", "", "PutInventoryConfiguration"),
    "lifecycle": ("GetLifecycleConfiguration", "PutLifecycleConfiguration", "", "PutLifecycleConfiguration"),
    "location": ("GetBucketLocation", "", "", ""),
    "logging": ("GetBucketLogging", "PutBucketLogging", "", ""),
    "metrics": ("GetMetricsConfiguration", "PutMetricsConfiguration", "", "PutMetricsConfiguration"),
    "notification": ("GetBucketNotification", "PutBucketNotification", "", ""),
    "object-lock": ("GetBucketObjectLockConfiguration", "PutBucketObjectLockConfiguration", "", ""),
    "ownershipControls": (
        "GetBucketOwnershipControls",
        "PutBucketOwnershipControls",
        "",
        "PutBucketOwnershipControls",
    ),
    "policy": ("GetBucketPolicy", "PutBucketPolicy", "", "DeleteBucketPolicy"),
    "policyStatus": ("GetBucketPolicyStatus", "", "", ""),
    "publicAccessBlock": (
        "GetBucketPublicAccessBlock",
        "PutBucketPublicAccessBlock",
        "",
        "PutBucketPublicAccessBlock",
    ),
    "replication": ("GetReplicationConfiguration", "PutReplicationConfiguration", "", "PutReplicationConfiguration"),
    "requestPayment": ("GetBucketRequestPayment", "PutBucketRequestPayment", "", ""),
    "tagging": ("GetBucketTagging", "PutBucketTagging", "", "PutBucketTagging"),
    "uploads": ("ListBucketMultipartUploads", "", "", ""),
    "versioning": ("GetBucketVersioning", "PutBucketVersioning", "", ""),
    "versions": ("ListBucketVersions", "", "", ""),
    "website": ("GetBucketWebsite", "PutBucketWebsite", "", "DeleteBucketWebsite"),
}
_OBJECT_SUBRESOURCES: Mapping[str, _Row] = {
    "acl": ("GetObjectAcl", "PutObjectAcl", "", ""),
    "attributes": ("GetObjectAttributes", "", "", ""),
    "legal-hold": ("GetObjectLegalHold", "PutObjectLegalHold", "", ""),
    "restore": ("", "", "RestoreObject", ""),
    "retention": ("GetObjectRetention", "PutObjectRetention", "", ""),
    "select": ("", "", "GetObject", ""),
    "tagging": ("GetObjectTagging", "PutObjectTagging", "", "DeleteObjectTagging"),
    "torrent": ("GetObjectTorrent", "", "", ""),
    "uploadId": ("ListMultipartUploadParts", "PutObject", "PutObject", "AbortMultipartUpload"),
    "uploads": ("", "", "PutObject", ""),
}
# With a versionId these become GetObjectVersion, DeleteObjectVersionTagging and so on; the others do not.
_VERSIONED = frozenset(
    {
        "DeleteObject",
        "DeleteObjectTagging",
        "GetObject",
        "GetObjectAcl",
        "GetObjectAttributes",
        "GetObjectTagging",
        "GetObjectTorrent",
        "PutObjectAcl",
        "PutObjectTagging",
    }
)
_OBJECT_HEADERS: Mapping[str, str] = {
    "x-amz-acl": "PutObjectAcl",
    "x-amz-bypass-governance-retention": "BypassGovernanceRetention",
    "x-amz-object-lock-legal-hold": "PutObjectLegalHold",
    "x-amz-object-lock-mode": "PutObjectRetention",
    "x-amz-object-lock-retain-until-date": "PutObjectRetention",
    "x-amz-tagging": "PutObjectTagging",
}
_BUCKET_HEADERS: Mapping[str, str] = {
    "x-amz-acl": "PutBucketAcl",
    "x-amz-bucket-object-lock-enabled": "PutBucketObjectLockConfiguration",
    "x-amz-bypass-governance-retention": "BypassGovernanceRetention",
    "x-amz-object-ownership": "PutBucketOwnershipControls",
}
_GRANT_PREFIX = "x-amz-grant-"
_VERSION = "versionId"
# The query parameters by which `action` decides: whoever adds one to a signed URL asks for something else.
SUBRESOURCES = frozenset({*_BUCKET_SUBRESOURCES, *_OBJECT_SUBRESOURCES, _VERSION})
RESPONSE_OVERRIDE = "response-"


def action(method: str, ref: ObjectRef, parameter_names: Iterable[str]) -> str:
    """Return the IAM action (`s3:GetObject`) of an S3 request, from its method, level and sub-resource.

    A parameter that is no known sub-resource changes nothing: the request then counts as the plain operation of its
    method (read, write or delete the object; list, create or delete the bucket). Raises INVALID_ARGUMENT for two
    sub-resources at once and for a bucket's sub-resource on an object: stores differ in which one they follow, so
    the right that was checked might not be the one that is used. Raises METHOD_NOT_ALLOWED for a method that S3
    lacks, and for anything but reading on the service itself, where stores keep their administration.
    """
    column = _COLUMNS.get(method, -1)
    if column < 0 or (not ref.bucket and column > 0):
        raise ApiError(METHOD_NOT_ALLOWED, f"{method} on {ref.bucket or 'the service'}")
    if not ref.bucket:
        return f"s3:{_SERVICE[column]}"
    names = set(parameter_names)
    plain = (_OBJECT if ref.key else _BUCKET)[column]
    if not names:
        return f"s3:{plain}"
    table = _OBJECT_SUBRESOURCES if ref.key else _BUCKET_SUBRESOURCES
    found = sorted(name for name in names & table.keys() if table[name][column])
    if ref.key:
        _refuse_bucket_subresource(names - set(found), column)
    if len(found) > 1:
        raise ApiError(INVALID_ARGUMENT, message=f"Conflicting query string parameters: {', '.join(found)}.")
    needed = table[found[0]][column] if found else plain
    if ref.key and _VERSION in names and needed in _VERSIONED:
        needed = needed.replace("Object", "ObjectVersion")
    return f"s3:{needed}"


def _refuse_bucket_subresource(names: set[str], column: int) -> None:
    for name in sorted(names & _BUCKET_SUBRESOURCES.keys()):
        if _BUCKET_SUBRESOURCES[name][column]:
            raise ApiError(INVALID_ARGUMENT, message=f"The parameter {name} applies to a bucket, not to an object.")


def read_action(version_id: str | None) -> str:
    """Return the action that reading an object needs, or one named version of it."""
    return "s3:GetObject" if version_id is None else "s3:GetObjectVersion"


def header_actions(method: str, ref: ObjectRef, headers: Headers) -> tuple[str, ...]:
    """Return the further actions that a writing request's headers ask for, on the same target: ACL, tags, retention."""
    if _COLUMNS.get(method, 0) == 0:
        return ()
    table = _OBJECT_HEADERS if ref.key else _BUCKET_HEADERS
    acl = table["x-amz-acl"]
    found = (acl if name.startswith(_GRANT_PREFIX) else table.get(name) for name, _ in headers)
    return tuple(dict.fromkeys(f"s3:{needed}" for needed in found if needed))


def refuse_uncovered(covers: Callable[[str], bool], parameter_names: Iterable[str]) -> None:
    """Raise ACCESS_DENIED for a sub-resource that anybody could have added to a signed request.

    `covers` tells of a parameter whether the signature would break (`Claim.covers`). SigV2, OSS V1 and COS cover only
    the names on their own lists, which are older or shorter than ours.
    """
    for name in parameter_names:
        if name in SUBRESOURCES and not covers(name):
            message = f"The signature does not cover the parameter {name}, so it is refused."
            raise ApiError(ACCESS_DENIED, f"uncovered {name}", message=message)


def refuse_overrides(raw_query: str) -> None:
    """Raise INVALID_REQUEST for a `response-*` parameter: S3 lets nobody choose answer headers without a signature."""
    if any(parameter.name.startswith(RESPONSE_OVERRIDE) for parameter in parse_query(raw_query)):
        message = "Request specific response headers cannot be used for anonymous GET requests."
        raise ApiError(INVALID_REQUEST, "anonymous response override", message=message)
