"""A proxy as people write it: aiohttp's server, aiobotocore's get_object, the body passed on in pieces. Checks nobody.

`python -m bench.plain_proxy PORT WORKERS ENDPOINT KEY_ID SECRET`
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import web

from bench.tools import in_processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CLIENT: web.AppKey[Any] = web.AppKey("client", object)
_PIECE = 64 * 1024


async def get(request: web.Request) -> web.StreamResponse:
    found = await request.app[CLIENT].get_object(Bucket=request.match_info["bucket"], Key=request.match_info["key"])
    headers = {"Content-Length": str(found["ContentLength"]), "Content-Type": found["ContentType"]}
    headers["ETag"] = found["ETag"]
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    async for piece in found["Body"].iter_chunks(_PIECE):
        await response.write(piece)
    return response


def application(endpoint: str, key_id: str, secret: str) -> web.Application:
    async def client(app: web.Application) -> AsyncIterator[None]:
        session, config = get_session(), AioConfig(max_pool_connections=256, s3={"addressing_style": "path"})
        keys = {"aws_access_key_id": key_id, "aws_secret_access_key": secret}
        made = session.create_client("s3", "us-east-1", endpoint_url=endpoint, config=config, **keys)
        async with made as app[CLIENT]:
            yield

    app = web.Application()
    app.cleanup_ctx.append(client)
    app.router.add_get("/{bucket}/{key:.+}", get)
    return app


def main(port: int, workers: int, *store: str) -> None:
    def serve() -> None:
        app = application(*store)
        web.run_app(app, host="127.0.0.1", port=port, reuse_port=True, access_log=None, print=None)

    in_processes(workers, serve)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
