"""`gateway presign`: signed URLs in the three dialects."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.auth import aws_v4, cos, oss_v1
from gateway.commands.config import read
from gateway.commands.console import UsageError, say
from gateway.commands.demo_names import DEMO_ACCESS_KEY, DEMO_SECRET
from gateway.credentials import Secret
from gateway.processes import StartError
from gateway.request import percent_encode

if TYPE_CHECKING:
    import argparse

_PROCESS = {
    "oss": "x-oss-process=image%2Fscore",
    "cos": "ci-process=AssessQuality",
    "s3": "x-oss-process=image%2Fscore",
}


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, and for which public address (`http://host[:port]`, without a bucket)."""

    endpoint: str
    access_key_id: str
    secret: Secret
    region: str = "us-east-1"


def signed_url(
    signer: Signer, dialect: str, bucket: str, key: str, *, process: bool, expires_s: int, now: datetime
) -> str:
    """Return a URL that GETs the object, or its score with `process`, for `expires_s` seconds from `now`.

    OSS and COS URLs carry the bucket in the host; S3 ones, and OSS ones for an IP address, in the path. Raises
    UsageError for COS at an IP address, where no URL can name the bucket.
    """
    scheme, authority = urlsplit(signer.endpoint)[:2]
    raw_key = percent_encode(key, safe="/")
    query = _PROCESS[dialect] if process else ""
    in_path = dialect == "s3" or _is_address(authority)
    if in_path and dialect == "cos":
        raise UsageError("A COS URL names the bucket in its host: --endpoint must be a host name, not an IP address.")
    host = authority if in_path else f"{bucket}.{authority}"
    path = f"/{percent_encode(bucket)}/{raw_key}" if in_path else f"/{raw_key}"
    access_key, secret = signer.access_key_id, signer.secret
    if dialect == "oss":
        signed = oss_v1.presign(
            "GET", bucket, key, query, access_key_id=access_key, secret=secret, expires_s=expires_s, now=now
        )
    elif dialect == "cos":
        signed = cos.presign(
            "GET", path, query, host, access_key_id=access_key, secret=secret, expires_s=expires_s, now=now
        )
    else:
        signed = aws_v4.presign(
            "GET",
            path,
            query,
            host,
            access_key_id=access_key,
            secret=secret,
            region=signer.region,
            expires_s=expires_s,
            now=now,
        )
    return f"{scheme}://{host}{path}?{signed}"


def _is_address(authority: str) -> bool:
    host = urlsplit(f"//{authority}").hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return True


def presign(arguments: argparse.Namespace) -> int:
    """Print one signed URL. Raises UsageError, SettingsError and StartError."""
    _check(arguments)
    say(
        signed_url(
            _signer(arguments),
            arguments.dialect,
            arguments.bucket,
            arguments.key,
            process=arguments.process == "score",
            expires_s=arguments.expires,
            now=datetime.now(UTC),
        )
    )
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what would make a URL that nobody can use. Raises UsageError."""
    if not arguments.bucket or not arguments.key:
        raise UsageError("Neither BUCKET nor KEY may be empty.")
    if arguments.expires < 1:
        raise UsageError("--expires must be at least 1 second.")
    if arguments.endpoint is not None and not _is_endpoint(arguments.endpoint):
        raise UsageError(f"--endpoint must be http://HOST[:PORT] or https://HOST[:PORT], not {arguments.endpoint!r}.")


def _is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the brackets of an IPv6 address, of the port
        return False


def _signer(arguments: argparse.Namespace) -> Signer:
    """Take the key from the environment, from the configured key file, or from the demo, in this order."""
    endpoint = arguments.endpoint or (
        "http://127.0.0.1:9000" if arguments.dialect == "s3" else f"http://{arguments.dialect}.localhost:9000"
    )
    secret = os.environ.get("GATEWAY_SECRET")
    if secret:
        return Signer(endpoint, arguments.access_key or DEMO_ACCESS_KEY, Secret(secret))
    if arguments.config:
        keyring = read(arguments.config)[1].current
        access_key = arguments.access_key or next(iter(keyring), "")
        if access_key not in keyring:
            raise StartError(f"The key file has no access key {access_key!r}.")
        return Signer(endpoint, access_key, keyring[access_key].secret)
    if arguments.access_key not in (None, DEMO_ACCESS_KEY):
        raise UsageError("The secret of --access-key is expected in GATEWAY_SECRET.")
    return Signer(endpoint, DEMO_ACCESS_KEY, Secret(DEMO_SECRET))
