"""Every Python client as one function: the same few calls, each made the way that client's users make them."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import oss2
import urllib3
from aiobotocore.session import get_session
from botocore.config import Config
from minio import Minio

from tests.boto import s3_client
from tests.stores_up.fixtures import BUCKET
from tests.stores_up.programs import alone, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.served import Place

EXPIRES_S = 600
COS_DOMAIN = "cos.ap-beijing.myqcloud.com"
HERE = Path(__file__).resolve().parent
AIOBOTO3 = "aioboto3==15.5.0"
AIOBOTO3_HOME = HERE.parent.parent / ".cache" / "aioboto3"


@dataclass(frozen=True)
class Account:
    """Where the gateway is, over http and over https, and a key for it."""

    port: int
    tls_port: int
    ca_file: str
    key_id: str
    secret: str

    @classmethod
    def of(cls, place: Place) -> Account:
        """A gateway that is there over http alone."""
        port = int(place.authority.rpartition(":")[2])
        return cls(port, 0, "", place.key_id, place.secret.reveal())

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def https(self) -> str:
        return f"https://127.0.0.1:{self.tls_port}"


@dataclass(frozen=True)
class Calls:
    """What a client can be asked to do; None is what it has no call for."""

    put: Callable[[str, bytes], object]
    get: Callable[[str], bytes]
    length: Callable[[str], int]
    delete: Callable[[str], object]
    url: Callable[[str], str]
    listed: Callable[[], set[str]] | None = None
    score: Callable[[str], float] | None = None


def boto3_s3(account: Account, version: str, endpoint: str = "") -> Calls:
    ca_file = account.ca_file if endpoint else None
    place = endpoint or account.http
    client = s3_client(place, account.key_id, account.secret, ca_file=ca_file, signature_version=version)
    return Calls(
        lambda key, data: client.put_object(Bucket=BUCKET, Key=key, Body=data),
        lambda key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read(),
        lambda key: client.head_object(Bucket=BUCKET, Key=key)["ContentLength"],
        lambda key: client.delete_object(Bucket=BUCKET, Key=key),
        lambda key: client.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key}, ExpiresIn=EXPIRES_S),
        lambda: {row["Key"] for row in client.list_objects_v2(Bucket=BUCKET)["Contents"]},
    )


def aiobotocore_client(account: Account) -> Any:
    """Return what opens aiobotocore's client."""
    return get_session().create_client(
        "s3",
        endpoint_url=account.http,
        region_name="us-east-1",
        aws_access_key_id=account.key_id,
        aws_secret_access_key=account.secret,
        config=Config(retries={"max_attempts": 1}),
    )


def aiobotocore_s3(account: Account) -> Calls:
    def call(what: Callable[[Any], Any]) -> Any:
        async def once() -> Any:
            async with aiobotocore_client(account) as client:
                answer = await what(client)
                return await answer["Body"].read() if "Body" in answer else answer

        return asyncio.run(once())

    options = {"ExpiresIn": EXPIRES_S}
    return Calls(
        lambda key, data: call(lambda s3: s3.put_object(Bucket=BUCKET, Key=key, Body=data)),
        lambda key: call(lambda s3: s3.get_object(Bucket=BUCKET, Key=key)),
        lambda key: call(lambda s3: s3.head_object(Bucket=BUCKET, Key=key))["ContentLength"],
        lambda key: call(lambda s3: s3.delete_object(Bucket=BUCKET, Key=key)),
        lambda key: call(lambda s3: s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key}, **options)),
        lambda: {row["Key"] for row in call(lambda s3: s3.list_objects_v2(Bucket=BUCKET))["Contents"]},
    )


def aioboto3_python() -> Path:
    """Install aioboto3 in an environment of its own unless it is there. Raises ProgramError without a registry."""
    # It pins an aiobotocore that is older than the gateway's.
    python, installed = AIOBOTO3_HOME / "bin" / "python", AIOBOTO3_HOME / "installed"
    wanted = f"{AIOBOTO3} on {sys.base_prefix} {sys.version}"
    with alone("aioboto3"):
        if not installed.exists() or installed.read_text() != wanted:
            run((sys.executable, "-m", "venv", "--clear", str(AIOBOTO3_HOME)), 60)
            run((str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", AIOBOTO3), 300)
            installed.write_text(wanted)
    return python


def s3cmd(account: Account, *options: str) -> Calls:
    program = str(Path(sys.executable).with_name("s3cmd"))
    address = f"127.0.0.1:{account.port}"
    common = ("--config", "/dev/null", "--no-ssl", f"--host={address}", f"--host-bucket={address}", *options)
    environment = {"AWS_ACCESS_KEY_ID": account.key_id, "AWS_SECRET_ACCESS_KEY": account.secret}

    def call(*arguments: str, stdin: bytes = b"") -> bytes:
        return run((sys.executable, program, *common, *arguments), 60, stdin, **environment)

    def length(key: str) -> int:
        lines = [line.split() for line in call("info", f"s3://{BUCKET}/{key}").decode().splitlines()]
        return next(int(words[2]) for words in lines if words[:2] == ["File", "size:"])

    return Calls(
        lambda key, data: call("put", "-", f"s3://{BUCKET}/{key}", stdin=data),
        lambda key: call("get", "--quiet", f"s3://{BUCKET}/{key}", "-"),
        length,
        lambda key: call("del", f"s3://{BUCKET}/{key}"),
        lambda key: call("signurl", f"s3://{BUCKET}/{key}", f"+{EXPIRES_S}").decode().strip(),
        lambda: {
            line.split(f"s3://{BUCKET}/")[1]
            for line in call("ls", "--recursive", f"s3://{BUCKET}").decode().splitlines()
        },
    )


def minio_py(account: Account, endpoint: str = "") -> Calls:
    client = Minio(
        (endpoint or account.http).partition("://")[2],
        account.key_id,
        account.secret,
        secure=bool(endpoint),
        http_client=urllib3.PoolManager(ca_certs=account.ca_file),
    )

    def get(key: str) -> bytes:
        answer = client.get_object(BUCKET, key)
        with answer:
            return bytes(answer.read())

    return Calls(
        lambda key, data: client.put_object(BUCKET, key, io.BytesIO(data), len(data)),
        get,
        lambda key: client.stat_object(BUCKET, key).size or 0,
        lambda key: client.remove_object(BUCKET, key),
        lambda key: client.presigned_get_object(BUCKET, key),
        lambda: {str(row.object_name) for row in client.list_objects(BUCKET, recursive=True)},
    )


def oss_score(body: bytes) -> float:
    return float(json.loads(body)["ImageScore"]["OverallQualityScore"])


def aliyun_oss2(account: Account, auth: type) -> Calls:
    bucket = oss2.Bucket(auth(account.key_id, account.secret), account.http, BUCKET, region="cn-hangzhou")
    return Calls(
        bucket.put_object,
        lambda key: bucket.get_object(key).read(),
        lambda key: bucket.head_object(key).content_length,
        bucket.delete_object,
        lambda key: bucket.sign_url("GET", key, EXPIRES_S),
        score=lambda key: oss_score(bucket.get_object(key, process="image/score").read()),
    )


CLIENTS: Mapping[str, Callable[[Account], Calls]] = {
    "boto3 V4": lambda account: boto3_s3(account, "s3v4"),
    "boto3 V2": lambda account: boto3_s3(account, "s3"),
    "boto3 V4 https": lambda account: boto3_s3(account, "s3v4", account.https),
    "boto3 V2 https": lambda account: boto3_s3(account, "s3", account.https),
    "aiobotocore": aiobotocore_s3,
    "s3cmd V2": lambda account: s3cmd(account, "--signature-v2"),
    "minio https": lambda account: minio_py(account, account.https),
    "oss2 V2": lambda account: aliyun_oss2(account, oss2.AuthV2),
}
