from __future__ import annotations

import pytest

from gateway.dialects.post_form import as_put, location, render_success
from gateway.errors import ApiError
from gateway.request import ObjectRef, RequestHead, Target

ON_HOST = Target(ObjectRef("b", ""), "", "host")
ON_PATH = Target(ObjectRef("b:1", ""), "", "path")
POST = RequestHead("POST", "/", "", "b.example.com", (("x-amz-acl", "public-read"), ("cookie", "c")), "192.0.2.1")
REF = ObjectRef("b", "in/ü &.jpg")
TAGGING = "<Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;2</Value></Tag><Tag><Key>c</Key></Tag></TagSet></Tagging>"


def headers(dialect: str, fields: dict[str, str], file_type: str = "") -> dict[str, str]:
    head, _ = as_put(dialect, {"key": "k", **fields}, file_type, POST, ON_HOST)
    assert head.headers[0] == ("host", "b.example.com")
    return dict(head.headers[1:])


def test_the_put_goes_where_the_form_says_and_has_nothing_of_the_forms_own_head() -> None:
    head, target = as_put("s3", {"key": "in/ü &.jpg"}, "image/png", POST, ON_HOST)
    assert head == RequestHead(
        "PUT", "/in/%C3%BC%20%26.jpg", "", "b.example.com", (("host", "b.example.com"),), "192.0.2.1"
    )
    assert target == Target(REF, "in/%C3%BC%20%26.jpg", "host")
    assert as_put("s3", {"key": "k"}, "", POST, ON_PATH)[0].raw_path == "/b%3A1/k"


def test_fields_become_the_headers_of_the_put() -> None:
    fields = {
        "cache-control": "no-cache",
        "content-disposition": "attachment",
        "content-encoding": "identity",
        "content-language": "de",
        "content-md5": "x",
        "content-type": "image/png",
        "expires": "Wed, 21 Oct 2037 07:28:00 GMT",
        "x-amz-meta-a": "ü",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-server-side-encryption": "AES256",
        "x-amz-checksum-crc32": "AAAAAA==",
        "x-amz-object-lock-mode": "GOVERNANCE",
        "x-amz-website-redirect-location": "/other",
    }
    no_headers = {"x-amz-meta-empty": " ", "submit": "x", "policy": "x", "x-amz-date": "x", "x-oss-object-acl": "x"}
    assert headers("s3", {**fields, **no_headers, "acl": "private", "tagging": TAGGING}) == {
        **fields,
        "x-amz-acl": "private",
        "x-amz-tagging": "a+b=1%262&c=",
    }


def test_oss_and_cos_have_their_own_names() -> None:
    assert headers("oss", {"x-oss-object-acl": "private", "x-oss-meta-a": "1", "x-oss-forbid-overwrite": "true"}) == {
        "x-oss-object-acl": "private",
        "x-oss-meta-a": "1",
        "x-oss-forbid-overwrite": "true",
    }
    assert headers("cos", {"acl": "private", "x-cos-traffic-limit": "1", "x-amz-acl": "public-read"}) == {
        "x-cos-acl": "private"
    }


@pytest.mark.parametrize(
    ("dialect", "fields", "file_type", "expected"),
    [
        ("s3", {"content-type": "a/b"}, "image/png", "a/b"),
        ("s3", {}, "image/png", None),
        ("cos", {"content-type": "a/b"}, "image/png", "a/b"),
        ("cos", {}, "image/png", None),
        ("oss", {"content-type": "a/b"}, "image/png", "image/png"),
        ("oss", {"content-type": "a/b", "x-oss-content-type": "c/d"}, "image/png", "c/d"),
        ("oss", {"content-type": "a/b"}, "", "a/b"),
        ("oss", {}, "", None),
    ],
)
def test_the_media_type_comes_from_where_the_vendor_takes_it(
    dialect: str, fields: dict[str, str], file_type: str, expected: str | None
) -> None:
    assert headers(dialect, fields, file_type).get("content-type") == expected


@pytest.mark.parametrize(
    ("dialect", "fields", "code"),
    [
        ("s3", {"key": ""}, "InvalidArgument"),
        ("s3", {"x-amz-meta-a": "1\r\nx-amz-acl: public-read"}, "InvalidArgument"),
        ("s3", {"x-amz-meta-a": "a\x7fb"}, "InvalidArgument"),
        ("s3", {"acl": "private", "x-amz-acl": "public-read"}, "InvalidArgument"),
        ("s3", {"x-amz-copy-source": "/secret/key"}, "NotImplemented"),
        ("s3", {"x-amz-": "1"}, "NotImplemented"),
        ("oss", {"callback": "e30="}, "NotImplemented"),
        ("oss", {"x-oss-checksum-crc32": "1"}, "NotImplemented"),
        ("cos", {"x-cos-grant-read": 'id="1"'}, "NotImplemented"),
        *(
            ("s3", {"tagging": text}, "InvalidArgument")
            for text in ("a=b", "<TagSet/>", "<Tagging/>", "<Tagging><TagSet/></Tagging>", f"<T>{TAGGING}</T>")
        ),
    ],
)
def test_what_no_put_can_say_is_refused(dialect: str, fields: dict[str, str], code: str) -> None:
    with pytest.raises(ApiError) as refused:
        headers(dialect, fields)
    assert refused.value.kind.code == code


def test_a_form_without_a_key_is_refused() -> None:
    with pytest.raises(ApiError) as refused:
        as_put("s3", {}, "", POST, ON_HOST)
    assert "a field named 'key'" in refused.value.message


STORED = (("ETag", '"e1"'), ("x-amz-version-id", "v1"), ("Content-Length", "0"), ("Location", "http://inside/"))
URL = "http://b.example.com/k"
RESULT = "bucket=b&key=in%2F%C3%BC%20%26.jpg&etag=%22e1%22"


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        ({}, 204, URL),
        ({"success_action_status": "200"}, 200, URL),
        ({"success_action_status": "201"}, 201, URL),
        ({"success_action_status": "404"}, 204, URL),
        ({"success_action_redirect": "https://c.org/done"}, 303, f"https://c.org/done?{RESULT}"),
        ({"success_action_redirect": "http://c.org/?a=b#top"}, 303, f"http://c.org/?a=b&{RESULT}#top"),
        ({"redirect": "http://c.org/", "success_action_status": "201"}, 303, f"http://c.org/?{RESULT}"),
        ({"success_action_redirect": "javascript:alert(1)"}, 204, URL),
        ({"success_action_redirect": "ftp://c.org/"}, 204, URL),
        ({"success_action_redirect": "https:/done"}, 204, URL),
        ({"success_action_redirect": "/done"}, 204, URL),
        ({"success_action_redirect": "http://c.org/\r\nSet-Cookie: a=b"}, 204, URL),
        ({"success_action_redirect": "http://c.org/a b"}, 204, URL),
        ({"success_action_redirect": "http://c.örg/"}, 204, URL),
        ({"success_action_redirect": "http://[c.org/"}, 204, URL),
    ],
)
def test_the_answer_is_what_the_form_asked_for(fields: dict[str, str], status: int, told: str) -> None:
    rendered = render_success(fields, REF, URL, STORED)
    said = dict(rendered.headers)
    assert rendered.status == status
    assert (said["Location"], said["ETag"], said["x-amz-version-id"]) == (told, '"e1"', "v1")
    assert "Content-Length" not in said
    assert bool(rendered.body) == (status == 201)


def test_the_document_names_the_object() -> None:
    rendered = render_success({"success_action_status": "201"}, REF, URL, STORED)
    assert rendered.body.decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<PostResponse><Location>{URL}</Location><Bucket>b</Bucket><Key>in/ü &amp;.jpg</Key>"
        '<ETag>"e1"</ETag></PostResponse>'
    )
    assert ("Content-Type", "application/xml") in rendered.headers


@pytest.mark.parametrize(("secure", "scheme"), [(True, "https"), (False, "http")])
def test_the_location_is_the_objects_own_url(scheme: str, *, secure: bool) -> None:
    head = RequestHead("PUT", "/a%20b", "", "b.example.com:8080", (), "", secure)
    assert location(head) == f"{scheme}://b.example.com:8080/a%20b"


@pytest.mark.parametrize("name", ["x-amz-meta-a: b", "x-amz-meta-a\x00", "x-amz-meta-a b", "x-amz-meta-ä"])
def test_a_field_whose_name_cannot_be_a_headers_is_refused(name: str) -> None:
    with pytest.raises(ApiError, match="InvalidArgument"):
        headers("s3", {name: "1"})
