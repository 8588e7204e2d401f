"""Every client of the matrix, in the page's order."""

from __future__ import annotations

from tests.matrix.awscli_client import AWSCLI
from tests.matrix.boto import BOTO3
from tests.matrix.minio_client import MINIO_PY
from tests.matrix.own_processes import AIOBOTO3_ROW, ALI_OSS_V1, ALI_OSS_V4, AWS_SDK_JS, COS_NODEJS, MINIO_JS
from tests.matrix.rclone_client import RCLONE
from tests.matrix.s3cmd_client import S3CMD
from tests.matrix.vendors import COS_PYTHON, OSS2_V1, OSS2_V4, OSS_V2

CLIENTS = (
    *(BOTO3, AIOBOTO3_ROW, AWSCLI, S3CMD, RCLONE, MINIO_PY, AWS_SDK_JS, MINIO_JS),
    *(OSS2_V1, OSS2_V4, OSS_V2, ALI_OSS_V1, ALI_OSS_V4, COS_PYTHON, COS_NODEJS),
)
