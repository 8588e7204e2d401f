from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.auth import aws_v4, cos, oss_v1, oss_v4
from gateway.auth.candidates import PublicFace
from gateway.auth.explain import Surroundings, explain
from gateway.credentials import EVERYTHING, Credential, Identity, Secret
from gateway.request import HostMap, RequestHead, locate

NOW = datetime(2026, 11, 21, 5, 0, 0, tzinfo=UTC)
SECRETS = {"AK": Secret("first-secret"), "AK2": Secret("second-secret")}
AROUND = Surroundings(
    {name: Credential(name, secret, Identity(name, EVERYTHING)) for name, secret in SECRETS.items()},
    HostMap((("oss.localhost", "oss"), ("cos.localhost", "cos")), {}),
    PublicFace(("s3.example.com",), "/s3", ()),
    NOW,
)


def s3(
    path: str = "/b/a%20b", query: str = "x-id=GetObject", *, secret: str = "AK", method: str = "GET"
) -> RequestHead:
    raw_query = aws_v4.presign(
        method,
        path,
        query,
        "h:9000",
        access_key_id="AK",
        secret=SECRETS[secret],
        region="r",
        expires_s=600,
        now=NOW,
        token=Secret("session-token"),
    )
    return RequestHead("GET", path, raw_query, "h:9000", (("host", "h:9000"),))


def oss() -> RequestHead:
    query = oss_v1.presign("GET", "b", "k", "", access_key_id="AK", secret=SECRETS["AK"], expires_s=600, now=NOW)
    return RequestHead("GET", "/b/k", query, "h", (("host", "h"),))


def explained(head: RequestHead, around: Surroundings = AROUND) -> dict[str, list[str]]:
    rows: dict[str, list[str]] = {}
    for name, text in explain(head, around):
        rows.setdefault(name, []).append(text)
    return rows


def test_a_good_signature_is_said_to_match_and_how_it_was_read() -> None:
    rows = explained(s3())
    assert rows["Verdict"] == ["The signature matches."]
    assert rows["Scheme"] == ["aws_v4, in the query"]
    assert rows["Bucket"] == ["b (from the path)"]
    assert rows["Key"] == ["a b"]
    assert rows["Scope"] == ["20261121/r/s3"]
    assert rows["SignedHeader"] == ["host: h:9000"]
    assert rows["SignedParameters"] == ["x-id"]
    assert rows["ValidUntil"] == ["2026-11-21T05:10:00Z"]


@pytest.mark.parametrize(
    ("head", "would_match"),
    [
        (replace(s3(), method="HEAD"), "method GET"),
        (s3(secret="AK2"), "the secret of key AK2"),
        (replace(s3(), raw_path="/b/a+b"), "+ in the path as %20"),
        (replace(s3(), raw_path="/b/a%2520b"), "the path decoded once"),
        (replace(s3(path="/b/k/"), raw_path="/b/k"), "a slash at the end of the path"),
        (replace(s3(), raw_query=s3().raw_query + "&utm_source=mail"), "without the parameter utm_source"),
        (replace(s3(), authority="h", headers=(("host", "h"),)), "host h:9000"),
        (replace(oss(), method="PUT"), "method GET"),
    ],
)
def test_the_change_that_would_have_matched_is_named(head: RequestHead, would_match: str) -> None:
    rows = explained(head)
    assert "does not match" in rows["Verdict"][0]
    assert would_match in rows["WouldMatch"]


def test_a_configured_public_host_is_named() -> None:
    head = s3()
    query = aws_v4.presign(
        "GET",
        "/s3/b/k",
        "",
        "s3.example.com",
        access_key_id="AK",
        secret=SECRETS["AK"],
        region="r",
        expires_s=600,
        now=NOW,
    )
    rows = explained(replace(head, raw_path="/b/k", raw_query=query))
    assert rows["WouldMatch"] == ["host s3.example.com, the path prefix"]


def test_a_signature_that_only_came_too_late_is_told_apart() -> None:
    rows = explained(s3(), replace(AROUND, now=NOW + timedelta(hours=1)))
    assert rows["Verdict"] == ["The signature matches, but Request has expired. It is 2026-11-21T06:00:00Z here."]


def test_a_broken_signature_has_no_explanation_and_an_unknown_key_is_named() -> None:
    broken = replace(s3(), raw_query=s3().raw_query.replace("X-Amz-Signature=", "X-Amz-Signature=0"))
    assert explained(broken)["WouldMatch"] == ["no small change that is known here"]
    unknown = explained(s3(), replace(AROUND, keyring={"AK2": AROUND.keyring["AK2"]}))
    assert unknown["Verdict"] == ["No key of this id is known here."]


def test_unsigned_and_malformed_requests_are_said_to_be_that() -> None:
    bare = RequestHead("GET", "/b/k", "", "h", (("host", "h"),))
    assert explained(bare)["Verdict"] == ["The request carries no signature of a known scheme."]
    rows = explained(replace(bare, headers=(("authorization", "AWS4-HMAC-SHA256 nonsense"),)))
    assert rows["Verdict"][0].startswith("The claim is not readable")


def test_an_accept_encoding_that_was_rewritten_is_named() -> None:
    headers = (("host", "h"), ("accept-encoding", "identity"))
    added = aws_v4.sign(
        "GET",
        "/b/k",
        "",
        headers,
        access_key_id="AK",
        secret=SECRETS["AK"],
        region="r",
        payload="UNSIGNED-PAYLOAD",
        now=NOW,
    )
    head = RequestHead("GET", "/b/k", "", "h", (("host", "h"), ("accept-encoding", "br"), *added))
    assert "accept-encoding identity" in explained(head)["WouldMatch"]


def test_a_header_that_a_proxy_added_is_named() -> None:
    bare = RequestHead("PUT", "/b/k", "", "h", (("host", "h"),))
    added = oss_v1.sign(bare, locate(bare, AROUND.hosts), access_key_id="AK", secret=SECRETS["AK"], now=NOW)
    head = replace(bare, headers=(*bare.headers, *added, ("content-type", "image/jpeg")))
    assert explained(head)["WouldMatch"] == ["without the header content-type"]


@pytest.mark.parametrize("change", ["none", "method", "secret", "path"])
def test_no_secret_token_or_signature_is_ever_told(change: str) -> None:
    host = "b.cos.localhost"
    cos_head = RequestHead("GET", "/k", "", host, (("host", host), ("x-cos-security-token", "session-token")))
    signed = cos.sign(cos_head, access_key_id="AK", secret=SECRETS["AK"], expires_s=60, now=NOW)
    v4 = oss_v4.presign(
        "GET", "b", "k", "", access_key_id="AK", secret=SECRETS["AK"], region="r", expires_s=60, now=NOW
    )
    heads = [
        s3(secret="AK2" if change == "secret" else "AK"),
        oss(),
        replace(cos_head, headers=(*cos_head.headers, *signed)),
        RequestHead("GET", "/b/k", v4, "h", (("host", "h"),)),
    ]
    for head in heads:
        changed = replace(head, method="PUT" if change == "method" else "GET")
        changed = replace(changed, raw_path=changed.raw_path + "x") if change == "path" else changed
        told = " ".join(text for row in explain(changed, AROUND) for text in row)
        signatures = [
            item.value for item in head.parameters if "signature" in item.name.lower() and item.value[:4] != "OSS4"
        ]
        signatures += [value.rpartition("q-signature=")[2] for name, value in head.headers if name == "authorization"]
        assert signatures
        for hidden in [*signatures, "first-secret", "second-secret", "session-token"]:
            assert hidden not in told
