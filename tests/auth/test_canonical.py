from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth import canonical
from gateway.auth.base import Claim, parse_expires_seconds
from gateway.credentials import Secret
from gateway.errors import INVALID_ARGUMENT, INVALID_REQUEST, MISSING_DATE, ApiError
from tests.auth.samples import PATIENT, head_of


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("/dir%2Fa%20b%2Bc.jpg", "/dir/a%20b%2Bc.jpg"),
        ("/dir/a b+c.jpg", "/dir/a%20b%2Bc.jpg"),
        ("/%25.jpg", "/%25.jpg"),
        ("/a//b/./../c", "/a//b/./../c"),
        ("/%e4%bd%a0", "/%E4%BD%A0"),
        ("/%7Ea~", "/~a~"),
        ("/%FF", "/%FF"),
        ("", "/"),
    ],
)
def test_a_path_is_decoded_once_and_encoded_once(raw: str, expected: str) -> None:
    assert canonical.canonical_path(raw) == expected


@PATIENT
@given(st.binary(max_size=30))
def test_a_canonical_path_is_its_own_canonical_form(data: bytes) -> None:
    once = canonical.canonical_path("/" + "".join(f"%{byte:02x}" for byte in data))
    assert canonical.canonical_path(once) == once


def test_a_query_is_sorted_by_encoded_name_then_value() -> None:
    pairs = [("b", "2"), ("a-b", ""), ("a", "2"), ("a", "1/+"), ("é", "")]
    assert canonical.canonical_query(pairs) == "%C3%A9=&a=1%2F%2B&a=2&a-b=&b=2"
    assert canonical.canonical_query(pairs, bare=True) == "%C3%A9&a=1%2F%2B&a=2&a-b&b=2"


def test_a_plus_in_a_query_is_a_plus() -> None:
    assert canonical.canonical_query(canonical.named_values(head_of(raw_query="a=b+c"))) == "a=b%2Bc"


def test_repeated_headers_join_and_only_blanks_and_tabs_are_stripped() -> None:
    headers = (("a", " 1\t"), ("b", "x"), ("a", "\u00a02 "))
    assert canonical.header_values(headers) == {"a": "1,\u00a02", "b": "x"}
    assert canonical.fold_blanks("a   b\tc  d") == "a b\tc d"


def test_bytes_that_are_not_utf8_come_back_as_they_were() -> None:
    assert canonical.to_bytes("a\udcff") == b"a\xff"


def test_text_that_no_wire_carries_is_refused_without_being_shown() -> None:
    with pytest.raises(ApiError) as refusal:
        canonical.to_bytes("secret\ud800")
    assert refusal.value.kind is INVALID_REQUEST
    assert refusal.value.__suppress_context__
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        "20130524T000000Z",
        "Fri, 24 May 2013 00:00:00 GMT",
        "Fri, 24 May 2013 00:00:00 +0000",
        "24 May 2013 02:30:00 +0230",
        "Thu, 23 May 2013 19:00:00 -0500",
    ],
)
def test_the_dates_that_clients_send_are_read(text: str) -> None:
    assert canonical.parse_date(text) == datetime(2013, 5, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2013-05-24T00:00:00Z",
        "20130524T000000",
        "20130532T000000Z",
        "20130524T240000Z",
        "\u0662\u0660\u0661\u0663\u0660\u0665\u0662\u0664T000000Z",
        "19691231T235959Z",
        "99990101T000000Z",
        "Fri, 31 Feb 2013 00:00:00 GMT",
        "Fri, 24 Mai 2013 00:00:00 GMT",
        "Fri, 24 May 2013 00:00:60 GMT",
        "Fri, 24 May 2013 00:00:00 +9900",
        "Thu, 01 Jan 1970 00:00:00 +0100",
        "1369353600",
    ],
)
def test_another_date_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as refusal:
        canonical.parse_date(text)
    assert refusal.value.kind is MISSING_DATE


@PATIENT
@given(st.datetimes(datetime(1970, 1, 2), datetime(9998, 12, 30)))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_a_written_date_is_read_back(moment: datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    assert canonical.parse_date(canonical.iso_basic(moment)) == moment
    assert canonical.parse_date(canonical.http_date(moment)) == moment


def test_a_unix_second_beyond_the_last_year_counts_as_its_end() -> None:
    assert canonical.parse_unix("1369353600") == datetime(2013, 5, 24, tzinfo=UTC)
    assert canonical.parse_unix("9" * 18) == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "9" * 19, "\u0663", " 1"])
def test_another_unix_second_is_refused(text: str) -> None:
    with pytest.raises(ApiError):
        canonical.parse_unix(text)


@pytest.mark.parametrize("text", ["", "0", "604801", "000000001999999999", "9" * 5000, "-5", "\u0663"])
def test_an_expiry_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as refusal:
        parse_expires_seconds(text)
    assert refusal.value.kind is INVALID_ARGUMENT


@pytest.mark.parametrize("seconds", [1, 604_800])
def test_an_expiry_in_range_is_read(seconds: int) -> None:
    assert parse_expires_seconds(str(seconds)) == seconds


def test_fields_are_split_and_their_blanks_dropped() -> None:
    assert canonical.parse_fields(" a=1=2,\tb= ", ",", "=") == {"a": "1=2", "b": ""}
    for text in ("a=1,a=2", "a", "a=1,,b=2"):
        with pytest.raises(ApiError):
            canonical.parse_fields(text, ",", "=")


def test_a_credential_is_split_from_the_right() -> None:
    text = "id/with:all/20130524/eu/s3/aws4_request"
    access_key_id, scope = canonical.parse_credential(text, "aws4_request", ("s3",), in_query=False)
    assert access_key_id == "id/with:all"
    assert scope.text("aws4_request") == "20130524/eu/s3/aws4_request"


@pytest.mark.parametrize(
    "text", ["a", "a/b/c/s3", "/20130524/eu/s3/aws4_request", "k/d/r/iam/aws4_request", "k/d/r/s3"]
)
def test_another_credential_is_refused(text: str) -> None:
    with pytest.raises(ApiError):
        canonical.parse_credential(text, "aws4_request", ("s3",), in_query=True)


@pytest.mark.parametrize("text", ["a;;b", "a;a", "Host", ";"])
def test_doubled_or_upper_case_header_names_are_refused(text: str) -> None:
    with pytest.raises(ApiError):
        canonical.parse_header_names(text, in_query=False)


def test_subresources_are_decoded_sorted_and_bare_when_empty() -> None:
    pairs = [("uploadId", "a b"), ("prefix", "x"), ("partNumber", "1"), ("acl", "")]
    assert canonical.subresources(pairs, {"acl", "uploadid", "partnumber"}) == "?acl&partNumber=1&uploadId=a b"
    assert canonical.subresources([("prefix", "x")], {"acl"}) == ""


@pytest.mark.parametrize("value", ["1&uploadId=2", "1&UPLOADID", "1&acl&x=2"])
def test_a_value_that_reads_like_another_subresource_is_refused(value: str) -> None:
    with pytest.raises(ApiError):
        canonical.subresources([("partNumber", value)], {"acl", "uploadid", "partnumber"})


def test_what_strangers_say_is_remembered_within_a_bound() -> None:
    def say(text: str) -> None:
        credential = f"key/20261126/{text}/s3/aws4_request"
        _, scope = canonical.parse_credential(credential, "aws4_request", ("s3",), in_query=True)
        assert scope.region == text
        assert canonical.parse_header_names(f"host;{text}", in_query=True) == ("host", text)
        assert len(canonical.signing_key("AWS4", Secret("s"), scope, "aws4_request")) == 32
        assert canonical.encode(f"{text}/") == f"{text}%2F"

    caches = (canonical._parse_credential, canonical._parse_header_names, canonical._signing_key, canonical._encoded)
    for each in caches:
        each.cache_clear()
    say("long" * 100)
    assert [each.cache_info().currsize for each in caches] == [0, 0, 0, 0]
    say("short")
    assert [each.cache_info()[2:] for each in caches] == [(1024, 1)] * 4


def test_only_a_claim_of_the_v4_family_has_scope_and_time() -> None:
    with pytest.raises(TypeError):
        canonical.scope_and_time(Claim("aws_v2", "k", "s", in_query=False))


def test_a_secret_is_encoded_as_utf8_for_base64_signatures() -> None:
    assert canonical.hmac_base64(Secret("key"), "The quick brown fox jumps over the lazy dog", "sha1") == (
        "3nybhbi3iqa8ino29wqQcBydtNk="
    )
