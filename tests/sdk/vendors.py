"""Aliyun's and Tencent's Python SDKs, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import oss2

from tests.sdk.vendor_cos import Cos
from tests.sdk.vendor_oss import Oss2, OssV2

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.sdk.live_clients import Account
    from tests.sdk.vendor_calls import Vendor

VENDORS: Mapping[str, Callable[[Account], Vendor]] = {
    "oss2 V1": lambda account: Oss2(account, oss2.Auth),
    "oss2 V4": lambda account: Oss2(account, oss2.AuthV4),
    "alibabacloud-oss-v2": OssV2,
    "cos-python": Cos,
}
