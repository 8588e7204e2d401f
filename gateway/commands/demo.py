"""`gateway demo`: embedded store, gateway, sample pictures, and lines to paste."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import secrets
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.app import utc_now
from gateway.commands.config import unknowable_port
from gateway.commands.demo_names import BUCKET, DEMO_ACCESS_KEY, DEMO_SECRET, demo_table
from gateway.commands.pictures import SAMPLES, draw_samples
from gateway.commands.presign import Signer, signed_url
from gateway.credentials import EVERYTHING, Credential, Identity, Secret
from gateway.dialects.base import StoreRequest
from gateway.key_file import LiveKeys
from gateway.live_settings import LiveSettings
from gateway.processes import StartError, listen
from gateway.request import percent_encode
from gateway.settings import Settings, SettingsError, load, split_listen
from gateway.stores.embedded import EmbeddedStore, EmbeddedStoreError, StoreAccess
from gateway.stores.keys import StaticKey, UpstreamKey
from gateway.stores.upstream import Body, StoreBucket, Upstream
from gateway.supervisor import run_gateways

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from datetime import datetime

    from gateway.settings import Server

_EXPIRES_S = 7 * 24 * 3600
_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".avif": "image/avif",
    ".heic": "image/heic",
}


def demo(images: Path | None, *, generate_secret: bool) -> int:
    """Start everything, print the lines, serve until Ctrl-C, stop everything. Raises SettingsError and StartError."""
    server = demo_server(os.environ)
    data = Path(server.data_dir).resolve()
    own = _own_pictures(images) if images else None
    secret = _secret(server.listen, data, generate=generate_secret)
    check_ports_free(server)
    store = EmbeddedStore(data / "store")
    try:
        settings = demo_settings(store.start(), server, os.environ)
        names = asyncio.run(_fill(settings, own))
        keys = LiveKeys({DEMO_ACCESS_KEY: Credential(DEMO_ACCESS_KEY, secret, Identity("demo", EVERYTHING))})
        lines = printed_lines(settings, secret, names[0], utc_now())
        return run_gateways(LiveSettings(settings), keys, lambda: print(lines, flush=True), store.failed)
    except EmbeddedStoreError as error:
        raise StartError(str(error)) from None
    finally:
        store.stop()


def demo_server(environ: Mapping[str, str]) -> Server:
    """Return where the demo listens and keeps its data, whichever variable says so, before there is a store.

    Raises SettingsError.
    """
    no_store_yet = {"endpoint": "http://-", "region": "-", "access_key": "-", "secret": "-"}
    server = load(None, environ, demo_table(no_store_yet)).server
    if mistakes := unknowable_port(server):
        raise SettingsError("\n".join(mistakes))
    return server


def demo_settings(access: StoreAccess, server: Server, environ: Mapping[str, str]) -> Settings:
    """Return the demo's settings in front of a store; the environment may change any of them."""
    upstream = {
        "endpoint": access.endpoint,
        "region": access.region,
        "access_key": access.access_key_id,
        "secret": access.secret.reveal(),
    }
    _, port = split_listen(server.listen) or ("", 9000)
    # The samples by their URLs at this gateway, and nothing else that listens on the loopback.
    samples = {"allow": [f"127.0.0.1:{port}", f"[::1]:{port}"]}
    return load(None, environ, {**demo_table(upstream), "fetch": samples})


def printed_lines(settings: Settings, secret: Secret, key: str, now: datetime) -> str:
    """Return the lines to paste; each answers at once on a machine with curl (aws and oss2 where installed)."""
    address = split_listen(settings.server.listen) or ("127.0.0.1", 9000)
    port = address[1]
    oss = Signer(f"http://oss.localhost:{port}", DEMO_ACCESS_KEY, secret)
    cos = Signer(f"http://cos.localhost:{port}", DEMO_ACCESS_KEY, secret)
    oss_url = signed_url(oss, "oss", BUCKET, key, process=True, expires_s=_EXPIRES_S, now=now)
    cos_url = signed_url(cos, "cos", BUCKET, key, process=True, expires_s=_EXPIRES_S, now=now)
    endpoint = f"http://{settings.server.listen}"
    keys = f"AWS_ACCESS_KEY_ID={DEMO_ACCESS_KEY} AWS_SECRET_ACCESS_KEY={secret.reveal()} AWS_REGION=us-east-1"
    return f"""
The gateway answers on {endpoint} (admin port {settings.server.admin_listen}). Ctrl-C stops everything; the data stays.
Access key {DEMO_ACCESS_KEY}, secret {secret.reveal()}, bucket {BUCKET}.

A score as Aliyun OSS gives it:
  curl '{oss_url}'

A score as Tencent COS gives it:
  curl '{cos_url}'

The bytes, through the AWS command line (pip install awscli):
  {keys} aws --endpoint-url {endpoint} s3 cp {shlex.quote(f"s3://{BUCKET}/{key}")} - > {shlex.quote(Path(key).name)}

A score through Aliyun's own SDK (pip install oss2), for the Python prompt:
import oss2
auth = oss2.Auth("{DEMO_ACCESS_KEY}", "{secret.reveal()}")
bucket = oss2.Bucket(auth, "{endpoint}", "{BUCKET}")
answer = bucket.get_object({key!r}, process="image/score")
print(answer.read().decode())
"""


def check_ports_free(server: Server) -> None:
    """Find out that a port is taken before the store is started, not after. Raises StartError."""
    for address in (server.listen, server.admin_listen):
        for probe in listen(*(split_listen(address) or ("127.0.0.1", 0))):
            probe.close()


def _secret(address: str, data: Path, *, generate: bool) -> Secret:
    """Return the public demo secret on the loopback, else a random one that is kept in the data folder."""
    host = (split_listen(address) or ("", 0))[0]
    if not generate:
        if not _is_loopback(host):
            raise StartError(
                f"The demo's secret is public, so it listens on the loopback only, not on {host}: "
                "add --generate-secret to listen there with a secret of your own."
            )
        return Secret(DEMO_SECRET)
    kept = data / "demo-secret"
    if not kept.exists():
        data.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
    return Secret(kept.read_text().strip())


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _own_pictures(folder: Path) -> dict[str, Path]:
    found = {
        str(path.relative_to(folder)): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix.lower() in _TYPES
    }
    if not found:
        raise StartError(f"There is no picture in {folder} (looked for {' '.join(_TYPES)}).")
    return found


async def _fill(settings: Settings, own: Mapping[str, Path] | None) -> list[str]:
    """Put the pictures that are not there yet into the bucket; return their names, a good one to show first."""
    row = settings.upstream["default"]
    upstream = Upstream(row, StaticKey(UpstreamKey(row.access_key, row.secret)), utc_now)
    bucket = StoreBucket(upstream, BUCKET)
    try:
        await _put(bucket, "", b"")
        if own is not None:
            for name, path in own.items():
                await _put_missing(bucket, name, path.read_bytes)
            return list(own)
        samples: dict[str, bytes] = {}
        for name in SAMPLES:
            await _put_missing(bucket, name, partial(_drawn, samples, name))
        return list(SAMPLES)
    finally:
        await upstream.close()


def _drawn(samples: dict[str, bytes], name: str) -> bytes:
    """Draw the samples the first time that one is missing; a second start of the demo draws none."""
    if not samples:
        samples.update(draw_samples())
    return samples[name]


async def _put_missing(bucket: StoreBucket, name: str, read: Callable[[], bytes]) -> None:
    async with bucket.open(StoreRequest("HEAD", percent_encode(name, safe="/"), "", ())) as answer:
        if answer.status == 200:
            return
    await _put(bucket, name, read())


async def _put(bucket: StoreBucket, name: str, data: bytes) -> None:
    async def whole() -> AsyncIterator[bytes]:
        yield data

    headers = (("content-type", _TYPES[Path(name).suffix.lower()]),) if name else ()
    request = StoreRequest("PUT", percent_encode(name, safe="/"), "", headers)
    async with bucket.open(request, Body(whole(), len(data))) as answer:
        # A bucket that is already ours answers 409 in some stores, 200 in others.
        if answer.status >= 300 and not (answer.status == 409 and not name):
            raise StartError(f"The store refused {BUCKET}/{name}: {answer.status} {(await answer.read(500)).decode()}")
