"""What stores answer, as Aliyun's and Tencent's own SDKs read it after the rewriting."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import oss2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oss2 import xml_utils
from oss2.models import (
    BatchDeleteObjectsResult,
    GetBucketInfoResult,
    ListBucketsResult,
    ListMultipartUploadsResult,
    ListObjectsResult,
    ListObjectsV2Result,
    ListObjectVersionsResult,
    ListPartsResult,
)
from qcloud_cos.cos_comm import parse_bucket_canned_acl, parse_object_canned_acl, xml_to_dict

from gateway.dialects.answer_documents import COS_ANSWERS, OSS_ANSWERS, Asked
from gateway.dialects.xml import XmlLimits, parse

XMLNS = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
OWNER = "<Owner><ID>o1</ID><DisplayName>tester</DisplayName></Owner>"
TIME = "2026-11-21T05:01:25.123Z"
UNIX_TIME = 1_795_237_285


def asked(query: tuple[tuple[str, str], ...] = (), key: str = "") -> Asked:
    return Asked("demo", key, "demo.gw.test:9000", f"/{key}", query)


def told(vendor: str, operation: str, answer: str, *query: tuple[str, str], key: str = "") -> tuple[bytes, str | None]:
    table = {"oss": OSS_ANSWERS, "cos": COS_ANSWERS}[vendor]
    rewritten = table[operation](asked(query, key), parse(answer.encode(), XmlLimits()))
    assert b"xmlns=" not in rewritten.document
    return rewritten.document, rewritten.etag


def read(parser: str, result: type, document: bytes) -> Any:
    answer = SimpleNamespace(status=200, headers={}, request_id="")
    return getattr(xml_utils, parser)(result(answer), document)


def entry(key: str, storage: str = "<StorageClass>STANDARD</StorageClass>") -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>{TIME}</LastModified><ETag>&quot;e1&quot;</ETag>"
        f"<Size>7</Size>{storage}{OWNER}<ChecksumAlgorithm>CRC32</ChecksumAlgorithm></Contents>"
    )


def listing(*inner: str, truncated: bool = False, encoded: bool = True) -> str:
    encoding = "<EncodingType>url</EncodingType>" if encoded else ""
    return (
        f"<?xml version='1.0'?><ListBucketResult {XMLNS}><Name>at-the-store</Name><MaxKeys>2</MaxKeys>{encoding}"
        f"<IsTruncated>{str(truncated).lower()}</IsTruncated>{''.join(inner)}</ListBucketResult>"
    )


ENCODED = ("encoding-type", "url")


@pytest.mark.parametrize("store_encodes", [True, False])
@pytest.mark.parametrize("client_asks", [True, False])
def test_keys_reach_oss2_as_they_are_whoever_encodes_them(
    store_encodes: bool,  # noqa: FBT001 # the name says it
    client_asks: bool,  # noqa: FBT001 # the name says it
) -> None:
    key = "a%20b%2Bc%25/%E5%9B%BE" if store_encodes else "a b+c%/\u56fe"
    answer = listing(entry(key), encoded=store_encodes)
    document, _ = told("oss", "ListObjects", answer, *([ENCODED] if client_asks else []))
    found = read("parse_list_objects", ListObjectsResult, document).object_list[0]
    assert (found.key, found.last_modified, found.etag) == ("a b+c%/\u56fe", UNIX_TIME, "e1")
    assert (found.type, found.size, found.storage_class) == ("Normal", 7, "Standard")
    assert (found.owner.id, found.owner.display_name) == ("o1", "tester")


def test_amazon_s_plus_is_a_blank_and_its_encoded_plus_a_plus() -> None:
    document, _ = told("oss", "ListObjects", listing(entry("a+b%2Bc")), ENCODED)
    assert b"<Key>a%20b%2Bc</Key>" in document


def test_the_next_page_starts_at_the_last_name_whatever_the_store_says_about_it() -> None:
    prefixes = "<CommonPrefixes><Prefix>b%2B/</Prefix></CommonPrefixes>"
    minio = "<NextMarker>b+/[minio_cache:v2,return:]</NextMarker>"
    query = (("prefix", "a b+"), ("marker", "m%"), ("delimiter", "/"), ENCODED)
    document, _ = told("oss", "ListObjects", listing(entry("a%20"), prefixes, minio, truncated=True), *query)
    found = read("parse_list_objects", ListObjectsResult, document)
    assert (found.next_marker, found.prefix_list) == ("b+/", ["b+/"])
    for echoed in (b"<Prefix>a%20b%2B</Prefix>", b"<Marker>m%25</Marker>", b"<Name>demo</Name>"):
        assert echoed in document


def test_a_page_without_a_name_leaves_the_store_s_own_word_for_the_next_one() -> None:
    answer = listing("<NextMarker>filtered</NextMarker>", truncated=True)
    document, _ = told("oss", "ListObjects", answer, ENCODED)
    assert read("parse_list_objects", ListObjectsResult, document).next_marker == "filtered"


def test_a_continuation_token_survives_the_client_s_decoding() -> None:
    answer = listing(
        entry("a"), "<KeyCount>1</KeyCount><NextContinuationToken>1+a%2B/=</NextContinuationToken>", truncated=True
    )
    document, _ = told("oss", "ListObjectsV2", answer, ("list-type", "2"), ENCODED)
    found = read("parse_list_objects_v2", ListObjectsV2Result, document)
    assert found.next_continuation_token == "1+a%2B/="
    plain, _ = told("oss", "ListObjectsV2", answer, ("list-type", "2"))
    assert b"<NextContinuationToken>1+a%2B/=</NextContinuationToken>" in plain


@pytest.mark.parametrize(
    ("s3", "oss", "cos"),
    [
        ("STANDARD", "Standard", "STANDARD"),
        ("", "Standard", "STANDARD"),
        ("STANDARD_IA", "IA", "STANDARD_IA"),
        ("GLACIER", "Archive", "ARCHIVE"),
        ("REDUCED_REDUNDANCY", "Standard", "STANDARD"),
        ("SOMETHING_NEW", "SOMETHING_NEW", "SOMETHING_NEW"),
    ],
)
def test_storage_classes_have_the_vendor_s_names(s3: str, oss: str, cos: str) -> None:
    for vendor, name in (("oss", oss), ("cos", cos)):
        document, _ = told(vendor, "ListObjects", listing(entry("a", f"<StorageClass>{s3}</StorageClass>")))
        assert f"<StorageClass>{name}</StorageClass>".encode() in document
    assert b"<StorageClass>Standard</StorageClass>" in told("oss", "ListObjects", listing(entry("a", "")))[0]


def test_cos_python_reads_a_listing() -> None:
    document, _ = told("cos", "ListObjects", listing(entry("a%20b"), entry("c"), truncated=True), ENCODED)
    found = xml_to_dict(document)
    assert [row["Key"] for row in found["Contents"]] == ["a%20b", "c"]
    assert (found["NextMarker"], found["IsTruncated"], found["Name"]) == ("c", "true", "demo")
    assert (found["EncodingType"], found["Contents"][0]["ETag"]) == ("url", '"e1"')
    assert "Type" not in found["Contents"][0]


def test_versions_and_delete_markers_are_read_by_oss2() -> None:
    row = f"<VersionId>v1</VersionId><IsLatest>false</IsLatest><LastModified>{TIME}</LastModified>{OWNER}"
    answer = (
        f"<ListVersionsResult {XMLNS}><MaxKeys>2</MaxKeys><IsTruncated>true</IsTruncated>"
        "<EncodingType>url</EncodingType><NextKeyMarker>b c</NextKeyMarker>"
        "<NextVersionIdMarker>v1</NextVersionIdMarker>"
        f"<Version><Key>a</Key><ETag>e</ETag><Size>1</Size>{row}</Version>"
        f"<DeleteMarker><Key>b%20c</Key>{row}</DeleteMarker></ListVersionsResult>"
    )
    document, _ = told("oss", "ListObjectVersions", answer, ("prefix", "p"), ("delimiter", "/"), ENCODED)
    found = read("parse_list_object_versions", ListObjectVersionsResult, document)
    assert (found.next_key_marker, found.next_versionid_marker) == ("b c", "v1")
    assert [(row.key, row.versionid, row.is_latest) for row in found.versions] == [("a", "v1", False)]
    assert [(row.key, row.owner.id) for row in found.delete_marker] == [("b c", "o1")]


def uploads(*keys: str, truncated: bool) -> str:
    rows = "".join(
        f"<Upload><Key>{key}</Key><UploadId>u-{key}</UploadId><Initiated>{TIME}</Initiated></Upload>" for key in keys
    )
    return (
        f"<ListMultipartUploadsResult {XMLNS}><EncodingType>url</EncodingType><NextKeyMarker/><NextUploadIdMarker/>"
        f"<IsTruncated>{str(truncated).lower()}</IsTruncated>{rows}</ListMultipartUploadsResult>"
    )


def test_uploads_are_listed_with_the_markers_that_oss2_insists_on() -> None:
    document, _ = told("oss", "ListMultipartUploads", uploads("a", "b%2B", truncated=True), ENCODED)
    found = read("parse_list_multipart_uploads", ListMultipartUploadsResult, document)
    assert [(row.key, row.upload_id) for row in found.upload_list] == [("a", "u-a"), ("b+", "u-b%2B")]
    assert (found.next_key_marker, found.next_upload_id_marker) == ("b+", "u-b%2B")
    document, _ = told("oss", "ListMultipartUploads", uploads("a", truncated=False))
    found = read("parse_list_multipart_uploads", ListMultipartUploadsResult, document)
    assert (found.next_key_marker, found.next_upload_id_marker, found.is_truncated) == ("", "", False)


def test_parts_are_listed_with_a_next_marker_also_on_the_last_page() -> None:
    about = f"<LastModified>{TIME}</LastModified><ETag>&quot;e&quot;</ETag><Size>9</Size>"
    part = f"<Part><PartNumber>3</PartNumber>{about}</Part>"
    for rows, marker in ((part, "3"), ("", "0")):
        answer = (
            f"<ListPartsResult {XMLNS}><UploadId>u</UploadId><IsTruncated>false</IsTruncated>{rows}</ListPartsResult>"
        )
        document, _ = told("oss", "ListParts", answer, ("uploadId", "u"), ENCODED, key="a b")
        found = read("parse_list_parts", ListPartsResult, document)
        expected = [(3, "e", 9)] if rows else []
        assert (found.next_marker, [(row.part_number, row.etag, row.size) for row in found.parts]) == (marker, expected)
        assert b"<Key>a%20b</Key>" in document


def test_an_upload_s_beginning_and_end_name_the_client_s_own_bucket_and_key() -> None:
    begun = (
        "<InitiateMultipartUploadResult><Bucket>at-the-store</Bucket><Key>k</Key>"
        "<UploadId>u</UploadId></InitiateMultipartUploadResult>"
    )
    document, etag = told("oss", "CreateMultipartUpload", begun, ENCODED, key="a b")
    for part in (b"<Bucket>demo</Bucket>", b"<Key>a%20b</Key>", b"<UploadId>u</UploadId>", b"<EncodingType>url"):
        assert part in document
    assert etag is None
    ended = f"<CompleteMultipartUploadResult {XMLNS}><Location>http://store/x</Location><ETag>&quot;e-2&quot;</ETag></CompleteMultipartUploadResult>"
    document, etag = told("cos", "CompleteMultipartUpload", ended, key="a")
    assert etag == '"e-2"'
    assert b"<Location>http://demo.gw.test:9000/a</Location><Bucket>demo</Bucket><Key>a</Key>" in document
    assert told("oss", "CompleteMultipartUpload", "<CompleteMultipartUploadResult/>")[1] == ""


@pytest.mark.parametrize("operation", ["CopyObject", "UploadPartCopy"])
def test_a_copy_tells_its_entity_tag_twice(operation: str) -> None:
    answer = f"<X {XMLNS}><LastModified>{TIME}</LastModified><ETag>&quot;e&quot;</ETag></X>"
    document, etag = told("oss", operation, answer)
    assert etag == '"e"'
    assert b'<ETag>"e"</ETag><LastModified>2026-11-21T05:01:25.000Z</LastModified>' in document


def test_what_a_batch_delete_did_is_told_with_encoded_keys_where_they_were_asked_for() -> None:
    answer = (
        f"<DeleteResult {XMLNS}><Deleted><Key>a b</Key></Deleted>"
        "<Error><Key>c</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>"
    )
    document, _ = told("oss", "DeleteObjects", answer, ENCODED)
    assert read("parse_batch_delete_objects", BatchDeleteObjectsResult, document).deleted_keys == ["a b"]
    assert b"<Key>a%20b</Key>" in document
    plain = xml_to_dict(told("cos", "DeleteObjects", answer)[0])
    assert (plain["Deleted"]["Key"], plain["Error"]["Code"]) == ("a b", "AccessDenied")


BUCKETS = (
    f"<ListAllMyBucketsResult {XMLNS}>{OWNER}<Buckets>"
    + "".join(f"<Bucket><Name>{name}</Name><CreationDate>{TIME}</CreationDate></Bucket>" for name in ("b2", "a1", "b1"))
    + "</Buckets></ListAllMyBucketsResult>"
)


def test_buckets_are_listed_in_pages_of_the_gateway_s_own() -> None:
    document, _ = told("oss", "ListBuckets", BUCKETS, ("prefix", "b"), ("max-keys", "1"))
    found = read("parse_list_buckets", ListBucketsResult, document)
    assert [(row.name, row.location, row.storage_class) for row in found.buckets] == [
        ("b1", "oss-us-east-1", "Standard")
    ]
    assert (found.is_truncated, found.next_marker, found.owner.id) == (True, "b1", "o1")
    assert found.buckets[0].extranet_endpoint == "gw.test:9000"
    document, _ = told("oss", "ListBuckets", BUCKETS, ("prefix", "b"), ("marker", "b1"), ("max-keys", "1"))
    found = read("parse_list_buckets", ListBucketsResult, document)
    assert ([row.name for row in found.buckets], found.is_truncated) == (["b2"], False)
    assert (
        read("parse_list_buckets", ListBucketsResult, told("oss", "ListBuckets", BUCKETS, ("max-keys", "0"))[0]).buckets
        == []
    )
    names = [row["Name"] for row in xml_to_dict(told("cos", "ListBuckets", BUCKETS)[0])["Buckets"]["Bucket"]]
    assert names == ["a1", "b1", "b2"]


def acl(*grants: tuple[str, str]) -> str:
    rows = "".join(
        f'<Grant><Grantee {XSI} xsi:type="Group"><URI>{uri}</URI></Grantee>'
        f"<Permission>{permission}</Permission></Grant>"
        for uri, permission in grants
    )
    grantee = f'<Grantee {XSI} xsi:type="CanonicalUser"><ID>o1</ID></Grantee>'
    own = f"<Grant>{grantee}<Permission>FULL_CONTROL</Permission></Grant>"
    return (
        f"<AccessControlPolicy {XMLNS}>{OWNER}<AccessControlList>{own}{rows}</AccessControlList></AccessControlPolicy>"
    )


ALL = "http://acs.amazonaws.com/groups/global/AllUsers"
KNOWN = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"


@pytest.mark.parametrize(
    ("grants", "name"),
    [
        ((), "private"),
        (((ALL, "READ"),), "public-read"),
        (((ALL, "READ"), (ALL, "WRITE")), "public-read-write"),
        (((KNOWN, "READ"),), "private"),
        (((ALL, "READ_ACP"),), "private"),
    ],
)
def test_an_acl_has_the_name_of_what_everybody_may_do(grants: tuple[tuple[str, str], ...], name: str) -> None:
    document, _ = told("oss", "GetObjectAcl", acl(*grants))
    found = xml_utils.parse_get_object_acl(SimpleNamespace(), document)
    assert found.acl == name
    info = read("parse_get_bucket_info", GetBucketInfoResult, told("oss", "GetBucketInfo", acl(*grants))[0])
    assert (info.name, info.acl.grant, info.owner.id, info.location) == ("demo", name, "o1", "oss-us-east-1")
    grants_told = xml_to_dict(
        COS_ANSWERS["GetBucketAcl"](asked(), parse(acl(*grants).encode(), XmlLimits())).document, "type", "Type"
    )
    if grants:
        assert parse_bucket_canned_acl(grants_told) == name
        assert parse_object_canned_acl(grants_told, {}) == name.removesuffix("-write")


@pytest.mark.parametrize(("text", "region"), [("", "us-east-1"), ("eu-west-1", "eu-west-1")])
def test_a_location_is_told_as_the_vendor_writes_regions(text: str, region: str) -> None:
    answer = f"<LocationConstraint {XMLNS}>{text}</LocationConstraint>"
    found = xml_utils.parse_get_bucket_location(SimpleNamespace(), told("oss", "GetBucketLocation", answer)[0])
    assert found.location == f"oss-{region}"
    assert xml_to_dict(told("cos", "GetBucketLocation", answer)[0]) == {"LocationConstraint": region}


def test_a_bucket_that_was_never_versioned_has_no_status() -> None:
    empty, _ = told("oss", "GetBucketVersioning", f"<VersioningConfiguration {XMLNS}/>")
    assert xml_utils.parse_get_bucket_versioning(SimpleNamespace(), empty).status is None
    answer = f"<VersioningConfiguration {XMLNS}><Status>Enabled</Status></VersioningConfiguration>"
    assert (
        xml_utils.parse_get_bucket_versioning(SimpleNamespace(), told("oss", "GetBucketVersioning", answer)[0]).status
        == "Enabled"
    )


def test_markup_in_a_key_stays_text() -> None:
    document, _ = told("oss", "ListObjects", listing(entry("a&lt;/Key&gt;&amp;"), encoded=False))
    assert b"<Key>a&lt;/Key&gt;&amp;</Key>" in document
    assert oss2.xml_utils.ElementTree.fromstring(document).findtext("Contents/Key") == "a</Key>&"


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), min_size=1, max_size=5, unique=True
    )
)
def test_any_key_at_all_comes_through_a_listing_that_is_encoded(keys: list[str]) -> None:
    keys.sort(key=str.encode)
    answer = listing(*(entry(quote(key)) for key in keys), truncated=True)
    document, _ = told("oss", "ListObjects", answer, ENCODED)
    found = read("parse_list_objects", ListObjectsResult, document)
    assert [row.key for row in found.object_list] == keys
    assert found.next_marker == keys[-1]
