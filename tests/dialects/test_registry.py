from __future__ import annotations

import pytest

from gateway.dialects import cos, oss, registry, s3
from gateway.errors import CONFLICTING_PROCESS, ApiError
from tests.dialects.samples import HOSTS, head, on


@pytest.mark.parametrize(
    ("query", "schemes", "host", "default", "expected"),
    [
        ("", (), "gateway.example", "s3", "s3"),
        ("", (), "gateway.example", "oss", "oss"),
        ("", (), "gateway.example", "cos", "cos"),
        # the host's suffix wins over the default
        ("", (), "demo.oss-cn-hangzhou.aliyuncs.com:9000", "s3", "oss"),
        ("", (), "OSS-CN-HANGZHOU.aliyuncs.com", "s3", "oss"),
        ("", (), "demo.cos.localhost", "oss", "cos"),
        ("", (), "demo.s3.localhost", "cos", "s3"),
        # the scheme wins over the host
        ("", ("aws_v4",), "demo.cos.localhost", "oss", "s3"),
        ("", ("aws_v2",), "demo.cos.localhost", "oss", "s3"),
        ("", ("oss_v1",), "demo.s3.localhost", "s3", "oss"),
        ("", ("oss_v2",), "demo.s3.localhost", "s3", "oss"),
        ("", ("oss_v4",), "demo.s3.localhost", "s3", "oss"),
        ("", ("cos",), "demo.s3.localhost", "s3", "cos"),
        ("", ("unheard-of",), "demo.cos.localhost", "s3", "cos"),
        ("", ("oss_v1", "aws_v4"), "demo.cos.localhost", "s3", "oss"),
        # a process parameter wins over everything
        ("x-oss-process=image/score", ("aws_v4",), "demo.cos.localhost", "s3", "oss"),
        ("x-oss-process=image/score", ("cos",), "demo.cos.localhost", "s3", "oss"),
        ("x-oss-async-process=video/convert", ("aws_v2",), "gateway.example", "s3", "oss"),
        ("ci-process=AssessQuality", ("aws_v4",), "gateway.example", "s3", "cos"),
        ("ci-process=AssessQuality", ("oss_v4",), "demo.oss-cn-hangzhou.aliyuncs.com", "s3", "cos"),
        ("imageMogr2/thumbnail/!50p", ("oss_v4",), "gateway.example", "s3", "cos"),
        ("exif", ("aws_v4",), "gateway.example", "s3", "s3"),
        ("x-oss-process=image/score&ci-process=AssessQuality", ("cos",), "demo.cos.localhost", "cos", "oss"),
    ],
)
def test_the_first_sign_decides_the_dialect(
    query: str, schemes: tuple[str, ...], host: str, default: str, expected: str
) -> None:
    selected = registry.select(head(f"/k?{query}", authority=host), schemes, HOSTS, default)
    assert selected is registry.by_name(expected)


def test_a_request_with_both_processes_is_refused_in_the_dialect_that_was_selected() -> None:
    asked = head("/k?ci-process=AssessQuality&x-oss-process=image/score")
    with pytest.raises(ApiError) as caught:
        registry.select(asked, (), HOSTS, "s3").interpret(asked, on("k"))
    assert caught.value.kind is CONFLICTING_PROCESS


def test_every_scheme_belongs_to_one_dialect() -> None:
    schemes = [name for dialect in registry.DIALECTS for name in dialect.SCHEMES]
    assert sorted(schemes) == ["aws_v2", "aws_v4", "cos", "oss_v1", "oss_v2", "oss_v4"]


def test_the_dialects_are_found_by_name_and_only_two_can_tell_a_score() -> None:
    assert [registry.by_name(name) for name in ("s3", "oss", "cos")] == [s3, oss, cos]
    assert [registry.analysing(dialect) for dialect in (oss, cos)] == [oss, cos]
    with pytest.raises(KeyError):
        registry.analysing(s3)
