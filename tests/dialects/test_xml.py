from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.xml import DECLARATION, ERROR_LIMITS, XmlError, XmlLimits, parse, parse_error, write

_ILLEGAL_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

S3_ERROR = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Code>NoSuchKey</Code>
<Message>It &lt;does&gt; not exist &amp; never did.</Message><Key>a</Key></Error>"""
BILLION_LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE Error [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>
<Error><Code>&b;</Code></Error>"""
EXTERNAL = b"""<!DOCTYPE Error [<!ENTITY x SYSTEM "file:///etc/hostname">]><Error><Code>&x;</Code></Error>"""


def nested(depth: int) -> bytes:
    return b"<Error>" + b"<a>" * (depth - 1) + b"</a>" * (depth - 1) + b"</Error>"


def test_an_error_document_gives_code_and_message_whatever_its_namespace() -> None:
    assert parse_error(S3_ERROR) == ("NoSuchKey", "It <does> not exist & never did.")
    assert parse_error(b'<s:Error xmlns:s="urn:x"><s:Code> A </s:Code></s:Error>') == ("A", "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>502</body></html>",
        b"plain text",
        b'{"Code": "x"}',
        b"<Error><Code>A</Code>",
        b"<Error><Code>A</Error>",
        b"<Error><Code>\xff\xfe</Code></Error>",
        b"<Error><Code>A</Code></Error><Error/>",
        BILLION_LAUGHS,
        EXTERNAL,
        nested(9),
        b"<Error><Code>A</Code>" + b"<x/>" * 63 + b"</Error>",
        b"<Error><Code>A</Code>" + b" " * 65_536 + b"</Error>",
    ],
)
def test_anything_but_a_small_well_formed_error_document_gives_nothing(body: bytes) -> None:
    assert parse_error(body) == ("", "")


@pytest.mark.parametrize("document", [BILLION_LAUGHS, EXTERNAL, b"<!DOCTYPE a><a/>", b"<!DOCTYPE html><html></html>"])
def test_a_doctype_is_refused_for_being_one(document: bytes) -> None:
    with pytest.raises(XmlError, match="DOCTYPE"):
        parse(document, XmlLimits())


@pytest.mark.parametrize(
    ("document", "limits", "reason"),
    [
        (nested(5), XmlLimits(max_depth=4), "deeply"),
        (b"<a><b/><b/></a>", XmlLimits(max_elements=2), "elements"),
        (b"<a></a>", XmlLimits(max_bytes=6), "bytes"),
    ],
)
def test_one_step_over_a_bound_is_refused(document: bytes, limits: XmlLimits, reason: str) -> None:
    with pytest.raises(XmlError, match=reason):
        parse(document, limits)


def test_a_document_exactly_at_every_bound_is_read() -> None:
    root = parse(b"<a><b>t</b></a>", XmlLimits(max_bytes=15, max_depth=2, max_elements=2))
    assert [(child.name, child.text) for child in root.children] == [("b", "t")]


def test_nesting_far_beyond_any_stack_is_refused_not_survived() -> None:
    with pytest.raises(XmlError, match="deeply"):
        parse(nested(100_000), XmlLimits())


def test_the_declared_encoding_cannot_switch_the_decoder() -> None:
    document = '<?xml version="1.0" encoding="iso-8859-1"?><a>é</a>'.encode()
    assert parse(document, XmlLimits()).text == "é"


def test_the_writer_escapes_and_adds_nothing() -> None:
    assert write(("Error", [("Code", "a<b>&c"), ("Empty", ""), ("Inner", [("X", "1\r\n2")])])) == (
        b"<Error><Code>a&lt;b&gt;&amp;c</Code><Empty></Empty><Inner><X>1&#13;\n2</X></Inner></Error>"
    )


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\ud800", "\ufffe", "\uffff"])
def test_a_character_that_xml_cannot_hold_is_replaced(character: str) -> None:
    assert write(("a", f"x{character}y")).decode() == "<a>x\ufffdy</a>"


@given(st.text(st.characters(codec=None)))
def test_what_is_written_is_read_back(text: str) -> None:
    expected = _ILLEGAL_IN_XML.sub("\ufffd", text)
    document = write(("Error", [("Code", text)]))
    assert parse(document, XmlLimits()).children[0].text == expected
    assert ET.fromstring(DECLARATION + document)[0].text == (expected or None)  # noqa: S314 # our own document


@given(st.binary(max_size=200) | st.from_regex(rb"(<(/?[ab]|!DOCTYPE a)>|&[a-z]+;|x){0,20}", fullmatch=True))
def test_no_bytes_make_the_error_reader_raise(body: bytes) -> None:
    code, message = parse_error(body)
    assert isinstance(code, str)
    assert isinstance(message, str)


def test_the_error_limits_are_those_of_a_small_document() -> None:
    assert parse_error(b"<Error><Code>A</Code>" + b"<x/>" * (ERROR_LIMITS.max_elements - 2) + b"</Error>")[0] == "A"
    assert parse_error(nested(8).replace(b"<Error>", b"<Error><Code>A</Code>", 1))[0] == "A"
