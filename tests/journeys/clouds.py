"""A cloud under test: signed forms made by hand, and a gateway with the cloud `demo` in front of any store."""

from __future__ import annotations

import hashlib
import io
import json
import time
from base64 import b64encode
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from PIL import Image

from tests.harness import KEY_ID, SECRET, GatewayUnderTest, running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from gateway.credentials import Credential

CLOUD: dict[str, Any] = {
    "bucket": "demo",
    "identity": "demo",
    "extended_analysis": True,
    "delivery_host": "res.localhost",
    "presets": {
        "open": {"unsigned": True, "quality_analysis": True, "folder": "lent", "tags": ["u"]},
        "closed": {"quality_analysis": True, "use_filename": True, "unique_filename": False},
    },
}
UNSIGNED = ("file", "cloud_name", "resource_type", "api_key", "signature")


def picture(colour: str = "red", size: tuple[int, int] = (320, 200), kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    image = Image.effect_noise(size, 60).convert("RGB")
    Image.blend(image, Image.new("RGB", size, colour), 0.5).save(out, kind)
    return out.getvalue()


def signature(fields: Mapping[str, str], secret: str = SECRET.reveal(), algorithm: str = "sha1") -> str:
    """The vendor's rules of version 2, written anew."""
    pairs = sorted(
        f"{name}={value}".replace("&", "%26") for name, value in fields.items() if value and name not in UNSIGNED
    )
    return hashlib.new(algorithm, ("&".join(pairs) + secret).encode()).hexdigest()


def signed(fields: Mapping[str, str], algorithm: str = "sha1") -> dict[str, str]:
    stamped = {"timestamp": str(int(time.time())), **fields}
    return {**stamped, "signature": signature(stamped, algorithm=algorithm), "api_key": KEY_ID}


def basic(key_id: str = KEY_ID, secret: str = SECRET.reveal()) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{key_id}:{secret}".encode()).decode()}


@dataclass
class CloudUnderTest:
    gateway: GatewayUnderTest

    async def post(self, path: str, data: Any = None, **options: Any) -> tuple[int, dict[str, Any]]:
        return await self.ask("POST", path, data=data, **options)

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
        url = self.gateway.raw_url(f"/v1_1/demo/{path}")
        status, headers, body = await self.gateway.request(method, url, **options)
        assert headers["Content-Type"] == "application/json; charset=utf-8", body
        return status, json.loads(body)

    async def admin(self, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any]]:
        return await self.ask(method, path, headers=basic() | options.pop("headers", {}), **options)

    async def upload(
        self, content: bytes | str, kind: str = "image", filename: str = "a b.jpg", **fields: str
    ) -> tuple[int, dict[str, Any]]:
        form = form_of(signed(fields), content, filename)
        return await self.post(f"{kind}/upload", form)


def form_of(fields: Mapping[str, str], content: bytes | str | None, filename: str = "a b.jpg") -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False)
    for name, value in fields.items():
        form.add_field(name, value)
    if isinstance(content, bytes):
        form.add_field("file", content, filename=filename, content_type="image/jpeg")
    elif content is not None:
        form.add_field("file", content)
    return form


@asynccontextmanager
async def running_cloud(
    endpoint: str,
    scorer_address: str,
    folder: Path,
    clients: dict[str, Credential] | None = None,
    cloud: Mapping[str, Any] = CLOUD,
    **tables: dict[str, Any],
) -> AsyncIterator[CloudUnderTest]:
    tables = {"clouds": {"demo": dict(cloud)}, "server": {"data_dir": str(folder)}, **tables}
    async with running_gateway(endpoint, scorer_address, clients, **tables) as running:
        yield CloudUnderTest(running)
