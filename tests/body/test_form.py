"""Forms are read alike wherever they are cut, and nothing but a whole form ends well."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.body.form import MAX_BYTES_BEFORE_FILE, MAX_FIELDS, FilePart, FormReader, FormRules, parse_boundary
from gateway.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable

BOUNDARY = "9431149156168"
CONTENT = b"\r\n--94311\r\n\r\n-- \x00\xff\r\n--9431149156167\r\n"  # nearly a delimiter, several times


def part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def file_part(content: bytes = CONTENT) -> bytes:
    return part("file", content, '; filename="C:\\pictures\\a b.jpg"\r\nContent-Type: image/jpeg')


END = f"--{BOUNDARY}--".encode()
FIELDS = part("key", "ü/${filename}".encode()) + part("X-Amz-Meta-Empty", b"") + part("lines", b"a\r\nb\r\n")
FORM = FIELDS + file_part() + part("submit", b"ignored") + part("file", b"a second one") + END


def read(pieces: Iterable[bytes]) -> tuple[dict[str, str], FilePart | None, bytes]:
    reader = FormReader(BOUNDARY.encode())
    content = b"".join([reader.feed(piece) for piece in pieces])
    reader.finish()
    return reader.fields, reader.file, content


def verdict(pieces: Iterable[bytes]) -> tuple[dict[str, str], FilePart | None, bytes] | str:
    try:
        return read(pieces)
    except ApiError as error:
        return error.kind.code


def cut(data: bytes, positions: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(position % (len(data) + 1) for position in positions), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


EXPECTED = (
    {"key": "ü/${filename}", "x-amz-meta-empty": "", "lines": "a\r\nb\r\n"},
    FilePart("a b.jpg", "image/jpeg"),
    CONTENT,
)


@pytest.mark.parametrize(
    "form",
    [
        FORM,
        FORM + b"\r\n",
        FORM + b"\r\nan epilogue that means nothing",
        b"\r\n" + FORM,  # as the samples of OSS send it
        b"a preamble that means nothing\r\n" + FORM,
        FIELDS + file_part() + END,
        FORM.replace(BOUNDARY.encode() + b"\r\n", BOUNDARY.encode() + b" \t\r\n"),
    ],
)
def test_a_form_reads_the_same_whole_and_byte_by_byte(form: bytes) -> None:
    assert read([form]) == EXPECTED
    assert read(cut(form, range(len(form)))) == EXPECTED


@given(st.lists(st.integers(0, 10_000), max_size=12))
def test_a_form_reads_the_same_at_random_cuts(positions: list[int]) -> None:
    assert read(cut(FORM, positions)) == EXPECTED


@given(st.lists(st.sampled_from([b"\r", b"\n", b"-", b"--", b"\r\n--", BOUNDARY.encode(), b"x"]), max_size=30))
def test_whatever_does_not_hold_the_delimiter_is_content(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    if f"\r\n--{BOUNDARY}".encode() in b"\r\n" + content:
        content = content.replace(BOUNDARY.encode(), b"")
    form = FIELDS + file_part(b"<" + content) + END
    assert read(cut(form, range(len(form))))[2] == b"<" + content


def test_the_fields_are_complete_when_the_file_begins() -> None:
    reader = FormReader(BOUNDARY.encode())
    start = FORM.index(CONTENT)
    for position in range(start):
        assert reader.file is None, position
        assert reader.feed(FORM[position : position + 1]) == b""
    assert (reader.fields, reader.file) == EXPECTED[:2]


MALFORMED = "MalformedPOSTRequest"
TOO_LONG = "MaxPostPreDataLengthExceededError"
ARGUMENT = "InvalidArgument"


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (b"", MALFORMED),
        (b"key=k&file=x", MALFORMED),
        (FORM.replace(b"9431149156168", b"other"), MALFORMED),
        (FORM.removesuffix(b"--"), MALFORMED),
        (FORM.removesuffix(b"-"), MALFORMED),
        (FIELDS + file_part(), MALFORMED),
        (FIELDS[:-40], MALFORMED),
        (FORM.replace(b"68\r\n", b"68x\r\n"), MALFORMED),
        (FORM.replace(b"68\r\n", b"68-x\r\n"), MALFORMED),
        (FORM.replace(b"68\r\n", b"68" + b" " * 254 + b"\r\n"), EXPECTED),
        (FORM.replace(b"68\r\n", b"68" + b" " * 255 + b"\r\n"), MALFORMED),
        (FORM.replace(b"form-data", b"attachment"), MALFORMED),
        (FORM.replace(b'name="key"', b"id=key"), MALFORMED),
        (FORM.replace(b'name="key"', b'name=""'), MALFORMED),
        (FORM.replace(b'name="key"', b'name="key'), MALFORMED),
        (FORM.replace(b'name="key"', b'name="key"; name="other"'), MALFORMED),
        (FORM.replace(b"Content-Disposition: ", b"Content-Disposition "), MALFORMED),
        (FORM.replace(b"Content-Type: ", b"Content-Disposition: "), MALFORMED),
        (FORM.replace(b'Content-Disposition: form-data; name="key"\r\n', b""), MALFORMED),
        (FORM.replace("ü".encode(), b"\xfc"), MALFORMED),
        (FIELDS + part("KEY", b"again") + file_part() + END, ARGUMENT),
        (FIELDS + END, ARGUMENT),
        (END, ARGUMENT),
        (FORM.replace(b"a\r\nb", b"a" * MAX_BYTES_BEFORE_FILE), TOO_LONG),
        (b" " * MAX_BYTES_BEFORE_FILE + FORM, TOO_LONG),
        (FORM.replace(b"Content-Type: ", b"Content-Type: " + b"x" * MAX_BYTES_BEFORE_FILE), TOO_LONG),
        (f"--{BOUNDARY}\r\nX: ".encode() + b"x" * MAX_BYTES_BEFORE_FILE, TOO_LONG),
    ],
)
def test_a_form_that_is_wrong_is_refused_wherever_it_is_cut(form: bytes, code: object) -> None:
    assert verdict([form]) == code
    assert verdict(cut(form, range(len(form)))) == code
    assert verdict(cut(form, range(0, len(form), 7))) == code


def test_as_many_fields_as_s3_takes_are_taken_and_no_more() -> None:
    names = [f"f{number}" for number in range(MAX_FIELDS)]
    fields = b"".join(part(name, b"") for name in names)
    assert list(read([fields + file_part() + END])[0]) == names
    assert verdict([fields + part("one-more", b"") + file_part() + END]) == TOO_LONG


def test_the_bytes_of_the_file_do_not_count_as_fields() -> None:
    content = b"x" * (3 * MAX_BYTES_BEFORE_FILE)
    assert read([FIELDS + file_part(content) + END])[2] == content


@pytest.mark.parametrize(
    ("parameters", "filename"),
    [
        ('; filename="a.jpg"', "a.jpg"),
        ("; filename=a.jpg", "a.jpg"),
        ('; filename="/home/me/a.jpg"', "a.jpg"),
        ('; filename="C:\\me\\"', ""),
        ('; filename="say \\"hi\\".jpg"', 'say "hi".jpg'),
        ("; filename*=utf-8''a.jpg; filename=\"b.jpg\"", "b.jpg"),
        ('; FILENAME="a; b=c.jpg"', "a; b=c.jpg"),
        ("", ""),
    ],
)
def test_the_last_segment_of_the_files_name_counts(parameters: str, filename: str) -> None:
    _, file, _ = read([part("file", b"", parameters) + END])
    assert file == FilePart(filename, "")


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; Boundary="a b;c"', b"a b;c"),
        ("multipart/form-data; boundary=" + "x" * 70, b"x" * 70),
    ],
)
def test_the_boundary_is_found(content_type: str, boundary: bytes) -> None:
    assert parse_boundary(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 71,
        "multipart/form-data; boundary=é",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/mixed; boundary=abc",
        'multipart/form-data; boundary="abc',
        "",
    ],
)
def test_a_content_type_without_a_usable_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_boundary(content_type)
    assert refused.value.kind.code == MALFORMED


ANYWHERE = FormRules(max_bytes=1000, anywhere=True)
MIXED = part("tags[]", b"a") + file_part() + part("tags[]", b"b,c") + part("late", b"x") + END


def read_anywhere(pieces: Iterable[bytes]) -> tuple[dict[str, str], FilePart | None, bytes]:
    reader = FormReader(BOUNDARY.encode(), ANYWHERE)
    content = b"".join([reader.feed(piece) for piece in pieces])
    reader.finish()
    return reader.fields, reader.file, content


@given(st.lists(st.integers(0, 10_000), max_size=12))
def test_a_file_anywhere_and_lists_read_the_same_at_random_cuts(positions: list[int]) -> None:
    expected = ({"tags[]": "a,b,c", "late": "x"}, FilePart("a b.jpg", "image/jpeg"), CONTENT)
    assert read_anywhere(cut(MIXED, positions)) == expected
    assert read_anywhere(cut(MIXED, range(len(MIXED)))) == expected


def test_a_form_may_do_without_a_file_where_that_is_allowed() -> None:
    assert read_anywhere([part("a", b"b") + END]) == ({"a": "b"}, None, b"")


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (file_part() + file_part() + END, "InvalidArgument"),
        (part("a", b"1") + file_part() + part("a", b"2") + END, "InvalidArgument"),
        (file_part() + part("a", b"x" * 1000) + END, "MaxPostPreDataLengthExceededError"),
        (file_part() + part("a", b"1"), "MalformedPOSTRequest"),
        (b"".join(part(f"f{number}", b"") for number in range(MAX_FIELDS + 1)), "MaxPostPreDataLengthExceededError"),
    ],
)
def test_what_no_form_of_that_kind_can_be_is_refused(form: bytes, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        read_anywhere([form])
    assert caught.value.kind.code == code


@pytest.mark.parametrize("end", [8_500, None])
def test_a_long_header_is_refused_rather_than_looked_through_with_each_piece(end: int | None) -> None:
    reader = FormReader(BOUNDARY.encode(), FormRules(max_bytes=2**30, anywhere=True))
    long = part("a", b"", "; x=" + "y" * 10_000)
    assert reader.feed(long[:8_000]) == b""
    with pytest.raises(ApiError, match=TOO_LONG):
        reader.feed(long[8_000:end])
