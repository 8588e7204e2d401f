"""Requests, reports and contexts that the dialect tests share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.dialects.base import AnswerContext, StoredObject
from gateway.report import Flags, ImageInfo, QualityReport
from gateway.request import HostMap, ObjectRef, RequestHead, Target, percent_decode

if TYPE_CHECKING:
    from gateway.request import Headers

NOW = datetime(2025, 11, 21, 6, 55, 7, tzinfo=UTC)
DATE = "Fri, 21 Nov 2025 06:55:07 GMT"
HOSTS = HostMap((("oss-cn-hangzhou.aliyuncs.com", "oss"), ("s3.localhost", "s3"), ("cos.localhost", "cos")), {})
STORED = StoredObject('"5d41402a-score-7"', "Tue, 18 Nov 2025 01:02:03 GMT")
REPORT = QualityReport(
    score=0.7049,
    sub_scores={},
    measures={},
    flags=Flags(long_image=False, black_and_white=False, small_image=False, big_image=True, pure_image=False),
    clarity=89,
    aesthetic=70,
    content=40,
    confidence=0.8,
    reasons=(),
    width=1920,
    height=1080,
    format="jpeg",
    model_version="7",
)

INFO = ImageInfo(
    "jpeg", 400, 267, 21_839, 1, {"Orientation": "7", "ImageWidth": "1", "DateTime": "2015:02:11 15:38:27"}
)


def head(
    target: str, method: str = "GET", headers: Headers = (), authority: str = "gateway.example:9000"
) -> RequestHead:
    path, _, query = target.partition("?")
    return RequestHead(method, path, query, authority, (("host", authority), *headers))


def on(raw_key: str = "a.jpg", bucket: str = "demo") -> Target:
    return Target(ObjectRef(bucket, percent_decode(raw_key)), raw_key, "path")


def context(method: str = "GET", host: str = "demo.oss.example", *, public: bool = False) -> AnswerContext:
    return AnswerContext("65E0000000000000000000AA", method, host, "/a.jpg", NOW, elapsed_ms=12, public=public)
