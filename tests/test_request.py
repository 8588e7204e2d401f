from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import request
from gateway.errors import ApiError
from gateway.request import (
    CopySource,
    HostMap,
    ObjectRef,
    RequestHead,
    copy_source,
    locate,
    parse_query,
    percent_decode,
    percent_encode,
    query_without,
    rename_copy_source,
    split_port,
)

HOSTS = HostMap((("cos.ap-x.example", "cos"), ("oss.localhost", "oss")), {"img.example": "photos"})


def head(
    path: str, host: str = "127.0.0.1:9000", query: str = "", headers: tuple[tuple[str, str], ...] = ()
) -> RequestHead:
    return RequestHead("GET", path, query, host, (("host", host), *headers))


@given(st.binary())
def test_encoding_then_decoding_keeps_any_bytes(raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    assert percent_decode(percent_encode(text)) == text
    assert percent_encode(text).isascii()


def test_a_plus_is_a_plus() -> None:
    assert percent_decode("a+b%2B%20c") == "a+b+ c"


def test_parameters_keep_their_text_and_are_decoded_once() -> None:
    pairs = parse_query("a=1&b&c=%2525=x&&d=")
    assert [(p.raw, p.name, p.value) for p in pairs] == [
        ("a=1", "a", "1"),
        ("b", "b", ""),
        ("c=%2525=x", "c", "%25=x"),
        ("d=", "d", ""),
    ]


@given(st.lists(st.sampled_from(["a=1", "b", "X-Sig=z", "c=%2f", "x%2DSIG=y"])))
def test_removing_parameters_leaves_the_others_as_they_were_sent(pieces: list[str]) -> None:
    kept = query_without(parse_query("&".join(pieces)), frozenset({"x-sig"}))
    assert kept == "&".join(piece for piece in pieces if "sig" not in piece.lower())


@pytest.mark.parametrize(
    ("host", "path", "bucket", "key", "addressed"),
    [
        ("127.0.0.1:9000", "/", "", "", "path"),
        ("127.0.0.1:9000", "/b", "b", "", "path"),
        ("127.0.0.1:9000", "/b/", "b", "", "path"),
        ("127.0.0.1:9000", "/b//x/../y", "b", "/x/../y", "path"),
        ("127.0.0.1:9000", "/b/a%2Fb%20c+d", "b", "a/b c+d", "path"),
        ("B.OSS.localhost:9000", "/k", "b", "k", "host"),
        ("a.b.oss.localhost", "/k", "a.b", "k", "host"),
        ("oss.localhost:9000", "/b/k", "b", "k", "path"),
        ("x-1250.cos.ap-x.example", "//k", "x-1250", "/k", "host"),
        ("notoss.localhost", "/b/k", "b", "k", "path"),
        ("img.example:80", "/k/l", "photos", "k/l", "bound"),
        ("[::1]:9000", "/b/k", "b", "k", "path"),
    ],
)
def test_host_and_path_give_exactly_one_object(host: str, path: str, bucket: str, key: str, addressed: str) -> None:
    target = locate(head(path, host), HOSTS)
    assert (target.ref, target.addressed) == (ObjectRef(bucket, key), addressed)


@pytest.mark.parametrize(
    ("authority", "parts"),
    [("h:1", ("h", "1")), ("h", ("h", "")), ("[::1]:2", ("[::1]", "2")), ("::1", ("::1", "")), ("h:", ("h", ""))],
)
def test_an_authority_splits_into_host_and_port(authority: str, parts: tuple[str, str]) -> None:
    assert split_port(authority) == parts


def test_no_long_host_is_remembered() -> None:
    request._host.cache_clear()
    assert [each.host for each in (head("/", host=f"{'H' * 300}:1"), head("/", host="H:1"))] == ["h" * 300, "h"]
    assert request._host.cache_info().currsize == 1


def test_repeated_headers_join_and_single_ones_may_not_repeat() -> None:
    twice = head("/", headers=(("x-a", " 1 "), ("x-a", "2"), ("x-b", "")))
    assert twice.header("x-a") == "1,2"
    assert (twice.header("x-b"), twice.header("x-c")) == ("", None)
    assert twice.one_header("x-c") == ""
    with pytest.raises(ApiError):
        twice.one_header("x-a")


def test_a_parameter_asked_for_singly_may_not_repeat() -> None:
    assert head("/", query="a=1&b=2").parameter("b") == "2"
    assert head("/", query="a=1").parameter("b") is None
    with pytest.raises(ApiError):
        head("/", query="a=1&%61=2").parameter("a")


@pytest.mark.parametrize(
    ("value", "version"), [("b/k%20x", None), ("/b/k%20x", None), ("b/k%20x?versionId=3", "3"), ("b/k%20x?x", None)]
)
def test_a_copy_source_names_one_object(value: str, version: str | None) -> None:
    assert copy_source((("x-amz-copy-source", value),)) == CopySource(ObjectRef("b", "k x"), version)


@pytest.mark.parametrize("values", [["b/k", "b/other"], ["/k"], ["b/"], ["b"], [""], ["a%2Fb/k"]])
def test_a_copy_source_that_is_not_one_object_is_refused(values: list[str]) -> None:
    with pytest.raises(ApiError, match="InvalidArgument"):
        copy_source(tuple(("x-amz-copy-source", value) for value in values))


def test_a_copy_source_is_renamed_only_where_the_store_has_another_name() -> None:
    names = {"b": "store b"}
    headers = (("x-amz-copy-source", "/b/k%20x?versionId=3"), ("x-other", "/b/k"))
    renamed = rename_copy_source(headers, lambda name: names.get(name, name))
    assert renamed == (("x-amz-copy-source", "store%20b/k%20x?versionId=3"), ("x-other", "/b/k"))
    assert rename_copy_source(headers, lambda name: name) == headers
    assert copy_source((("x-other", "/b/k"),)) is None


HEADERS = (("host", "host"), ("x-a", "1"))


def test_a_header_is_there_whatever_it_says() -> None:
    head = RequestHead("GET", "/", "", "host", (*HEADERS, ("x-empty", ""), ("x-a", "2")))
    assert [head.has_header(name) for name in ("x-a", "x-empty", "x-b")] == [True, True, False]


def test_a_head_with_another_query_keeps_its_headers_and_forgets_the_old_parameters() -> None:
    head = RequestHead("GET", "/b/k", "a=1&X-Sig=2", "host", HEADERS)
    assert (head.parameter("a"), head.parameter_names, head.header("x-a")) == ("1", ("a", "X-Sig"), "1")
    other = head.with_query_of(RequestHead("PUT", "/other", "b=3", "other", (), peer="192.0.2.1"))
    assert (other.parameter("a"), other.parameter("b"), other.header("x-a")) == (None, "3", "1")
    assert (other.parameter_names, other.parameters) == (("b",), parse_query("b=3"))
    assert head.parameter("a") == "1", "the first head stays as it was"
    assert other == RequestHead("GET", "/b/k", "b=3", "host", HEADERS)


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("a=%31&X-Sig=2&b=+", "a=%31&b=+"),
        ("x-sig=2", ""),
        ("%58-SIG=2&&%61", "%61"),
        ("X-Sig=1&a&X-Sig=2", "a"),
        ("a=1&b", "a=1&b"),
        ("a=1&&b&", "a=1&b"),
        ("", ""),
    ],
)
def test_a_head_without_some_parameters_is_as_if_they_had_never_been_sent(query: str, left: str) -> None:
    head = RequestHead("GET", "/b/k", query, "host", HEADERS)
    assert (head.has_parameter("a"), head.header("x-a")) == ("a" in left or "%61" in left, "1")
    stripped, sent = head.without_parameters(frozenset({"x-sig"})), RequestHead("GET", "/b/k", left, "host", HEADERS)
    assert stripped == sent
    assert (stripped.parameters, stripped.parameter_names) == (sent.parameters, sent.parameter_names)
    assert stripped.parameter_values("a") == sent.parameter_values("a")
    assert head.raw_query == query, "the first head stays as it was"
    assert (stripped is head) == (query == left)


def test_a_head_without_no_parameters_lacks_empty_pieces_alone() -> None:
    head = RequestHead("GET", "/b/k", "a&&X-Sig", "host", HEADERS)
    assert head.without_parameters(frozenset()) == RequestHead("GET", "/b/k", "a&X-Sig", "host", HEADERS)


def test_all_values_of_a_repeated_parameter_can_be_had() -> None:
    head = RequestHead("GET", "/b/k", "a=1&b&a=%32", "host", ())
    assert (head.parameter_values("a"), head.parameter_values("b"), head.parameter_values("c")) == (
        ("1", "2"),
        ("",),
        (),
    )


@pytest.mark.parametrize("length", [1, 40, 60, 5000])
def test_long_and_short_texts_are_decoded_alike(length: int) -> None:
    assert percent_decode("%C3%A9" * length) == "é" * length


def test_what_is_found_out_once_is_found_out_once_and_documented() -> None:
    head = RequestHead("GET", "/b/k", "a=1", "host", ())
    assert head.parameters is head.parameters
    assert RequestHead.parameters.__doc__ == "Return the query as parameters, in wire order."
