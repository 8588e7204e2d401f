"""The fake store's multipart uploads, listings and batch deletes, with S3's rule of 5 MB for parts but the last."""

from __future__ import annotations

import re
from collections.abc import Callable  # noqa: TC003 # a dataclass field
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote

from aiohttp import web

from tests.digests import md5

MIN_PART_BYTES = 5 * 1024 * 1024
NOW = "2026-11-25T22:00:00.000Z"

_Parts = dict[int, bytes]


@dataclass
class FakeUpload:
    """One upload that has begun."""

    path: str
    headers: dict[str, str]
    parts: _Parts = field(default_factory=dict)


@dataclass
class FakeUploads:
    """Uploads by id. `versioned`: what is deleted leaves a marker, which only a delete of its version removes.

    `modified` holds the times of objects that are not from NOW; `before_complete` is called when an upload is about
    to be completed.
    """

    running: dict[str, FakeUpload] = field(default_factory=dict)
    finished: list[FakeUpload] = field(default_factory=list)
    modified: dict[str, str] = field(default_factory=dict)
    versioned: bool = False
    like_ceph: bool = False  # parts of an unknown upload: Ceph RGW 16 says NoSuchKey
    markers: set[str] = field(default_factory=set)
    page: int = 1000
    unlisted: set[str] = field(default_factory=set)
    before_complete: Callable[[], None] = lambda: None
    count: int = 0

    def answer(
        self, request: web.BaseRequest, path: str, body: bytes, objects: dict[str, bytes], types: dict[str, str]
    ) -> web.Response | None:
        """Answer what is one of these calls; None for everything else."""
        query = {name: value[0] for name, value in parse_qs(request.raw_path.partition("?")[2], True).items()}  # noqa: FBT003 # positional there
        if "uploadId" in query:
            upload = self.running.get(query["uploadId"])
            if upload is None or upload.path != path:
                return error(404, "NoSuchKey" if request.method == "GET" and self.like_ceph else "NoSuchUpload")
            return self._about(request.method, query, upload, body, objects, types)
        if "uploads" in query:
            return self._begin(request, path) if request.method == "POST" else self._list_uploads(path)
        if "versions" in query:
            return self._list_versions(query)
        if "delete" in query:
            return self._delete(path, body, objects)
        return self._list(path, query, objects) if query.get("list-type") == "2" else None

    def _begin(self, request: web.BaseRequest, path: str) -> web.Response:
        self.count += 1
        upload_id = f"up/{self.count}+{path.rpartition('/')[2]}"
        self.running[upload_id] = FakeUpload(path, {name.lower(): text for name, text in request.headers.items()})
        return document(
            f"<InitiateMultipartUploadResult><UploadId>{upload_id}</UploadId></InitiateMultipartUploadResult>"
        )

    def _list_versions(self, query: dict[str, str]) -> web.Response:
        found = sorted(key for key in self.markers if key.startswith(query.get("prefix", "")))
        rows = (f"<DeleteMarker><Key>{key}</Key><VersionId>v1</VersionId></DeleteMarker>" for key in found)
        return document(f"<ListVersionsResult>{''.join(rows)}</ListVersionsResult>")

    def _about(
        self,
        method: str,
        query: dict[str, str],
        upload: FakeUpload,
        body: bytes,
        objects: dict[str, bytes],
        types: dict[str, str],
    ) -> web.Response:
        match method:
            case "PUT":
                upload.parts[int(query["partNumber"])] = body
                return web.Response(headers={"ETag": etag(body)})
            case "GET":
                return self._list_parts(query, upload)
            case "DELETE":
                del self.running[query["uploadId"]]
                return web.Response(status=204)
        self.before_complete()
        upload_id = query["uploadId"]
        return (
            self._complete(upload_id, body, objects, types) if upload_id in self.running else error(404, "NoSuchUpload")
        )

    def _complete(self, upload_id: str, body: bytes, objects: dict[str, bytes], types: dict[str, str]) -> web.Response:
        upload = self.running[upload_id]
        rows = re.findall(r'<PartNumber>(\d+)</PartNumber><ETag>"?([0-9a-f]+)"?</ETag>', body.decode())
        chosen = [upload.parts.get(int(number), b"") for number, _ in rows]
        if [etag(part) for part in chosen] != [f'"{tag}"' for _, tag in rows]:
            return error(400, "InvalidPart")
        if any(len(part) < MIN_PART_BYTES for part in chosen[:-1]):
            return error(400, "EntityTooSmall")
        self.finished.append(self.running.pop(upload_id))
        objects[upload.path], types[upload.path] = b"".join(chosen), upload.headers.get("content-type", "")
        tag = multipart_etag(chosen)
        return document(
            f"<CompleteMultipartUploadResult><ETag>&quot;{tag}&quot;</ETag></CompleteMultipartUploadResult>"
        )

    def _list_parts(self, query: dict[str, str], upload: FakeUpload) -> web.Response:
        after, wanted = int(query.get("part-number-marker", "0")), int(query.get("max-parts", "1000"))
        numbers = sorted(number for number in upload.parts if number > after)
        page = numbers[: min(wanted, self.page)]
        rows = (
            f"<Part><PartNumber>{number}</PartNumber><LastModified>{NOW}</LastModified>"
            f"<ETag>{etag(upload.parts[number])}</ETag><Size>{len(upload.parts[number])}</Size></Part>"
            for number in page
        )
        more = len(numbers) > len(page)
        marker = f"<NextPartNumberMarker>{page[-1]}</NextPartNumberMarker>" if page else ""
        return document(f"<R>{marker}<IsTruncated>{str(more).lower()}</IsTruncated>{''.join(rows)}</R>")

    def _list_uploads(self, bucket: str) -> web.Response:
        rows = (
            f"<Upload><Key>{row.path.removeprefix(bucket + '/')}</Key><UploadId>{upload_id}</UploadId>"
            f"<Initiated>{NOW}</Initiated></Upload>"
            for upload_id, row in self.running.items()
        )
        return document(f"<R><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>{''.join(rows)}</R>")

    def _list(self, bucket: str, query: dict[str, str], objects: dict[str, bytes]) -> web.Response:
        keys = sorted(unquote(path.removeprefix(bucket + "/")) for path in objects if path.startswith(bucket + "/"))
        after = query.get("continuation-token") or query.get("start-after", "")
        prefix = query.get("prefix", "")
        keys = [key for key in keys if key.startswith(prefix) and key > after and key not in self.unlisted]
        page = keys[: min(int(query.get("max-keys", "1000")), self.page)]
        rows = (
            f"<Contents><Key>{quote(key)}</Key><LastModified>{self.modified.get(key, NOW)}</LastModified>"
            f"<ETag>{etag(objects[f'{bucket}/{quote(key)}'])}</ETag><Size>{len(objects[f'{bucket}/{quote(key)}'])}</Size></Contents>"
            for key in page
        )
        more = len(keys) > len(page)
        token = f"<NextContinuationToken>{quote(page[-1])}</NextContinuationToken>" if more else ""
        return document(
            f"<ListBucketResult><EncodingType>url</EncodingType><KeyCount>{len(page)}</KeyCount>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(rows)}</ListBucketResult>"
        )

    def _delete(self, bucket: str, body: bytes, objects: dict[str, bytes]) -> web.Response:
        told = ""
        for key, version in re.findall(r"<Object><Key>(.*?)</Key>(<VersionId>)?", body.decode()):
            objects.pop(f"{bucket}/{quote(key)}", None)
            if version:
                self.markers.discard(key)
            elif self.versioned:
                self.markers.add(key)
                told += f"<Deleted><Key>{key}</Key><DeleteMarker>true</DeleteMarker></Deleted>"
        return document(f"<DeleteResult>{told}</DeleteResult>")


def etag(data: bytes) -> str:
    return f'"{md5(data)}"'


def multipart_etag(parts: list[bytes]) -> str:
    """S3's entity tag of an object made of parts, without quotes."""
    digests = b"".join(bytes.fromhex(md5(part)) for part in parts)
    return f"{md5(digests)}-{len(parts)}"


def document(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/xml")


def error(status: int, code: str) -> web.Response:
    text = f"<Error><Code>{code}</Code><Message>the store says {code}</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml")
