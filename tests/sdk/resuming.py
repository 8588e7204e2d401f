"""Uploads of a file as each Python SDK's users make them: in parts of its default size, resumed its own way."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import alibabacloud_oss_v2 as oss_v2
import oss2
import urllib3
from boto3.s3.transfer import TransferConfig
from minio import Minio
from qcloud_cos import CosConfig, CosS3Client

from tests.boto import s3_client
from tests.node.packages import Node, prepare_node
from tests.stores_up.fixtures import BUCKET, COS_BUCKET
from tests.stores_up.programs import ProgramError, run
from tests.stores_up.required import unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KB, MB = 1024, 1024 * 1024


@dataclass(frozen=True)
class Job:
    """A file to be uploaded to a key through a port; what an SDK remembers between two tries lies in `memory`."""

    port: int
    key_id: str
    secret: str
    key: str
    file: Path
    memory: Path

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def with_oss2(auth: type, part_size: int | None, job: Job) -> None:
    bucket = oss2.Bucket(auth(job.key_id, job.secret), job.endpoint, BUCKET, region="cn-hangzhou")
    store = oss2.ResumableStore(root=str(job.memory))
    oss2.resumable_upload(bucket, job.key, str(job.file), store=store, part_size=part_size)


def with_oss_v2(job: Job) -> None:
    config = oss_v2.config.load_default()
    config.credentials_provider = oss_v2.credentials.StaticCredentialsProvider(job.key_id, job.secret)
    config.region, config.endpoint, config.retry_max_attempts = "cn-hangzhou", job.endpoint, 1
    asked = oss_v2.PutObjectRequest(bucket=BUCKET, key=job.key)
    # Resumed uploads begin at its first gap: with one part at a time there is one only.
    uploader = oss_v2.Client(config).uploader(enable_checkpoint=True, checkpoint_dir=f"{job.memory}/", parallel_num=1)
    uploader.upload_file(asked, str(job.file))


def with_cos(job: Job) -> None:
    config = CosConfig(
        Region="ap-beijing",
        SecretId=job.key_id,
        SecretKey=job.secret,
        Scheme="http",
        Proxies={"http": job.endpoint},
    )
    CosS3Client(config, retry=0).upload_file(Bucket=COS_BUCKET, Key=job.key, LocalFilePath=str(job.file))


def _boto3(job: Job) -> Any:
    return s3_client(job.endpoint, job.key_id, job.secret, retries={"max_attempts": 2})


def with_boto3(job: Job) -> None:
    # All at the same time, its three parts would be answered together, and there would be no middle.
    _boto3(job).upload_file(str(job.file), BUCKET, job.key, Config=TransferConfig(max_concurrency=1))


def with_minio_py(job: Job) -> None:
    http = urllib3.PoolManager(retries=urllib3.Retry(2))
    client = Minio(job.endpoint.partition("://")[2], job.key_id, job.secret, secure=False, http_client=http)
    client.fput_object(BUCKET, job.key, str(job.file))


def with_s3cmd(job: Job) -> None:
    program, address = str(Path(sys.executable).with_name("s3cmd")), f"127.0.0.1:{job.port}"
    common = ("--config", "/dev/null", "--no-ssl", f"--host={address}", f"--host-bucket={address}", "--max-retries=1")
    # Its default size, without which it will not go on.
    wanted = ("put", "--continue-put", "--multipart-chunk-size-mb=15", str(job.file), f"s3://{BUCKET}/{job.key}")
    run((sys.executable, program, *common, *wanted), 60, AWS_ACCESS_KEY_ID=job.key_id, AWS_SECRET_ACCESS_KEY=job.secret)


def with_node(driver: str, job: Job) -> None:
    given = {
        "port": job.port,
        "keyId": job.key_id,
        "secret": job.secret,
        "bucket": BUCKET,
        "cosBucket": COS_BUCKET,
        "key": job.key,
        "file": str(job.file),
        "memory": str(job.memory),
        "data": "",
    }
    told = npm_sdks().drive(f"resume_{driver}", given)
    if not told.get("uploaded"):
        raise ProgramError(told["error"])


@cache
def npm_sdks() -> Node:
    """Node with the npm SDKs; skips, or fails, where they cannot be had."""
    try:
        return prepare_node()
    except ProgramError as error:
        unavailable(f"the npm SDKs cannot be had: {error}")


# What begins a second try where the first one ended.
RESUMING: Mapping[str, Callable[[Job], None]] = {
    "oss2 V1": lambda job: with_oss2(oss2.Auth, None, job),
    "oss2 V4": lambda job: with_oss2(oss2.AuthV4, None, job),
    "oss2 V4, 100 KB": lambda job: with_oss2(oss2.AuthV4, 100 * KB, job),
    "alibabacloud-oss-v2": with_oss_v2,
    "cos-python": with_cos,
    "s3cmd": with_s3cmd,
    "ali-oss": partial(with_node, "ali_oss"),
    "cos-nodejs": partial(with_node, "cos"),
    "minio-js": partial(with_node, "minio"),
}
# What sends again what it has sent already, and why.
FORGETFUL: Mapping[str, str] = {
    "minio-js": "8.0.7 numbers parts from 2 and compares part 2 of the upload with the file's second piece"
}
# What repeats the requests that a cut has hit, and aborts the upload where that does not help.
REPEATING: Mapping[str, Callable[[Job], None]] = {
    "boto3": with_boto3,
    "minio-py": with_minio_py,
    "@aws-sdk/lib-storage": partial(with_node, "aws_s3"),
}
