from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from gateway import errors
from gateway.auth import canonical, cos
from gateway.credentials import Secret
from gateway.errors import ApiError
from gateway.request import HostMap
from tests.auth.samples import (
    HOST,
    HOSTS,
    KEY_ID,
    KEYRING,
    NOW,
    SECRET,
    head_of,
    identified,
    presigned,
    signed_cos,
    with_headers,
)

if TYPE_CHECKING:
    from gateway.request import Headers, RequestHead

BOUND = HostMap((), {"img.example.com": "examplebucket"})


def _signed(head: RequestHead, headers: tuple[str, ...], parameters: tuple[str, ...], window: str = "") -> RequestHead:
    """Sign what the lists name, which `sign` never leaves out and SDKs do."""
    start = int(NOW.timestamp())
    window = window or f"{start};{start + 900}"
    text = cos._http_string(
        head.method,
        head.raw_path,
        cos._listed_parameters(canonical.named_values(head), parameters),
        cos._listed_headers(canonical.received_values(head), headers),
    )
    signature = cos._signature(SECRET, window, window, text)
    value = (
        f"q-sign-algorithm=sha1&q-ak={KEY_ID}&q-sign-time={window}&q-key-time={window}"
        f"&q-header-list={';'.join(headers)}&q-url-param-list={';'.join(parameters)}&q-signature={signature}"
    )
    return with_headers(head, (("authorization", value),))


def _refusal(head: RequestHead, now: datetime = NOW, hosts: HostMap = HOSTS) -> errors.ErrorKind:
    with pytest.raises(ApiError) as refusal:
        identified(head, now=now, hosts=hosts)
    return refusal.value.kind


def test_the_documented_example_is_reproduced() -> None:
    # COS documentation, "Request signature", example of an upload.
    headers: Headers = (
        ("date", "Thu, 16 May 2019 06:45:51 GMT"),
        ("content-type", "text/plain"),
        ("content-length", "13"),
        ("content-md5", "mQ/fVh815F3k6TAUm8m0eg=="),
        ("x-cos-acl", "private"),
        ("x-cos-grant-read", 'uin="100000000011"'),
    )
    path = "/exampleobject(%E8%85%BE%E8%AE%AF%E4%BA%91)"
    head = head_of("PUT", path, host="examplebucket-1250000000.cos.ap-beijing.myqcloud.com", headers=headers)
    added = cos.sign(
        head,
        access_key_id="AKIDQjz3ltompVjBni5LitkWHFlFpwkn9U5q",
        secret=Secret("BQYIM75p8x0iWVFSIgqEKwFprpRSVHlz"),
        expires_s=7200,
        now=datetime.fromtimestamp(1557989151, UTC),
    )
    assert dict(added)["authorization"] == (
        "q-sign-algorithm=sha1&q-ak=AKIDQjz3ltompVjBni5LitkWHFlFpwkn9U5q&q-sign-time=1557989151;1557996351"
        "&q-key-time=1557989151;1557996351&q-header-list=content-length;content-md5;content-type;date;host;x-cos-acl;"
        "x-cos-grant-read&q-url-param-list=&q-signature=3b8851a11a569213c17ba8fa7dcf2abec6935172"
    )


@pytest.mark.parametrize(
    ("offset", "kind"),
    [(-1, errors.REQUEST_NOT_YET_VALID), (0, None), (600, None), (601, errors.REQUEST_EXPIRED)],
)
def test_a_signature_holds_from_its_first_to_its_last_second(offset: int, kind: errors.ErrorKind | None) -> None:
    head, now = presigned("cos", expires_s=600), NOW + timedelta(seconds=offset)
    if kind is None:
        assert identified(head, now=now).claim is not None
    else:
        assert _refusal(head, now) is kind


def test_the_narrower_of_the_two_windows_counts() -> None:
    fields = f"q-sign-algorithm=sha1&q-ak={KEY_ID}&q-sign-time=10;50&q-key-time=20;60&q-header-list=host"
    head = head_of(headers=(("authorization", f"{fields}&q-url-param-list=&q-signature=x"),))
    claim = cos.parse(head)
    assert claim.starts_at == datetime.fromtimestamp(20, UTC)
    assert claim.expires_at == datetime.fromtimestamp(50, UTC)


def test_the_host_may_be_signed_without_its_port_but_not_with_another() -> None:
    with_port = signed_cos(head_of())
    bare = signed_cos(head_of(host=HOST.partition(":")[0]))
    assert identified(replace(with_port, authority=HOST)).claim is not None
    assert identified(replace(bare, authority=HOST)).claim is not None
    assert _refusal(replace(with_port, authority=HOST.replace("9000", "9001"))) is errors.SIGNATURE_DOES_NOT_MATCH


def test_an_unsigned_host_proves_no_bucket_unless_the_host_is_bound_to_one() -> None:
    head = _signed(head_of(host="img.example.com"), (), ())
    assert identified(head, hosts=BOUND).claim is not None
    by_suffix = HostMap((("example.com", "cos"),), {})
    assert _refusal(head, hosts=by_suffix) is errors.ACCESS_DENIED


def test_a_path_names_no_bucket_whether_it_is_signed_or_not() -> None:
    signed = _signed(head_of(raw_path="/b/a.jpg", host="10.0.0.1"), ("host",), ())
    assert _refusal(signed) is errors.ACCESS_DENIED
    left_out = _signed(head_of(raw_path="/a.jpg", host="10.0.0.1"), ("host",), ())
    assert _refusal(replace(left_out, raw_path="/b/a.jpg")) is errors.SIGNATURE_DOES_NOT_MATCH


def test_the_service_itself_needs_no_bucket() -> None:
    assert identified(_signed(head_of(raw_path="/", host="gw.test"), ("host",), ())).claim is not None


def test_only_listed_parameters_are_covered() -> None:
    head = _signed(head_of(raw_query="ci-process=AssessQuality&versionId=1"), ("host",), ("ci-process",))
    claim = identified(head).claim
    assert claim is not None
    assert claim.covers("ci-process")
    assert not claim.covers("versionId")


def test_an_operation_that_is_a_parameters_name_is_covered_under_its_decoded_name() -> None:
    names = ("imagemogr2%2fthumbnail%2f%2150p",)
    head = _signed(head_of(raw_query="imageMogr2/thumbnail/!50p"), ("host",), names)
    claim = identified(head).claim
    assert claim is not None
    assert claim.covers("imageMogr2/thumbnail/!50p")
    encoded = replace(head, raw_query="imageMogr2%2Fthumbnail%2F%2150p=")
    assert identified(encoded).claim is not None


def test_a_listed_parameter_must_be_there_once_whatever_its_case() -> None:
    head = _signed(head_of(raw_query="versionId="), ("host",), ("versionid",))
    assert identified(head).claim is not None
    assert _refusal(replace(head, raw_query="")) is errors.SIGNATURE_DOES_NOT_MATCH
    assert _refusal(replace(head, raw_query="versionId=&VERSIONID=")) is errors.INVALID_REQUEST


def test_a_listed_header_must_be_there() -> None:
    head = _signed(head_of(headers=(("cache-control", ""),)), ("cache-control", "host"), ())
    assert identified(head).claim is not None
    dropped = tuple(item for item in head.headers if item[0] != "cache-control")
    assert _refusal(replace(head, headers=dropped)) is errors.SIGNATURE_DOES_NOT_MATCH


def test_one_name_cannot_stand_for_two_listed_ones() -> None:
    head = _signed(head_of(raw_query="a=1&b="), ("host",), ("a", "b"))
    joined = tuple((n, v.replace("list=a;b", "list=a=1%26b")) for n, v in head.headers)
    assert identified(head).claim is not None
    assert _refusal(replace(head, headers=joined, raw_query="")) is errors.SIGNATURE_DOES_NOT_MATCH


@pytest.mark.parametrize(
    "missing", ["q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list", "q-signature"]
)
def test_every_field_of_the_claim_is_needed(missing: str) -> None:
    head = presigned("cos")
    pieces = [piece for piece in head.raw_query.split("&") if not piece.startswith(missing)]
    assert _refusal(replace(head, raw_query="&".join(pieces))) is errors.AUTHORIZATION_QUERY_MALFORMED
    head = signed_cos(head_of())
    fields = head.one_header("authorization").split("&")
    value = "&".join(field for field in fields if not field.startswith(missing))
    headers = tuple((n, value if n == "authorization" else v) for n, v in head.headers)
    assert _refusal(replace(head, headers=headers)) is errors.AUTHORIZATION_HEADER_MALFORMED


def test_another_algorithm_is_refused() -> None:
    head = presigned("cos")
    query = head.raw_query.replace("algorithm=sha1", "algorithm=md5")
    assert _refusal(replace(head, raw_query=query)) is errors.AUTHORIZATION_QUERY_MALFORMED


def test_the_token_is_found_under_either_name() -> None:
    for name in ("x-cos-security-token", "x-ci-security-token"):
        assert cos.parse(with_headers(signed_cos(head_of()), ((name, "T"),))).token == "T"
        assert cos.parse(replace(presigned("cos"), raw_query=presigned("cos").raw_query + f"&{name}=T")).token == "T"


@pytest.mark.parametrize("name", ["x-cos-copy-source", "x-cos-acl", "x-cos-meta-a", "x-cos-security-tokens"])
def test_a_vendor_header_that_nobody_signed_is_refused(name: str) -> None:
    url = presigned("cos", "PUT")
    assert _refusal(with_headers(url, ((name, "x"),))) is errors.ACCESS_DENIED
    listed = _signed(head_of("PUT", headers=((name, "x"),)), ("host", name), ())
    assert identified(listed).claim is not None


def test_a_token_that_sdks_add_after_signing_is_accepted_and_compared() -> None:
    head = with_headers(_signed(head_of(), ("host",), ()), (("x-cos-security-token", "T"),))
    keyring = {KEY_ID: replace(KEYRING[KEY_ID], token=Secret("T"))}
    assert identified(head, keyring=keyring).claim is not None
    assert _refusal(head) is errors.INVALID_TOKEN
