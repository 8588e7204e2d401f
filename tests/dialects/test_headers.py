from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.headers import COS, OSS, HeaderMap, end_to_end, storage_class, to_client, to_store
from gateway.errors import INVALID_ARGUMENT, INVALID_REQUEST, NOT_IMPLEMENTED, ApiError

VENDORS = pytest.mark.parametrize("vendor", [OSS, COS], ids=["oss", "cos"])
META_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)

OSS_REQUEST = {
    ("x-oss-meta-a-b", "1"): ("x-amz-meta-a-b", "1"),
    ("x-oss-copy-source", "/src/k%20%2B?versionId=3"): ("x-amz-copy-source", "/src/k%20%2B?versionId=3"),
    ("x-oss-copy-source-range", "bytes=0-9"): ("x-amz-copy-source-range", "bytes=0-9"),
    ("x-oss-copy-source-if-none-match", '"e"'): ("x-amz-copy-source-if-none-match", '"e"'),
    ("x-oss-metadata-directive", "REPLACE"): ("x-amz-metadata-directive", "REPLACE"),
    ("x-oss-tagging", "a=b"): ("x-amz-tagging", "a=b"),
    ("x-oss-tagging-directive", "Copy"): ("x-amz-tagging-directive", "COPY"),
    ("x-oss-object-acl", "public-read"): ("x-amz-acl", "public-read"),
    ("x-oss-acl", "private"): ("x-amz-acl", "private"),
    ("x-oss-storage-class", "IA"): ("x-amz-storage-class", "STANDARD_IA"),
    ("x-oss-storage-class", "Archive"): ("x-amz-storage-class", "GLACIER"),
    ("x-oss-storage-class", "ColdArchive"): ("x-amz-storage-class", "DEEP_ARCHIVE"),
    ("x-oss-server-side-encryption", "AES256"): ("x-amz-server-side-encryption", "AES256"),
    ("x-oss-forbid-overwrite", "true"): ("if-none-match", "*"),
}
COS_REQUEST = {
    ("x-cos-meta-a-b", "1"): ("x-amz-meta-a-b", "1"),
    ("x-cos-copy-source", "src-1250000000.cos.ap-beijing.myqcloud.com/d/k%20"): (
        "x-amz-copy-source",
        "src-1250000000/d/k%20",
    ),
    ("x-cos-copy-source-if-match", '"e"'): ("x-amz-copy-source-if-match", '"e"'),
    ("x-cos-metadata-directive", "Replaced"): ("x-amz-metadata-directive", "REPLACE"),
    ("x-cos-metadata-directive", "Copy"): ("x-amz-metadata-directive", "COPY"),
    ("x-cos-acl", "public-read-write"): ("x-amz-acl", "public-read-write"),
    ("x-cos-storage-class", "ARCHIVE"): ("x-amz-storage-class", "GLACIER"),
    ("x-cos-tagging", "a=b"): ("x-amz-tagging", "a=b"),
    ("x-cos-forbid-overwrite", "true"): ("if-none-match", "*"),
}
UNCHANGED = (
    ("content-type", "image/jpeg"),
    ("cache-control", "max-age=1"),
    ("content-disposition", "inline"),
    ("content-encoding", "gzip"),
    ("content-language", "de"),
    ("expires", "0"),
    ("content-md5", "XrY7u+Ae7tCTyyK7j1rNww=="),
    ("if-match", '"e"'),
    ("range", "bytes=0-9"),
    ("accept-encoding", "identity"),
    ("user-agent", "sdk/1"),
)


def test_oss_request_headers_become_those_of_s3() -> None:
    for sent, expected in OSS_REQUEST.items():
        assert to_store(OSS, (sent,)) == (expected,)


def test_cos_request_headers_become_those_of_s3() -> None:
    for sent, expected in COS_REQUEST.items():
        assert to_store(COS, (sent,)) == (expected,)


@VENDORS
def test_entity_headers_go_to_the_store_and_back_unchanged(vendor: HeaderMap) -> None:
    assert to_store(vendor, UNCHANGED) == UNCHANGED
    assert to_client(vendor, UNCHANGED) == UNCHANGED


@pytest.mark.parametrize(
    "name",
    [
        "x-oss-date",
        "x-oss-content-sha256",
        "x-oss-security-token",
        "x-oss-user-agent",
        "x-oss-traffic-limit",
        "x-oss-request-payer",
        "x-oss-range-behavior",
        "x-cos-meta-a",
        "x-amz-acl",
        "x-amz-copy-source",
        "x-minio-source-mtime",
        "authorization",
        "content-length",
        "expect",
        "host",
        "transfer-encoding",
    ],
)
def test_what_s3_has_no_word_for_or_nobody_signed_is_left_out(name: str) -> None:
    assert to_store(OSS, ((name, "private"),)) == ()


@VENDORS
@pytest.mark.parametrize("name", ["content-type", "cache-control", "meta-a", "acl", "copy-source"])
@pytest.mark.parametrize("value", ["", "  "])
def test_empty_request_headers_are_left_out(vendor: HeaderMap, name: str, value: str) -> None:
    sent = name if name.startswith("c") and name != "copy-source" else vendor.prefix + name
    assert to_store(vendor, ((sent, value),)) == ()


@VENDORS
def test_the_default_acl_is_said_by_saying_nothing(vendor: HeaderMap) -> None:
    assert to_store(vendor, ((f"{vendor.prefix}acl", "default"),)) == ()


@VENDORS
def test_forbidding_to_overwrite_replaces_the_clients_own_condition(vendor: HeaderMap) -> None:
    wish = (f"{vendor.prefix}forbid-overwrite", "TRUE")
    assert to_store(vendor, (("if-none-match", '"e"'), wish)) == (("if-none-match", "*"),)
    assert to_store(vendor, ((f"{vendor.prefix}forbid-overwrite", "false"),)) == ()


@pytest.mark.parametrize(
    ("vendor", "name", "value"),
    [
        (OSS, "x-oss-server-side-encryption", "KMS"),
        (COS, "x-cos-server-side-encryption", "cos/kms"),
        (OSS, "x-oss-storage-class", "Frozen"),
        (OSS, "x-oss-object-acl", "everybody"),
        (COS, "pic-operations", '{"is_pic_info":1}'),
    ],
)
def test_what_would_get_lost_is_refused(vendor: HeaderMap, name: str, value: str) -> None:
    with pytest.raises(ApiError) as caught:
        to_store(vendor, ((name, value),))
    assert caught.value.kind is NOT_IMPLEMENTED
    assert name in caught.value.message


@pytest.mark.parametrize(
    ("vendor", "name", "value", "expected"),
    [
        (OSS, "x-amz-meta-a", "1", (("x-oss-meta-a", "1"),)),
        (OSS, "X-Amz-Version-Id", "3", (("x-oss-version-id", "3"),)),
        (OSS, "x-amz-delete-marker", "true", (("x-oss-delete-marker", "true"),)),
        (OSS, "x-amz-storage-class", "STANDARD_IA", (("x-oss-storage-class", "IA"),)),
        (OSS, "x-amz-server-side-encryption", "aws:kms", (("x-oss-server-side-encryption", "KMS"),)),
        (OSS, "x-amz-request-id", "1", ()),
        (OSS, "x-amz-id-2", "1", ()),
        (OSS, "x-amz-checksum-crc64nvme", "1", ()),
        (OSS, "X-Minio-Deployment-Id", "1", ()),
        (OSS, "ETag", '"e"', (("ETag", '"e"'),)),
        (COS, "x-amz-meta-a", "1", (("x-cos-meta-a", "1"),)),
        (COS, "x-amz-storage-class", "STANDARD", ()),
        (COS, "x-amz-storage-class", "GLACIER", (("x-cos-storage-class", "ARCHIVE"),)),
        (COS, "x-amz-version-id", "3", (("x-cos-version-id", "3"),)),
    ],
)
def test_answer_headers_become_the_vendors(
    vendor: HeaderMap, name: str, value: str, expected: tuple[tuple[str, str], ...]
) -> None:
    assert to_client(vendor, ((name, value),)) == expected


@VENDORS
@given(name=META_NAMES, value=VALUES)
def test_metadata_comes_back_as_it_was_sent(vendor: HeaderMap, name: str, value: str) -> None:
    sent = ((f"{vendor.prefix}meta-{name}", value),)
    assert to_client(vendor, to_store(vendor, sent)) == sent


@pytest.mark.parametrize(
    ("vendor", "value"),
    [
        *((OSS, value) for value in ("Standard", "IA", "Archive", "ColdArchive")),
        *((COS, value) for value in ("STANDARD_IA", "INTELLIGENT_TIERING", "ARCHIVE", "DEEP_ARCHIVE")),
    ],
)
def test_storage_classes_come_back_as_they_were_sent(vendor: HeaderMap, value: str) -> None:
    sent = ((f"{vendor.prefix}storage-class", value),)
    assert to_client(vendor, to_store(vendor, sent)) == sent


def test_an_untold_storage_class_is_standard() -> None:
    assert storage_class(OSS, "") == "Standard"
    assert storage_class(COS, "") == storage_class(COS, "STANDARD") == ""


def test_headers_that_the_connection_header_names_stay_behind() -> None:
    headers = (("connection", "close, X-Hop"), ("x-hop", "1"), ("te", "trailers"), ("x-kept", ""))
    assert end_to_end(headers) == (("x-kept", ""),)


@pytest.mark.parametrize(
    "name",
    [
        "x-amz-server-side-encryption",
        "X-Amz-Meta-A",
        "x-oss-forbid-overwrite",
        "x-cos-acl",
        "If-None-Match",
        "content-md5",
        "content-type",
        "range",
        "cache-control",
        "expires",
        "date",
        "host",
        "authorization",
        "cookie",
    ],
)
def test_the_connection_header_cannot_take_a_header_out_of_the_request(name: str) -> None:
    headers = (("connection", f"close, {name}"), (name.lower(), "1"))
    with pytest.raises(ApiError) as caught:
        end_to_end(headers)
    assert caught.value.kind is INVALID_REQUEST
    assert name.lower() in caught.value.message


@pytest.mark.parametrize("value", ["close", "keep-alive, TE", "Upgrade, HTTP2-Settings", "", ","])
def test_what_clients_and_proxies_say_about_their_connection_is_accepted(value: str) -> None:
    headers = (("connection", value), ("http2-settings", "A"), ("if-none-match", "*"))
    assert ("if-none-match", "*") in end_to_end(headers)


@pytest.mark.parametrize(
    ("value", "suffix", "expected"),
    [
        ("src-125.cos.ap-beijing.myqcloud.com/k", "", "src-125/k"),
        ("src-125.cos.ap-beijing.myqcloud.com/k", "gw.test", "src-125/k"),
        ("src-125.cos-internal.ap-beijing.tencentcos.cn/k", "", "src-125/k"),
        ("src-125.cos.accelerate.myqcloud.com/d/k%20?versionId=1", "", "src-125/d/k%20?versionId=1"),
        ("src.gw.test:9000/k", "gw.test", "src/k"),
        ("SRC.GW.test/k", "gw.test", "src/k"),
        ("a.dotted.name.gw.test/k", "gw.test", "a.dotted.name/k"),
        ("a.name.cos.ap-beijing.myqcloud.com/k", "cos.ap-beijing.myqcloud.com", "a.name/k"),
    ],
)
def test_a_cos_copy_source_names_its_bucket_before_a_known_host(value: str, suffix: str, expected: str) -> None:
    assert to_store(COS, (("x-cos-copy-source", value),), suffix) == (("x-amz-copy-source", expected),)


@pytest.mark.parametrize(
    "value",
    [
        "secret.anything.example/k",
        "secret/k",
        "secret.cos.ap-beijing.myqcloud.com.evil.example/k",
        "a.name.cos.ap-beijing.myqcloud.com/k",
        "secret%2Fk.gw.test/k",
        "secret.gw.testing/k",
        "gw.test/k",
        ".gw.test/k",
        "src.gw.test",
        "src.gw.test/",
        "/src/k",
        "http://src.gw.test/k",
    ],
)
def test_a_cos_copy_source_that_could_mean_another_bucket_is_refused(value: str) -> None:
    with pytest.raises(ApiError) as caught:
        to_store(COS, (("x-cos-copy-source", value),), "gw.test")
    assert caught.value.kind is INVALID_ARGUMENT
