from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest

from gateway.auth import aws_v4, oss_v4
from gateway.auth.candidates import PublicFace, candidates, difference
from gateway.auth.identify import Verified, find_claim, identify
from gateway.credentials import EVERYTHING, Credential, Identity, Secret
from gateway.errors import ApiError
from gateway.request import HostMap, ObjectRef, RequestHead, locate

NOW = datetime(2026, 11, 21, 5, 1, 25, tzinfo=UTC)
SECRET = Secret("sk")
KEYRING = {"ak": Credential("ak", SECRET, Identity("me", EVERYTHING))}
HOSTS = HostMap((("s3.example.com", "s3"),), {})
FACE = PublicFace(("s3.example.com", "s3.example.com:8443", "photos.s3.example.com"), "/s3", ("identity", "gzip"))


def signed(host: str, path: str, **headers: str) -> RequestHead:
    """A request as its client signed it."""
    fields = (("host", host), *((name.replace("_", "-"), value) for name, value in headers.items()))
    added = aws_v4.sign(
        "GET",
        path,
        "",
        fields,
        access_key_id="ak",
        secret=SECRET,
        region="r",
        payload="UNSIGNED-PAYLOAD",
        now=NOW,
    )
    return RequestHead("GET", path, "", host, (*fields, *added))


def arrived(head: RequestHead, *, host: str = "inside:9000", path: str = "", **headers: str) -> RequestHead:
    """The same request after proxies have changed it."""
    changed = {"host": host, **headers}
    fields = tuple((name, changed.get(name.replace("-", "_"), value)) for name, value in head.headers)
    return replace(head, authority=host, headers=fields, raw_path=path or head.raw_path)


def identified(head: RequestHead, face: PublicFace) -> Verified:
    found = find_claim(head)
    assert found is not None
    target = locate(head, HOSTS)
    return identify(candidates(head, found[1], target, face, partial(locate, hosts=HOSTS)), found, target, KEYRING, NOW)


@pytest.mark.parametrize(
    ("head", "told"),
    [
        (signed("inside:9000", "/b/k"), ""),
        (arrived(signed("s3.example.com", "/b/k")), "host s3.example.com"),
        (arrived(signed("s3.example.com:8443", "/b/k%20x")), "host s3.example.com:8443"),
        (arrived(signed("s3.example.com", "/s3/b/k"), path="/b/k"), "host s3.example.com, the path prefix"),
        (
            arrived(signed("inside:9000", "/b/k", accept_encoding="identity"), accept_encoding="br"),
            "accept-encoding identity",
        ),
    ],
    ids=["as received", "host", "port", "prefix", "accept-encoding"],
)
def test_what_a_configured_proxy_changes_still_verifies(head: RequestHead, told: str) -> None:
    verified = identified(head, FACE)
    assert verified.signed_as is not None
    assert difference(head, verified.signed_as) == told


@pytest.mark.parametrize(
    "head",
    [
        arrived(signed("s3.example.com", "/b/k")),
        arrived(signed("s3.example.com", "/s3/b/k"), path="/b/k"),
        arrived(signed("inside:9000", "/b/k", accept_encoding="identity"), accept_encoding="br"),
    ],
)
def test_without_configuration_it_does_not(head: RequestHead) -> None:
    with pytest.raises(ApiError, match="SignatureDoesNotMatch"):
        identified(head, PublicFace())


def test_a_public_host_never_leads_to_another_object() -> None:
    head = arrived(signed("photos.s3.example.com", "/b/k"))
    assert locate(head, HOSTS).ref == ObjectRef("b", "k")
    with pytest.raises(ApiError, match="SignatureDoesNotMatch"):
        identified(head, FACE)


def test_what_nobody_configured_is_not_tried() -> None:
    with pytest.raises(ApiError, match="SignatureDoesNotMatch"):
        identified(arrived(signed("other.example.com", "/b/k")), FACE)
    with pytest.raises(ApiError, match="SignatureDoesNotMatch"):
        identified(arrived(signed("inside:9000", "/b/k", accept_encoding="zstd"), accept_encoding="br"), FACE)


def test_the_number_of_forms_is_bounded_by_the_configuration() -> None:
    head = signed("inside:9000", "/b/k", accept_encoding="br")
    found = find_claim(head)
    assert found is not None
    forms = list(candidates(head, found[1], locate(head, HOSTS), FACE, partial(locate, hosts=HOSTS)))
    assert len(forms) == 3 * 2 * 3
    assert forms[0] == head


def test_schemes_that_sign_no_host_need_no_candidate() -> None:
    bare = RequestHead("GET", "/b/k", "", "s3.example.com", (("host", "s3.example.com"),))
    added = oss_v4.sign(bare, locate(bare, HOSTS), access_key_id="ak", secret=SECRET, region="r", now=NOW)
    head = arrived(replace(bare, headers=(*bare.headers, *added)))
    assert identified(head, PublicFace()).identity.name == "me"
