"""awscli's row of the matrix."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tests.matrix.clients import EXPIRES_S, WRONG_SECRET, Client, Endpoint, RefusedError
from tests.matrix.commands import HOME, Files, refused
from tests.matrix.drivers import code, driven
from tests.stores_up.fixtures import BUCKET
from tests.stores_up.programs import ProgramError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.matrix.clients import Calls

# From 5 MB on in parts, not from 8 MB.
SETTINGS = """
[default]
region = us-east-1
s3 =
  multipart_threshold = 5MB
  multipart_chunksize = 5MB
"""


@contextmanager
def awscli_connected(at: Endpoint) -> Iterator[Calls]:
    driver = (sys.executable, "-m", "tests.matrix.awscli_driver")
    with TemporaryDirectory() as folder, driven(("env", f"AWS_CONFIG_FILE={folder}/config", *driver)) as made:
        (Path(folder) / "config").write_text(SETTINGS)

        def aws(*arguments: str, stdin: bytes = b"", secret: str = at.secret) -> bytes:
            words = ["--endpoint-url", at.url, *arguments]
            status, output, said = made["run"](at.key_id, secret, words, stdin)
            if status:
                text = f"aws {' '.join(arguments)[:200]} ended with {status}: {said.decode()}"
                raise refused(ProgramError(text), r"An error occurred \((\w+)\)|(NoneType)")
            return bytes(output)

        def api(operation: str, *options: str, bucket: str = BUCKET) -> Any:
            return json.loads(aws("s3api", operation, "--bucket", bucket, *options) or b"{}")

        files = Files(folder)
        yield awscli_buckets(aws, api) | awscli_objects(aws, api, files) | awscli_uploads(api, files)


def awscli_buckets(aws: Callable[..., bytes], api: Callable[..., Any]) -> Calls:
    page = ("--page-size", "2", "--prefix")

    def exists(name: str) -> bool:
        try:
            api("head-bucket", bucket=name or BUCKET)
        except RefusedError as error:
            if str(error) == "404":
                return False
            raise
        return True

    def folders(prefix: str) -> tuple[list[str], list[str]]:
        found = api("list-objects-v2", *page, prefix, "--delimiter", "/")
        return [row["Key"] for row in found["Contents"]], [row["Prefix"] for row in found["CommonPrefixes"]]

    return {
        "buckets": lambda: [line.split()[-1] for line in aws("s3", "ls").decode().splitlines()],
        "make_bucket": lambda name: aws("s3", "mb", f"s3://{name}"),
        "remove_bucket": lambda name: aws("s3", "rb", f"s3://{name}"),
        "bucket_exists": exists,
        "location": lambda: api("get-bucket-location")["LocationConstraint"],
        "bucket_acl": lambda: [row["Permission"] for row in api("get-bucket-acl")["Grants"]],
        "list": lambda prefix: [row["Key"] for row in api("list-objects", *page, prefix)["Contents"]],
        "list_v2": folders,
        "uploads": lambda prefix: [
            (row["Key"], row["UploadId"]) for row in api("list-multipart-uploads", *page, prefix)["Uploads"]
        ],
    }


def awscli_objects(aws: Callable[..., bytes], api: Callable[..., Any], files: Files) -> Calls:
    def get(key: str, *options: str) -> bytes:
        api("get-object", "--key", key, *options, str(files.path))
        return files.read()

    def put(key: str, data: bytes, *options: str) -> None:
        api("put-object", "--key", key, "--body", files.holding(data), *options)

    def head(key: str) -> tuple[int, str, str, str]:
        found = api("head-object", "--key", key)
        return found["ContentLength"], found["ETag"], found["ContentType"], found["Metadata"]["colour"]

    def tag(key: str, tags: dict[str, str]) -> None:
        rows = [{"Key": name, "Value": value} for name, value in tags.items()]
        api("put-object-tagging", "--key", key, "--tagging", json.dumps({"TagSet": rows}))

    def delete_all(keys: list[str]) -> None:
        api("delete-objects", "--delete", json.dumps({"Objects": [{"Key": key} for key in keys]}))

    return {
        "put": put,
        "put_meta": lambda key, data, content_type, colour: put(
            key, data, "--content-type", content_type, "--metadata", f"colour={colour}"
        ),
        "put_stream": lambda key, data: aws("s3", "cp", "-", f"{HOME}/{key}", stdin=data),
        "put_once": lambda key, data: put(key, data, "--if-none-match", "*"),
        "upload": lambda key, data: aws("s3", "cp", files.holding(data), f"{HOME}/{key}"),
        "get": get,
        "get_range": lambda key, first, last: get(key, "--range", f"bytes={first}-{last}"),
        "get_changed": lambda key, etag: get(key, "--if-none-match", etag),
        "get_wrongly": lambda key: aws("s3", "cp", f"{HOME}/{key}", "-", secret=WRONG_SECRET),
        "head": head,
        "copy": lambda source, key: aws("s3", "cp", f"{HOME}/{source}", f"{HOME}/{key}"),
        "delete": lambda key: aws("s3", "rm", f"{HOME}/{key}"),
        "delete_all": delete_all,
        "acl": lambda key: [row["Permission"] for row in api("get-object-acl", "--key", key)["Grants"]],
        "tag": tag,
        "tags": lambda key: {
            row["Key"]: row["Value"] for row in api("get-object-tagging", "--key", key).get("TagSet", [])
        },
        "url_get": lambda key: aws("s3", "presign", f"{HOME}/{key}", "--expires-in", str(EXPIRES_S)).decode().strip(),
    }


def awscli_uploads(api: Callable[..., Any], files: Files) -> Calls:
    def about(key: str, upload: str) -> tuple[str, ...]:
        return ("--key", key, "--upload-id", upload)

    def part(key: str, upload: str, number: int, data: bytes) -> str:
        options = (*about(key, upload), "--part-number", str(number), "--body", files.holding(data))
        return str(api("upload-part", *options)["ETag"])

    def complete(key: str, upload: str, parts: list[tuple[int, str]]) -> None:
        rows = {"Parts": [{"PartNumber": number, "ETag": etag} for number, etag in parts]}
        api("complete-multipart-upload", *about(key, upload), "--multipart-upload", json.dumps(rows))

    return {
        "begin": lambda key: api("create-multipart-upload", "--key", key)["UploadId"],
        "part": part,
        "copy_part": lambda key, upload, number, source: api(
            *("upload-part-copy", *about(key, upload), "--part-number", str(number)),
            *("--copy-source", f"{BUCKET}/{source}"),
        ),
        "complete": complete,
        "parts": lambda key, upload: [
            (row["PartNumber"], row["ETag"], row["Size"]) for row in api("list-parts", *about(key, upload))["Parts"]
        ],
        "abort": lambda key, upload: api("abort-multipart-upload", *about(key, upload)),
    }


AWSCLI = Client("awscli", "s3", lambda: version("awscli"), awscli_connected, code)
