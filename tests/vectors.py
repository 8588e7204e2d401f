"""The recorded requests of the vendors' SDKs, turned into the core's own types.

Which hosts a recording used as a suffix and which as a bucket's own name is not on the wire; `hosts_for` holds it.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gateway.auth.identify import find_claim
from gateway.credentials import EVERYTHING, Credential, Identity, Keyring, Secret
from gateway.request import HostMap, RequestHead

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = Path(__file__).resolve().parents[1] / ".." / "shared" / "vectors"
MISSING = f"needs the recorded requests in {FOLDER.parent.name}/{FOLDER.name} beside the project"
BUCKET = "examplebucket"
COS_BUCKET = "examplebucket-1250000000"
# Cloudinary and Sightengine prove themselves in the body or by HTTP Basic, which their own modules judge.
OTHER_VENDORS = ("cloudinary_node", "cloudinary_python", "sightengine_node", "sightengine_python")

_SUFFIXES = (
    ("oss-cn-hangzhou.aliyuncs.com", "oss"),
    ("cos.ap-beijing.myqcloud.com", "cos"),
    ("oss.localhost", "oss"),
    ("localhost", "s3"),
    ("gw.test", "s3"),
)
# The SDK was told that the host is the bucket (a CNAME, a Domain): (file, label prefix) -> (host, bucket).
_BOUND = {
    ("oss2", "addr-cname:"): ("gw.test", BUCKET),
    ("alibabacloud_oss_v2", "addr-cname"): ("gw.test", BUCKET),
    ("ali_oss_node", "v4cname:"): ("gw.test", BUCKET),
    ("cos_python", "domain:"): ("gw.test", COS_BUCKET),
    ("cos_node", "domain-nobucket:"): ("127.0.0.1", COS_BUCKET),
}


@dataclass(frozen=True)
class Recording:
    """One recorded request and what is expected of it."""

    file: str  # without suffix
    line: int  # from 1
    label: str
    verdict: str
    why: str
    head: RequestHead
    body_len: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.label}"

    @property
    def hosts(self) -> HostMap:
        """The configuration under which the request was meant."""
        bound = [row for (file, label), row in _BOUND.items() if self.file == file and self.label.startswith(label)]
        return HostMap(_SUFFIXES, dict(bound))


def read_head(row: Mapping[str, Any]) -> RequestHead:
    """Turn a recorded line into a head, the way the server's edge reads one off the wire."""
    target = urlsplit(row["path"]) if "://" in row["path"].partition("?")[0] else None
    raw_path, _, raw_query = row["path"].partition("?")
    headers = tuple((name.lower(), value) for name, value in row["headers"])
    authority = dict(headers)["host"]
    if target is not None:
        raw_path, authority = target.path, target.netloc
    return RequestHead(row["method"], raw_path, raw_query, authority, headers)


@cache
def recordings() -> tuple[Recording, ...]:
    """Return every line that EXPECT.csv judges, none when the folder is absent."""
    if not FOLDER.is_dir():
        return ()
    rows = {path.name: path.read_text("utf-8").splitlines() for path in sorted(FOLDER.glob("*.jsonl"))}
    with (FOLDER / "EXPECT.csv").open(encoding="utf-8", newline="") as lines:
        return tuple(_recording(rows[row["file"]], row) for row in csv.DictReader(lines))


def _recording(lines: list[str], expect: Mapping[str, str]) -> Recording:
    row = json.loads(lines[int(expect["line"]) - 1])
    if row["label"] != expect["label"]:
        raise ValueError(expect)
    file = expect["file"].removesuffix(".jsonl")
    head = read_head(row)
    return Recording(file, int(expect["line"]), row["label"], expect["verdict"], expect["why"], head, row["body_len"])


def in_scope() -> tuple[Recording, ...]:
    """Return the recordings of S3, OSS and COS clients."""
    return tuple(recording for recording in recordings() if recording.file not in OTHER_VENDORS)


def moment_of(head: RequestHead) -> datetime:
    """Return a clock at which the recorded claim is in time: when it was made, or when it may first be used."""
    found = find_claim(head)
    if found is None:
        return datetime(2026, 11, 21, 5, 2, tzinfo=UTC)
    claim = found[1]
    moment = claim.signed_at or claim.starts_at or claim.expires_at
    if moment is None:
        raise ValueError(claim)
    return moment


def keyring_for(head: RequestHead) -> Keyring:
    """Return a keyring of the recordings' one key, with the token that the request carries, if any."""
    found = find_claim(head)
    token = found[1].token if found else None
    identity = Identity("recorded", EVERYTHING)
    return {"testak": Credential("testak", Secret("testsk"), identity, Secret(token) if token else None)}
