"""The fake store's MinIO flavour: what MinIO answers beside objects and uploads, in its XML and with its headers.

As MinIO writes it: a declaration, Amazon's namespace, real milliseconds, `&#34;` for quotes, blanks as `+` in encoded
keys, and markers of listings that end in words for its own cache.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote_plus, unquote

from tests.fake_uploads import document, error, etag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
TIME = "2026-11-25T22:00:00.123Z"
OWNER = "<Owner><ID>02d6176db174dc93</ID><DisplayName>minio</DisplayName></Owner>"
HEADERS = {
    "Server": "MinIO",
    "x-minio-deployment-id": "d1",
    "x-amz-id-2": "m2",
    "Vary": "Origin",
    "X-Ratelimit-Limit": "100",
    "X-Xss-Protection": "1; mode=block",
}
ACL = (
    f"<AccessControlPolicy>{OWNER.replace('02d6176db174dc93', '')}<AccessControlList><Grant>"
    '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser"><Type>CanonicalUser</Type>'
    "</Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>"
)


def answer(request: web.BaseRequest, path: str, objects: dict[str, bytes]) -> web.Response | None:
    """Answer buckets, listings, ACLs and copies; None for everything else."""
    query = {name: row[0] for name, row in parse_qs(request.raw_path.partition("?")[2], keep_blank_values=True).items()}
    if "acl" in query:
        return document(ACL)
    if answered := copied(request, path, objects):
        return answered
    bucket, _, key = path.strip("/").partition("/")
    if key:
        return None
    if not bucket:
        names = sorted({name.split("/")[1] for name in objects})
        rows = (f"<Bucket><Name>{name}</Name><CreationDate>{TIME}</CreationDate></Bucket>" for name in names)
        return document(f"<ListAllMyBucketsResult>{OWNER}<Buckets>{''.join(rows)}</Buckets></ListAllMyBucketsResult>")
    if "location" in query:
        return document("<LocationConstraint></LocationConstraint>")
    return _list(bucket, query, objects) if request.method == "GET" and "uploads" not in query else None


def copied(request: web.BaseRequest, path: str, objects: dict[str, bytes]) -> web.Response | None:
    """Copy an object, as any store does; None for a request that asks for no copy."""
    named = request.headers.get("x-amz-copy-source")
    if named is None:
        return None
    source = f"/{named.lstrip('/')}"
    if source not in objects:
        return error(404, "NoSuchKey")
    if request.headers.get("x-amz-copy-source-if-match", etag(objects[source])) != etag(objects[source]):
        return error(412, "PreconditionFailed")
    objects[path] = objects[source]
    tag = etag(objects[path])
    return document(f"<CopyObjectResult><LastModified>{TIME}</LastModified><ETag>{tag}</ETag></CopyObjectResult>")


def _list(bucket: str, query: Mapping[str, str], objects: dict[str, bytes]) -> web.Response:
    """Both versions, one page: names below a delimiter as one prefix."""
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    token = b64decode(query.get("continuation-token", "")).decode()
    after = (token or query.get("marker", "")).partition("[minio_cache")[0]
    keys = [unquote(path.removeprefix(f"/{bucket}/")) for path in objects if path.startswith(f"/{bucket}/")]
    entries: dict[str, bytes | None] = {}
    for key in sorted((key for key in keys if key.startswith(prefix)), key=str.encode):
        head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        name = f"{prefix}{head}{found}" if found else key
        data = None if found else next(body for path, body in objects.items() if unquote(path) == f"/{bucket}/{key}")
        if name > after:
            entries[name] = data
    page = dict(list(entries.items())[: int(query.get("max-keys", "1000"))])
    more = len(entries) > len(page)
    last = f"{list(page)[-1]}[minio_cache:v2,return:]" if more else ""
    goes_on = (
        f"<NextContinuationToken>{b64encode(last.encode()).decode()}</NextContinuationToken>"
        if "list-type" in query
        else f"<NextMarker>{quote_plus(last, safe='/')}</NextMarker>"
    )
    return document(
        f"<ListBucketResult><Name>{bucket}</Name><MaxKeys>1000</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>"
        + goes_on * more
        + "".join(_entry(quote_plus(name, safe="/"), data) for name, data in page.items())
        + "<EncodingType>url</EncodingType></ListBucketResult>"
    )


def _entry(name: str, data: bytes | None) -> str:
    if data is None:
        return f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"
    return (
        f"<Contents><Key>{name}</Key><LastModified>{TIME}</LastModified><ETag>{etag(data)}</ETag>"
        f"<Size>{len(data)}</Size>{OWNER}<StorageClass>STANDARD</StorageClass></Contents>"
    )


def in_its_manner(response: web.StreamResponse) -> web.StreamResponse:
    """Write an XML answer as MinIO does; leave others as they are."""
    text = getattr(response, "text", None)
    if response.content_type != "application/xml" or not text:
        return response
    root = re.sub(r"^<(\w+)>", rf"<\1 {XMLNS}>", text, count=1)
    response.headers.update(HEADERS | {"x-amz-request-id": "STORE1"})
    response.text = '<?xml version="1.0" encoding="UTF-8"?>\n' + (  # type: ignore[attr-defined] # it is a Response
        re.sub(r"(T\d\d:\d\d:\d\d)\.\d+Z", r"\1.123Z", root)
        .replace('<ETag>"', "<ETag>&#34;")
        .replace('"</ETag>', "&#34;</ETag>")
    )
    return response
