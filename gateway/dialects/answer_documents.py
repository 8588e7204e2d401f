"""What a store's XML answers become for clients of OSS and COS, as data. Must not know requests, rights or journeys.

Sources: the API references of both vendors, and what their SDKs insist on (oss2 raises for a missing element).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from gateway.dialects.base import Rewritten
from gateway.dialects.headers import COS, OSS, storage_class
from gateway.dialects.shapes import Field, Group, Kind, Manner, Shape, key_text, last_key, reshape
from gateway.dialects.xml import DECLARATION, Element, write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.dialects.headers import HeaderMap
    from gateway.dialects.xml import Node

    # What the store's document becomes for one vendor's clients.
    AnswerDocument = Callable[["Asked", Element], Rewritten]


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request its answer repeats: names as the client knows them, parameters decoded, host as it came."""

    bucket: str
    key: str
    host: str
    raw_path: str
    parameters: tuple[tuple[str, str], ...]

    def parameter(self, name: str) -> str:
        """Return a parameter's value, `""` when absent."""
        return next((value for given, value in self.parameters if given == name), "")


def _nothing(_root: Element, _asked: Asked, _manner: Manner) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Reshaped:
    """A document as a table: the new root's name, its content, and what the request adds to it."""

    vendor: HeaderMap
    root: str
    content: Shape
    told: Callable[[Element, Asked, Manner], Mapping[str, str]] = _nothing
    tagged: bool = False  # the vendor tells the entity tag in a header too

    def __call__(self, asked: Asked, root: Element) -> Rewritten:
        """Return the vendor's document for the store's one."""
        encoding = asked.parameter("encoding-type")
        manner = Manner(
            store_encodes=root.child_text("EncodingType") == "url",
            client_encodes=encoding == "url",
            storage_class=partial(_class_name, self.vendor),
        )
        nodes = reshape(root, self.content, manner, self.told(root, asked, manner))
        if encoding:
            nodes.append(("EncodingType", encoding))
        return Rewritten(DECLARATION + write((self.root, nodes)), root.child_text("ETag") if self.tagged else None)


def _class_name(vendor: HeaderMap, value: str) -> str:
    return storage_class(vendor, value) or "STANDARD"  # COS tells no header for it, but an element


def _echoed(*names: tuple[str, str]) -> Callable[[Asked], dict[str, str]]:
    """Return what tells request parameters back: (element, parameter); those without a value are not told."""

    def echo(asked: Asked) -> dict[str, str]:
        values = ((element, asked.parameter(name)) for element, name in names)
        return {"Name": asked.bucket, "Bucket": asked.bucket, **{element: value for element, value in values if value}}

    return echo


_LISTED = _echoed(("Prefix", "prefix"), ("Marker", "marker"), ("Delimiter", "delimiter"), ("StartAfter", "start-after"))
_FROM_KEY = _echoed(("Prefix", "prefix"), ("KeyMarker", "key-marker"), ("Delimiter", "delimiter"))


def _is_truncated(root: Element) -> bool:
    return root.child_text("IsTruncated") == "true"


def _of_objects(root: Element, asked: Asked, manner: Manner) -> Mapping[str, str]:
    """S3 tells where to go on only with a delimiter, MinIO with words of its own: it is always the last name told."""
    last = last_key(root, (("Contents", "Key"), ("CommonPrefixes", "Prefix")), manner)
    return {**_LISTED(asked), **({"NextMarker": last} if _is_truncated(root) and last else {})}


def _of_versions(root: Element, asked: Asked, manner: Manner) -> Mapping[str, str]:
    last = last_key(root, (("Version", "Key"), ("DeleteMarker", "Key"), ("CommonPrefixes", "Prefix")), manner)
    return {**_FROM_KEY(asked), **({"NextKeyMarker": last} if _is_truncated(root) and last else {})}


def _of_uploads(root: Element, asked: Asked, manner: Manner) -> Mapping[str, str]:
    if not _is_truncated(root):
        return {**_FROM_KEY(asked), "NextKeyMarker": "", "NextUploadIdMarker": ""}
    last = last_key(root, (("Upload", "Key"), ("CommonPrefixes", "Prefix")), manner)
    of_last = [row for row in root.children if row.name == "Upload" and key_text(row, "Key", manner) == last]
    # Swift leaves the id out when a page holds one upload only.
    upload_id = root.child_text("NextUploadIdMarker") or (of_last[-1].child_text("UploadId") if of_last else "")
    return {**_FROM_KEY(asked), "NextKeyMarker": last, "NextUploadIdMarker": upload_id}


def _of_parts(root: Element, asked: Asked, _manner: Manner) -> Mapping[str, str]:
    numbers = [child.child_text("PartNumber") for child in root.children if child.name == "Part"]
    last = root.child_text("NextPartNumberMarker") or (numbers[-1] if numbers else "0")
    return {"Bucket": asked.bucket, "Key": asked.key, "NextPartNumberMarker": last}


def _of_object(_root: Element, asked: Asked, _manner: Manner) -> Mapping[str, str]:
    return {"Bucket": asked.bucket, "Key": asked.key, "Location": f"http://{asked.host}{asked.raw_path}"}


_OWNER = Group("Owner", (Field("ID", default=""), Field("DisplayName", default="")))
_INITIATOR = Group("Initiator", (Field("ID", default=""), Field("DisplayName", default="")))
_PREFIXES = Group("CommonPrefixes", (Field("Prefix", Kind.KEY, ""),))
_KEY = Field("Key", Kind.KEY, "")
_STORED = (
    Field("LastModified", Kind.TIME),
    Field("ETag", default=""),
    Field("Size", default="0"),
    Field("StorageClass", Kind.CLASS, "STANDARD"),
    _OWNER,
)
_ENTRY_KEYS = (Field("Prefix", Kind.KEY, ""), Field("Delimiter", Kind.KEY))
_ENDING = Field("IsTruncated", default="false")
_VERSION = (Field("VersionId", default="null"), Field("IsLatest", default="true"))


_UPLOAD = (
    *(_KEY, Field("UploadId", default=""), Field("StorageClass", Kind.CLASS, "STANDARD")),
    *(_INITIATOR, _OWNER, Field("Initiated", Kind.TIME)),
)
_PART = (
    *(Field("PartNumber", default=""), Field("LastModified", Kind.TIME)),
    *(Field("ETag", default=""), Field("Size", default="0")),
)
_COPIED = (Field("ETag", default=""), Field("LastModified", Kind.TIME))
_DELETED = (_KEY, Field("VersionId"), Field("DeleteMarker"), Field("DeleteMarkerVersionId"))
_NOT_DELETED = (_KEY, Field("VersionId"), Field("Code", default=""), Field("Message", default=""))


def _listings(vendor: HeaderMap, type_: Shape) -> dict[str, Reshaped]:
    """Return the tables of both vendors; `type_` is what one of them tells of each object beside S3's elements."""
    stored = (_KEY, *_STORED, *type_)
    reshaped = partial(Reshaped, vendor)
    return {
        "ListObjects": reshaped(
            "ListBucketResult",
            (
                *(Field("Name"), *_ENTRY_KEYS, Field("Marker", Kind.KEY, ""), Field("MaxKeys", default="1000")),
                *(_ENDING, Field("NextMarker", Kind.KEY), Group("Contents", stored), _PREFIXES),
            ),
            _of_objects,
        ),
        "ListObjectsV2": reshaped(
            "ListBucketResult",
            (
                *(Field("Name"), *_ENTRY_KEYS, Field("StartAfter", Kind.KEY), Field("MaxKeys", default="1000")),
                *(Field("KeyCount"), Field("ContinuationToken", Kind.TOKEN), _ENDING),
                *(Field("NextContinuationToken", Kind.TOKEN), Group("Contents", stored), _PREFIXES),
            ),
            lambda _root, asked, _manner: _LISTED(asked),
        ),
        "ListObjectVersions": reshaped(
            "ListVersionsResult",
            (
                *(Field("Name"), *_ENTRY_KEYS, Field("KeyMarker", Kind.KEY, ""), Field("VersionIdMarker", default="")),
                *(Field("MaxKeys", default="1000"), _ENDING, Field("NextKeyMarker", Kind.KEY)),
                *(Field("NextVersionIdMarker"), Group("Version", (*stored, *_VERSION))),
                Group("DeleteMarker", (_KEY, *_VERSION, Field("LastModified", Kind.TIME), _OWNER)),
                _PREFIXES,
            ),
            _of_versions,
        ),
        "ListMultipartUploads": reshaped(
            "ListMultipartUploadsResult",
            (
                *(Field("Bucket"), *_ENTRY_KEYS, Field("KeyMarker", Kind.KEY, ""), Field("UploadIdMarker", default="")),
                *(Field("NextKeyMarker", Kind.KEY, ""), Field("NextUploadIdMarker", default="")),
                *(Field("MaxUploads", default="1000"), _ENDING, Group("Upload", _UPLOAD), _PREFIXES),
            ),
            _of_uploads,
        ),
        "ListParts": reshaped(
            "ListPartsResult",
            (
                *(Field("Bucket"), _KEY, Field("UploadId"), Field("StorageClass", Kind.CLASS, "STANDARD")),
                *(Field("PartNumberMarker", default="0"), Field("NextPartNumberMarker"), Field("MaxParts")),
                *(_ENDING, Group("Part", _PART), _INITIATOR, _OWNER),
            ),
            _of_parts,
        ),
    }


def _results(vendor: HeaderMap) -> dict[str, Reshaped]:
    reshaped = partial(Reshaped, vendor)
    return {
        "CreateMultipartUpload": reshaped(
            "InitiateMultipartUploadResult", (Field("Bucket"), _KEY, Field("UploadId")), _of_object
        ),
        "CompleteMultipartUpload": reshaped(
            "CompleteMultipartUploadResult",
            (Field("Location"), Field("Bucket"), _KEY, Field("ETag", default="")),
            _of_object,
            tagged=True,
        ),
        "CopyObject": reshaped("CopyObjectResult", _COPIED, tagged=True),
        "UploadPartCopy": reshaped("CopyPartResult", _COPIED, tagged=True),
        "DeleteObjects": reshaped("DeleteResult", (Group("Deleted", _DELETED), Group("Error", _NOT_DELETED))),
        "GetBucketVersioning": reshaped("VersioningConfiguration", (Field("Status"),)),
    }


_REGION = "us-east-1"  # what an empty LocationConstraint means


def _location(prefix: str, _asked: Asked, root: Element) -> Rewritten:
    region = root.text.strip() or _REGION
    return Rewritten(DECLARATION + write(("LocationConstraint", f"{prefix}{region}")))


def _buckets(prefix: str, more: Callable[[Asked], list[Node]], asked: Asked, root: Element) -> Rewritten:
    """S3 lists all buckets at once: prefix, marker and page are cut out of that here."""
    start, after = asked.parameter("prefix"), asked.parameter("marker")
    most = int(asked.parameter("max-keys") or "1000")
    found = [bucket for group in root.children if group.name == "Buckets" for bucket in group.children]
    wanted = sorted(
        (bucket for bucket in found if bucket.child_text("Name").startswith(start)),
        key=lambda bucket: bucket.child_text("Name"),
    )
    rest = [bucket for bucket in wanted if bucket.child_text("Name") > after]
    page = rest[:most]
    manner = Manner(store_encodes=False, client_encodes=False, storage_class=str)
    rows: list[Node] = [
        ("Bucket", [*reshape(bucket, _BUCKET, manner), ("Location", f"{prefix}{_REGION}"), *more(asked)])
        for bucket in page
    ]
    goes_on = bool(page and rest[most:])
    ending: list[Node] = [("IsTruncated", "true" if goes_on else "false")]
    if goes_on:
        ending.append(("NextMarker", page[-1].child_text("Name")))
    told: list[Node] = [("Prefix", start), ("Marker", after), ("MaxKeys", str(most)), *ending]
    owner = reshape(root, (_OWNER,), manner)
    return Rewritten(DECLARATION + write(("ListAllMyBucketsResult", [*told, *owner, ("Buckets", rows)])))


_BUCKET = (Field("Name", default=""), Field("CreationDate", Kind.TIME))


def _oss_bucket(asked: Asked) -> list[Node]:
    """Tell the gateway's own host as endpoint: oss2 raises for a bucket without these elements."""
    host = asked.host.removeprefix(f"{asked.bucket}.") if asked.bucket else asked.host
    return [("ExtranetEndpoint", host), ("IntranetEndpoint", host), ("StorageClass", "Standard")]


def _oss_bucket_info(asked: Asked, root: Element) -> Rewritten:
    """Write BucketInfo out of the bucket's ACL: S3 has no such call, and tells a bucket's age to nobody but its owner.

    The vendor's SDKs and ossutil read it to see whether a bucket exists; they insist on a date.
    """
    acl: Node = ("AccessControlList", [("Grant", canned(root))])
    nodes: list[Node] = [
        *(("Name", asked.bucket), ("CreationDate", "1970-01-01T00:00:00.000Z")),
        *(("Location", f"oss-{_REGION}"), *_oss_bucket(asked), *_owner(root), acl),
    ]
    return Rewritten(DECLARATION + write(("BucketInfo", [("Bucket", nodes)])))


def _oss_acl(_asked: Asked, root: Element) -> Rewritten:
    acl: Node = ("AccessControlList", [("Grant", canned(root))])
    return Rewritten(DECLARATION + write(("AccessControlPolicy", [*_owner(root), acl])))


def _owner(root: Element) -> list[Node]:
    manner = Manner(store_encodes=False, client_encodes=False, storage_class=str)
    return reshape(root, (_OWNER,), manner) or [("Owner", [("ID", ""), ("DisplayName", "")])]


_EVERYBODY = "/groups/global/AllUsers"  # the end of the group's URI, the same at Amazon and at Tencent
_TENCENT_GROUPS = "http://cam.qcloud.com"
_GRANTEE = 'Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type='


def _grants(root: Element) -> list[tuple[Element, str]]:
    """Return (grantee, permission) of an S3 ACL's grants."""
    grants = [grant for group in root.children if group.name == "AccessControlList" for grant in group.children]
    grantees = ((grant, next((row for row in grant.children if row.name == "Grantee"), None)) for grant in grants)
    return [(grantee, grant.child_text("Permission")) for grant, grantee in grantees if grantee]


def canned(root: Element) -> str:
    """Return the canned ACL that an S3 ACL amounts to: what everybody may do."""
    granted = {permission for grantee, permission in _grants(root) if grantee.child_text("URI").endswith(_EVERYBODY)}
    if granted & {"WRITE", "FULL_CONTROL"}:
        return "public-read-write"
    return "public-read" if "READ" in granted else "private"


def _cos_acl(_asked: Asked, root: Element) -> Rewritten:
    rows: list[Node] = [
        ("Grant", [_cos_grantee(grantee), ("Permission", permission)]) for grantee, permission in _grants(root)
    ]
    return Rewritten(DECLARATION + write(("AccessControlPolicy", [*_owner(root), ("AccessControlList", rows)])))


def _cos_grantee(grantee: Element) -> Node:
    uri = grantee.child_text("URI")
    if uri:
        return (f'{_GRANTEE}"Group"', [("URI", f"{_TENCENT_GROUPS}/groups/{uri.partition('/groups/')[2]}")])
    names = [("ID", grantee.child_text("ID")), ("DisplayName", grantee.child_text("DisplayName"))]
    return (f'{_GRANTEE}"CanonicalUser"', names)


OSS_ANSWERS: Mapping[str, AnswerDocument] = {
    **_listings(OSS, (Field("Type", default="Normal"),)),
    **_results(OSS),
    "ListBuckets": partial(_buckets, "oss-", _oss_bucket),
    "GetBucketLocation": partial(_location, "oss-"),
    "GetBucketInfo": _oss_bucket_info,
    "GetBucketAcl": _oss_acl,
    "GetObjectAcl": _oss_acl,
}
COS_ANSWERS: Mapping[str, AnswerDocument] = {
    **_listings(COS, ()),
    **_results(COS),
    "ListBuckets": partial(_buckets, "", lambda _asked: []),
    "GetBucketLocation": partial(_location, ""),
    "GetBucketAcl": _cos_acl,
    "GetObjectAcl": _cos_acl,
}
