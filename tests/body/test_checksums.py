from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from gateway.body.checksums import (
    ALGORITHMS,
    Check,
    Checksum,
    ContentMd5,
    Declared,
    SignedDigest,
    declared,
)
from gateway.errors import (
    BAD_DIGEST,
    CONTENT_SHA256_MISMATCH,
    INVALID_DIGEST,
    INVALID_REQUEST,
    ApiError,
    ErrorKind,
)
from tests.digests import content_md5

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = b"123456789"
# The check values of the catalogue of CRCs, and what sha1sum and sha256sum print, in base64.
VALUES = {
    "x-amz-checksum-crc32": "y/Q5Jg==",
    "x-amz-checksum-crc32c": "4waSgw==",
    "x-amz-checksum-crc64nvme": "rosUhgp5mIg=",
    "x-amz-checksum-sha1": "98O8HYCOBHMq32eZZczDTKeuNEE=",
    "x-amz-checksum-sha256": "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
}
CRC32 = "x-amz-checksum-crc32"
SHA256 = "x-amz-checksum-sha256"


def refusal(check: Check, data: bytes = DATA, trailers: Mapping[str, str] | None = None) -> ErrorKind:
    check.update(data)
    with pytest.raises(ApiError) as caught:
        check.prove(trailers or {})
    return caught.value.kind


def fulfils(check: Check, data: bytes = DATA, trailers: Mapping[str, str] | None = None) -> bool:
    check.update(data)
    check.prove(trailers or {})
    return True


def test_every_algorithm_has_a_check_value() -> None:
    assert VALUES.keys() == ALGORITHMS.keys()


@pytest.mark.parametrize(("name", "value"), VALUES.items())
def test_a_body_with_its_checksum_passes_and_another_body_does_not(name: str, value: str) -> None:
    assert fulfils(Checksum(name, value))
    assert fulfils(Checksum(name, None), trailers={name: value})
    assert refusal(Checksum(name, value), DATA + b"0") is BAD_DIGEST
    assert refusal(Checksum(name, None), DATA + b"0", {name: value}) is BAD_DIGEST


@pytest.mark.parametrize(
    "text",
    ["", "y/Q5Jg", "y/Q5Jh==", "y/Q5J===", "y/Q5 Jg==", "cbf43926", "4waSgw=\n", "y/Q5JgA=", "\u00e9/Q5Jg=="],
    ids=ascii,
)
def test_a_checksum_that_is_none_is_an_invalid_request(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        Checksum(CRC32, text)
    assert caught.value.kind is INVALID_REQUEST
    assert refusal(Checksum(CRC32, None), trailers={CRC32: text}) is INVALID_REQUEST


def test_content_md5_is_proven() -> None:
    text = content_md5(DATA)
    assert fulfils(ContentMd5(text))
    assert refusal(ContentMd5(text), b"") is BAD_DIGEST


@pytest.mark.parametrize("text", ["", "25f9e794323b453885f5181f1b624d0b", "JfnnlDI7RTiF9RgfG2JNCw", "y/Q5Jg=="])
def test_a_malformed_content_md5_is_an_invalid_digest(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        ContentMd5(text)
    assert caught.value.kind is INVALID_DIGEST


def test_the_signed_digest_is_proven() -> None:
    digest = hashlib.sha256(DATA).hexdigest()
    assert fulfils(SignedDigest(digest))
    assert refusal(SignedDigest(digest), DATA[1:]) is CONTENT_SHA256_MISMATCH


@pytest.mark.parametrize(
    ("headers", "trailers", "found"),
    [
        ({}, (), None),
        ({"x-amz-sdk-checksum-algorithm": "CRC32"}, (), None),  # the store's to judge, as without this gateway
        ({"x-amz-checksum-mode": "ENABLED", "x-amz-checksum-type": "x", "x-amz-checksum-algorithm": "x"}, (), None),
        ({CRC32: "a"}, (), Declared(CRC32, "a")),
        ({SHA256: "a", "x-amz-sdk-checksum-algorithm": "SHA256"}, (), Declared(SHA256, "a")),
        ({"x-amz-sdk-checksum-algorithm": "crc32"}, (CRC32,), Declared(CRC32, None)),
    ],
)
def test_the_one_checksum_is_found(headers: dict[str, str], trailers: tuple[str, ...], found: Declared | None) -> None:
    assert declared(headers, trailers) == found


@pytest.mark.parametrize(
    ("headers", "trailers"),
    [
        ({CRC32: "a", SHA256: "b"}, ()),
        ({CRC32: "a"}, (CRC32,)),
        ({}, (CRC32, SHA256)),
        ({"x-amz-checksum-md4": "a"}, ()),
        ({}, ("x-amz-checksum-md4",)),
        ({CRC32: "a", "x-amz-sdk-checksum-algorithm": "SHA256"}, ()),
        ({CRC32: "a", "x-amz-sdk-checksum-algorithm": ""}, ()),
        ({"x-amz-sdk-checksum-algorithm": "MD4"}, (CRC32,)),
    ],
)
def test_checksums_that_are_several_unknown_or_contradictory_are_refused(
    headers: dict[str, str], trailers: tuple[str, ...]
) -> None:
    with pytest.raises(ApiError) as caught:
        declared(headers, trailers)
    assert caught.value.kind is INVALID_REQUEST
