"""s3cmd's row of the matrix."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.matrix.clients import EXPIRES_S, PART_BYTES, WRONG_SECRET, Client, Endpoint
from tests.matrix.commands import HOME, Files, refused
from tests.matrix.drivers import code
from tests.stores_up.programs import ProgramError, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.matrix.clients import Calls


@contextmanager
def s3cmd_connected(at: Endpoint) -> Iterator[Calls]:
    program = str(Path(sys.executable).with_name("s3cmd"))
    common = ("--config", "/dev/null", "--no-ssl", f"--host={at.authority}", f"--host-bucket={at.authority}")

    def s3cmd(*arguments: str, stdin: bytes = b"", secret: str = at.secret) -> str:
        keys = {"AWS_ACCESS_KEY_ID": at.key_id, "AWS_SECRET_ACCESS_KEY": secret}
        command = (sys.executable, "-W", "ignore", program, *common, *arguments)
        try:
            return run(command, 60, stdin, LC_ALL="C.UTF-8", **keys).decode()
        except ProgramError as error:
            raise refused(error, r"S3 error: \d+ \((\w+)\)|S3 error: (\d+)|(does not exist)") from None

    with TemporaryDirectory() as folder:
        files = Files(folder)
        yield s3cmd_buckets(s3cmd) | s3cmd_getting(s3cmd, files) | s3cmd_changing(s3cmd, files)


def words_after(text: str, start: str) -> list[str]:
    """Return the rest of every line that starts with these words."""
    return [line.strip().removeprefix(start).strip() for line in text.splitlines() if line.strip().startswith(start)]


def s3cmd_buckets(s3cmd: Callable[..., str]) -> Calls:
    def uploads(prefix: str) -> list[tuple[str, str]]:
        rows = [line.split("\t") for line in s3cmd("multipart", f"{HOME}/{prefix}").splitlines()]
        paths = [(row[1].removeprefix(f"{HOME}/"), row[2]) for row in rows if len(row) == 3]
        return [row for row in paths if row[0].startswith(prefix)]

    return {
        "buckets": lambda: [line.rpartition("s3://")[2] for line in s3cmd("ls").splitlines()],
        "make_bucket": lambda name: s3cmd("mb", f"s3://{name}"),
        "remove_bucket": lambda name: s3cmd("rb", f"s3://{name}"),
        "location": lambda: words_after(s3cmd("info", HOME), "Location:")[0],
        "bucket_acl": lambda: [row.rpartition(" ")[2] for row in words_after(s3cmd("info", HOME), "ACL:")],
        "list": lambda prefix: [
            line.split(f"{HOME}/")[1] for line in s3cmd("ls", "--recursive", f"{HOME}/{prefix}").splitlines()
        ],
        "uploads": uploads,
        "abort": lambda key, upload: s3cmd("abortmp", f"{HOME}/{key}", upload),
        "parts": lambda key, upload: [
            (int(row[1]), row[2], int(row[3]))
            for row in (line.split("\t") for line in s3cmd("listmp", f"{HOME}/{key}", upload).splitlines()[1:])
        ],
    }


def s3cmd_getting(s3cmd: Callable[..., str], files: Files) -> Calls:
    def get(key: str, *options: str, secret: str = "") -> bytes:
        given = {"secret": secret} if secret else {}
        s3cmd("get", *options, f"{HOME}/{key}", str(files.path), **given)
        return files.read()

    def head(key: str) -> tuple[int, str, str, str]:
        text = s3cmd("info", f"{HOME}/{key}")
        size, tag, kind, colour = (
            words_after(text, start)[0] for start in ("File size:", "MD5 sum:", "MIME type:", "x-amz-meta-colour:")
        )
        return int(size), tag, kind, colour

    def tags(key: str) -> dict[str, str]:
        return dict(re.findall(r"\t(.+):\t(.*)", s3cmd("gettagging", f"{HOME}/{key}")))

    return {
        "get": lambda key: get(key, "--force"),
        "get_wrongly": lambda key: get(key, "--force", secret=WRONG_SECRET),
        "head": head,
        "acl": lambda key: [row.rpartition(" ")[2] for row in words_after(s3cmd("info", f"{HOME}/{key}"), "ACL:")],
        "tags": tags,
        "url_get": lambda key: s3cmd("signurl", f"{HOME}/{key}", f"+{EXPIRES_S}").strip(),
    }


def s3cmd_changing(s3cmd: Callable[..., str], files: Files) -> Calls:
    def put(key: str, data: bytes, *options: str) -> None:
        s3cmd("put", *options, files.holding(data), f"{HOME}/{key}")

    return {
        "put": put,
        "put_meta": lambda key, data, content_type, colour: put(
            key, data, "--mime-type", content_type, f"--add-header=x-amz-meta-colour:{colour}"
        ),
        "put_stream": lambda key, data: s3cmd("put", "-", f"{HOME}/{key}", stdin=data),
        "upload": lambda key, data: put(key, data, f"--multipart-chunk-size-mb={PART_BYTES // 1024**2}"),
        "copy": lambda source, key: s3cmd("cp", f"{HOME}/{source}", f"{HOME}/{key}"),
        "delete": lambda key: s3cmd("del", f"{HOME}/{key}"),
        "delete_all": lambda keys: s3cmd("del", *(f"{HOME}/{key}" for key in keys)),
        "tag": lambda key, tags: s3cmd(
            "settagging", f"{HOME}/{key}", "&".join(f"{name}={value}" for name, value in tags.items())
        ),
    }


S3CMD = Client("s3cmd", "s3", lambda: version("s3cmd"), s3cmd_connected, code)
