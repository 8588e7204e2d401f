"""boto3's client of S3, as tests make it."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config


def s3_client(
    endpoint: str, key_id: str, secret: str, *, region: str = "us-east-1", ca_file: str | None = None, **config: Any
) -> Any:
    """Return a client that tries once again at the most; `config` is botocore's, and may say otherwise."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        verify=ca_file,
        config=Config(**{"retries": {"max_attempts": 1}, **config}),
    )
