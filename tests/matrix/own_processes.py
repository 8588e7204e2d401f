"""The rows of the clients that need an environment of their own: aioboto3, and the npm packages on Node."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.matrix.clients import WRONG_SECRET, Client, Endpoint
from tests.matrix.drivers import code, driven
from tests.node.packages import HERE as NODE_DRIVERS
from tests.node.packages import Node, prepare_node
from tests.sdk.live_clients import AIOBOTO3, aioboto3_python
from tests.stores_up.fixtures import BUCKET, COS_BUCKET
from tests.stores_up.programs import ProgramError
from tests.stores_up.required import unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.matrix.clients import Calls

DRIVER = Path(__file__).with_name("aioboto3_driver.py")


@contextmanager
def aioboto3_connected(at: Endpoint) -> Iterator[Calls]:
    try:
        python = aioboto3_python()
    except ProgramError as error:
        unavailable(f"aioboto3 cannot be had: {error}")
    given = {
        "endpoint": at.url,
        "key_id": at.key_id,
        "secret": at.secret,
        "wrong_secret": WRONG_SECRET,
        "bucket": BUCKET,
    }
    with driven((str(python), str(DRIVER), json.dumps(given))) as calls:
        yield calls


@cache
def node() -> Node:
    try:
        return prepare_node()
    except ProgramError as error:
        unavailable(f"the npm SDKs cannot be had: {error}")


@contextmanager
def npm_connected(driver: str, option: str, at: Endpoint) -> Iterator[Calls]:
    given = {
        "port": at.port,
        "bucket": BUCKET,
        "cosBucket": COS_BUCKET,
        "keyId": at.key_id,
        "secret": at.secret,
        "wrongSecret": WRONG_SECRET,
    }
    program, script = str(node().program), str(node().folder / f"matrix_{driver}.mjs")
    with driven((program, script, json.dumps(given), option)) as calls:
        yield calls


def npm(name: str, package: str, dialect: str, driver: str, option: str = "") -> Client:
    def version() -> str:
        wanted: str = json.loads((NODE_DRIVERS / "package.json").read_text())["dependencies"][package]
        return wanted

    return Client(name, dialect, version, partial(npm_connected, driver, option), code)


AIOBOTO3_ROW = Client("aioboto3", "s3", lambda: AIOBOTO3.partition("==")[2], aioboto3_connected, code)
AWS_SDK_JS = npm("@aws-sdk/client-s3", "@aws-sdk/client-s3", "s3", "aws_s3")
MINIO_JS = npm("minio-js", "minio", "s3", "minio")
ALI_OSS_V1 = npm("ali-oss V1", "ali-oss", "oss", "ali_oss", "V1")
ALI_OSS_V4 = npm("ali-oss V4", "ali-oss", "oss", "ali_oss", "V4")
COS_NODEJS = npm("cos-nodejs", "cos-nodejs-sdk-v5", "cos", "cos")
