"""The names that the demo, and every command without a configuration, agree on. Imports no store and no picture."""

from __future__ import annotations

from typing import Any

DEMO_ACCESS_KEY = "GATEWAYDEMO"
DEMO_SECRET = "gateway-demo-secret"  # noqa: S105 # public by design: loopback only
BUCKET = "demo"


def demo_table(upstream: dict[str, str]) -> dict[str, Any]:
    """Return the demo's settings, as a table like the TOML file's, in front of one store."""
    return {
        "upstream": {"default": upstream},
        "clouds": {BUCKET: {"bucket": BUCKET}},
        "buckets": {BUCKET: {"aliases": [f"{BUCKET}-1250000000"]}},
        "dialects": {
            "s3": {"hosts": ["s3.localhost"]},
            "oss": {"hosts": ["oss.localhost", "oss-cn-hangzhou.aliyuncs.com"]},
            "cos": {"hosts": ["cos.localhost", "cos.ap-beijing.myqcloud.com"]},
        },
    }
