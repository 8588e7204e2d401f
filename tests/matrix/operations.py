"""What the matrix asks of every client: each operation made by the client, its effect looked at past the client."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from tests.digests import md5
from tests.imaging.pictures import encode, photo_like
from tests.matrix.clients import PART_BYTES
from tests.stores_up.fixtures import BUCKET

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.matrix.clients import Calls
    from tests.served import Place

DATA = b"0123456789"
AWKWARD = "d/a b+c%25&=\u00e9\u56fe\U0001f600'(~).txt"
LISTED = ("a", "b c", "d/e", "d/f", "g+h/i", "z")
LARGE = bytes(range(256)) * (PART_BYTES // 256) + b"the end"
PICTURE = encode(photo_like(480, 360), "JPEG", quality=90)
NOT_MODIFIED = ("304", "NotModified", "Not Modified")
NOT_FOUND = ("NoSuchKey", "404", "NoSuchResource", "does not exist", "ended with 9")  # the last two: s3cmd, rclone
EXISTS = ("PreconditionFailed", "FileAlreadyExists", "412")
MISMATCH = ("SignatureDoesNotMatch", "403", "Forbidden")  # the last two where the client asks by HEAD
ONLY_ITS_OWNER = ("private", ["FULL_CONTROL"])


@dataclass(frozen=True)
class Ground:
    """Where an operation takes place: the store itself, keys of one's own, and what the client's errors are called."""

    store: Place
    authority: str  # whom the client talks to
    folder: str
    other_bucket: str  # a name that is free
    code: Callable[[Exception], str | None]

    def key(self, name: str) -> str:
        return f"{self.folder}{name}"

    def at_store(self, method: str, key: str, body: bytes = b"", query: str = "", **headers: str) -> Any:
        """Send a request past the client; returns status, headers and body."""
        rows = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return self.store.request(method, f"/{BUCKET}/{quote(key, safe='/~')}", rows, body, query)

    def have(self, name: str, data: bytes = DATA) -> str:
        """Store an object past the client; returns its key."""
        key = self.key(name)
        status, _, body = self.at_store("PUT", key, data, content_type="text/x-own", x_amz_meta_colour="blue")
        assert status == 200, body
        return key

    def have_upload(self, name: str) -> tuple[str, str]:
        """Begin an upload past the client, with one small part in it; returns its key and its id."""
        key = self.key(name)
        upload = _element("UploadId", self.at_store("POST", key, query="uploads=")[2])
        status, _, body = self.at_store("PUT", key, DATA, f"partNumber=1&uploadId={quote(upload, safe='')}")
        assert status == 200, body
        return key, upload

    def holds(self, key: str, data: bytes) -> None:
        status, headers, body = self.at_store("GET", key)
        assert (status, body == data) == (200, True), (status, headers, body[:200])

    def is_gone(self, key: str) -> None:
        assert self.at_store("HEAD", key)[0] == 404

    def refusal(self, call: Callable[[], object]) -> str:
        """Make a call that is to fail; returns the code of the client's error, `""` if there is none."""
        try:
            call()
        except Exception as error:
            code = self.code(error)
            if code is None:
                raise
            return code
        return ""

    def follow(self, method: str, url: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Send what a signed URL asks for and nothing else, whether or not its host can be resolved here."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(self.authority, timeout=60)
        connection.request(method, f"{parts.path}?{parts.query}", body, {"Host": parts.netloc})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content


def _element(name: str, document: bytes) -> str:
    found = re.search(f"<{name}[^>]*>([^<]*)</{name}>", document.decode())
    return found[1] if found else ""


def list_buckets(calls: Calls, _ground: Ground) -> None:
    assert BUCKET in calls["buckets"]()


def make_and_remove_a_bucket(calls: Calls, ground: Ground) -> None:
    calls["make_bucket"](ground.other_bucket)
    assert ground.store.request("HEAD", f"/{ground.other_bucket}")[0] == 200
    calls["remove_bucket"](ground.other_bucket)
    assert ground.store.request("HEAD", f"/{ground.other_bucket}")[0] == 404


def tell_whether_a_bucket_exists(calls: Calls, ground: Ground) -> None:
    assert calls["bucket_exists"]("") is True
    assert calls["bucket_exists"](ground.other_bucket) is False


def read_the_bucket_s_location(calls: Calls, ground: Ground) -> None:
    stores_own = _element("LocationConstraint", ground.store.request("GET", f"/{BUCKET}", query="location=")[2])
    assert (calls["location"]() or "us-east-1").removeprefix("oss-") == (stores_own or "us-east-1")


def read_the_bucket_s_acl(calls: Calls, _ground: Ground) -> None:
    assert calls["bucket_acl"]() in ONLY_ITS_OWNER


def put(calls: Calls, ground: Ground) -> None:
    calls["put"](ground.key("put"), DATA)
    ground.holds(ground.key("put"), DATA)


def put_with_metadata(calls: Calls, ground: Ground) -> None:
    key = ground.key("put-meta")
    calls["put_meta"](key, DATA, "text/x-own", "red")
    headers = ground.at_store("HEAD", key)[1]
    assert (headers["content-type"].partition(";")[0], headers["x-amz-meta-colour"]) == ("text/x-own", "red")


def put_a_stream(calls: Calls, ground: Ground) -> None:
    calls["put_stream"](ground.key("stream"), DATA * 20_000)
    ground.holds(ground.key("stream"), DATA * 20_000)


def put_only_once(calls: Calls, ground: Ground) -> None:
    key = ground.key("once")
    calls["put_once"](key, b"first")
    assert ground.refusal(lambda: calls["put_once"](key, b"second")) in EXISTS
    ground.holds(key, b"first")


def use_an_awkward_key(calls: Calls, ground: Ground) -> None:
    key = ground.key(AWKWARD)
    calls["put"](key, DATA)
    ground.holds(key, DATA)
    assert calls["get"](key) == DATA


def upload_a_large_file(calls: Calls, ground: Ground) -> None:
    calls["upload"](ground.key("large"), LARGE)
    ground.holds(ground.key("large"), LARGE)


def get(calls: Calls, ground: Ground) -> None:
    assert calls["get"](ground.have("get")) == DATA


def get_a_range(calls: Calls, ground: Ground) -> None:
    assert calls["get_range"](ground.have("range"), 2, 4) == DATA[2:5]


def get_unless_unchanged(calls: Calls, ground: Ground) -> None:
    key = ground.have("unchanged")
    got: list[bytes] = []
    code = ground.refusal(lambda: got.append(calls["get_changed"](key, f'"{md5(DATA)}"')))
    assert code in NOT_MODIFIED or got == [b""]  # to some SDKs it is no error
    assert calls["get_changed"](key, f'"{md5(b"other")}"') == DATA


def get_what_is_not_there(calls: Calls, ground: Ground) -> None:
    assert ground.refusal(lambda: calls["get"](ground.key("none"))) in NOT_FOUND


def head(calls: Calls, ground: Ground) -> None:
    length, etag, content_type, colour = calls["head"](ground.have("head"))
    assert (length, content_type.partition(";")[0], colour) == (len(DATA), "text/x-own", "blue")
    assert etag.strip('"').lower() == md5(DATA)


def copy(calls: Calls, ground: Ground) -> None:
    calls["copy"](ground.have("copy-source"), ground.key("copy"))
    ground.holds(ground.key("copy"), DATA)
    assert ground.at_store("HEAD", ground.key("copy"))[1]["x-amz-meta-colour"] == "blue"


def list_v1(calls: Calls, ground: Ground) -> None:
    keys = [ground.have(f"v1/{name}") for name in LISTED]
    assert sorted(calls["list"](ground.key("v1/"))) == sorted(keys)


def list_v2_by_folders(calls: Calls, ground: Ground) -> None:
    for name in LISTED:
        ground.have(f"v2/{name}")
    keys, prefixes = calls["list_v2"](ground.key("v2/"))
    assert sorted(keys) == [ground.key(f"v2/{name}") for name in ("a", "b c", "z")]
    assert sorted(prefixes) == [ground.key("v2/d/"), ground.key("v2/g+h/")]


def delete(calls: Calls, ground: Ground) -> None:
    key = ground.have("delete")
    calls["delete"](key)
    ground.is_gone(key)


def delete_many(calls: Calls, ground: Ground) -> None:
    keys = [ground.have(f"many/{name}") for name in ("a b", "c+d", "e&<f>")]
    calls["delete_all"](keys)
    for key in keys:
        ground.is_gone(key)


def upload_in_parts(calls: Calls, ground: Ground) -> None:
    key = ground.key("parts")
    upload = calls["begin"](key)
    pieces = LARGE[:PART_BYTES], LARGE[PART_BYTES:]
    etags = [calls["part"](key, upload, number, data) for number, data in enumerate(pieces, 1)]
    assert [etag.strip('"').lower() for etag in etags] == [md5(data) for data in pieces]
    calls["complete"](key, upload, list(enumerate(etags, 1)))
    ground.holds(key, LARGE)


def copy_a_part(calls: Calls, ground: Ground) -> None:
    """The source is so large that the store itself takes it for a part, also of a translated upload (ADR 10)."""
    source, (key, upload) = ground.have("part-source", LARGE), ground.have_upload("part-copy")
    calls["copy_part"](key, upload, 2, source)
    assert b"<PartNumber>2</PartNumber>" in ground.at_store("GET", key, query=f"uploadId={quote(upload, safe='')}")[2]


def list_parts(calls: Calls, ground: Ground) -> None:
    ((number, etag, size),) = calls["parts"](*ground.have_upload("list-parts"))
    assert (number, etag.strip('"').lower(), size) == (1, md5(DATA), len(DATA))


def list_uploads(calls: Calls, ground: Ground) -> None:
    key, upload = ground.have_upload("uploads/a")
    assert [list(row) for row in calls["uploads"](ground.key("uploads/"))] == [[key, upload]]


def abort_an_upload(calls: Calls, ground: Ground) -> None:
    key, upload = ground.have_upload("abort")
    calls["abort"](key, upload)
    assert ground.at_store("GET", key, query=f"uploadId={quote(upload, safe='')}")[0] == 404


def read_an_acl(calls: Calls, ground: Ground) -> None:
    assert calls["acl"](ground.have("acl")) in ONLY_ITS_OWNER


def read_tags(calls: Calls, ground: Ground) -> None:
    assert calls["tags"](ground.have("tags")) == {}


def write_tags(calls: Calls, ground: Ground) -> None:
    key = ground.have("tagged")
    calls["tag"](key, {"colour": "red"})
    ground.holds(key, DATA)
    assert calls["tags"](key) == {"colour": "red"}


def get_by_signed_url(calls: Calls, ground: Ground) -> None:
    assert ground.follow("GET", calls["url_get"](ground.have("url get"))) == (200, DATA)


def put_by_signed_url(calls: Calls, ground: Ground) -> None:
    key = ground.key("url put")
    assert ground.follow("PUT", calls["url_put"](key), DATA)[0] == 200
    ground.holds(key, DATA)


def be_refused_with_a_wrong_secret(calls: Calls, ground: Ground) -> None:
    key = ground.have("secret")
    assert ground.refusal(lambda: calls["get_wrongly"](key)) in MISMATCH


def get_a_score(calls: Calls, ground: Ground) -> None:
    key = ground.have("picture.jpg", PICTURE)
    assert 0.1 < calls["score"](key) <= 1


@dataclass(frozen=True)
class Operation:
    """A row of the matrix: the calls that a client needs for it, and what is done with them."""

    needs: tuple[str, ...]
    play: Callable[[Calls, Ground], None]
    daily: bool = False  # what clients of OSS and COS do every day: it has to work


OPERATIONS: Mapping[str, Operation] = {
    "list buckets": Operation(("buckets",), list_buckets, daily=True),
    "create and delete a bucket": Operation(("make_bucket", "remove_bucket"), make_and_remove_a_bucket),
    "head bucket": Operation(("bucket_exists",), tell_whether_a_bucket_exists),
    "bucket location": Operation(("location",), read_the_bucket_s_location),
    "bucket ACL, read": Operation(("bucket_acl",), read_the_bucket_s_acl),
    "put": Operation(("put",), put, daily=True),
    "put with content type and metadata": Operation(("put_meta",), put_with_metadata, daily=True),
    "put a stream of unknown length": Operation(("put_stream",), put_a_stream),
    "put unless it exists": Operation(("put_once",), put_only_once),
    "put and get an awkward key": Operation(("put", "get"), use_an_awkward_key, daily=True),
    "upload 5 MB by the client's own transfer": Operation(("upload",), upload_a_large_file, daily=True),
    "get": Operation(("get",), get, daily=True),
    "get a range": Operation(("get_range",), get_a_range, daily=True),
    "get if changed (304)": Operation(("get_changed",), get_unless_unchanged, daily=True),
    "get what is missing (404)": Operation(("get",), get_what_is_not_there, daily=True),
    "head": Operation(("head",), head, daily=True),
    "copy": Operation(("copy",), copy, daily=True),
    "list v1, all pages": Operation(("list",), list_v1, daily=True),
    "list v2, by folders, all pages": Operation(("list_v2",), list_v2_by_folders, daily=True),
    "delete": Operation(("delete",), delete, daily=True),
    "batch delete": Operation(("delete_all",), delete_many, daily=True),
    "multipart: begin, parts, complete": Operation(("begin", "part", "complete"), upload_in_parts, daily=True),
    "multipart: copy a part": Operation(("copy_part",), copy_a_part),
    "multipart: list parts": Operation(("parts",), list_parts, daily=True),
    "multipart: list uploads": Operation(("uploads",), list_uploads, daily=True),
    "multipart: abort": Operation(("abort",), abort_an_upload, daily=True),
    "object ACL, read": Operation(("acl",), read_an_acl, daily=True),
    "tags, read": Operation(("tags",), read_tags),
    "tags, write": Operation(("tag", "tags"), write_tags),
    "presigned GET": Operation(("url_get",), get_by_signed_url, daily=True),
    "presigned PUT": Operation(("url_put",), put_by_signed_url, daily=True),
    "wrong secret (403)": Operation(("get_wrongly",), be_refused_with_a_wrong_secret, daily=True),
    "quality score": Operation(("score",), get_a_score, daily=True),
}
