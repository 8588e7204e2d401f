"""A form is taken when its policy permits every part of it."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from gateway.auth import post_policy
from gateway.auth.post_policy import SizeRange
from gateway.errors import ApiError
from gateway.request import ObjectRef, Target
from tests.auth.forms import BOUND, CONDITIONS, SCHEMES, TARGET, VENDOR, encoded, form, judged, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

each_scheme = pytest.mark.parametrize("scheme", SCHEMES)


@each_scheme
def test_a_policy_is_good_until_its_end_to_the_second(scheme: str) -> None:
    right = form(scheme, expiration="2026-03-04T05:10:00Z")
    end = datetime(2026, 3, 4, 5, 10, tzinfo=UTC)
    assert judged(right, now=end).expires_at == end
    late = refusal(right, now=end + timedelta(seconds=1))
    assert late == (403, "AccessDenied", "Invalid according to Policy: Policy expired.")


@each_scheme
@pytest.mark.parametrize(
    ("condition", "right", "wrong"),
    [
        ({"key": "in/a"}, ["in/a"], ["in/", "in/a ", "IN/A", "", "in/ab"]),
        (["eq", "$key", "in/a"], ["in/a"], ["in/ab", "x"]),
        (["starts-with", "$key", "in/"], ["in/", "in/a"], ["in", "IN/a", " in/a", "out/in/"]),
        (["starts-with", "key", ""], ["", "x"], []),
    ],
)
def test_a_condition_holds_for_what_it_says_and_for_nothing_else(
    scheme: str, condition: object, right: list[str], wrong: list[str]
) -> None:
    made = form(scheme, [{"bucket": "photos"}, condition])
    for key in right:
        assert judged({**made, "key": key})
    for key in wrong:
        status, code, message = refusal({**made, "key": key})
        assert (status, code) == (403, "AccessDenied")
        assert message.startswith("Invalid according to Policy: Policy Condition failed: [")
        assert '"$key"' in message


@each_scheme
def test_a_condition_on_a_field_that_is_not_there_does_not_hold(scheme: str) -> None:
    message = refusal(form(scheme, [*CONDITIONS, ["starts-with", "$Content-Type", ""]]))[2]
    assert message == 'Invalid according to Policy: Policy Condition failed: ["starts-with", "$content-type"].'


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        ("image/png", True),
        ("image/png,image/gif", True),
        ("image/png, image/gif", True),
        ("image/png,text/html", False),
    ],
)
def test_a_content_type_is_a_list_of_which_each_member_must_start_so(value: str, *, holds: bool) -> None:
    fields = {"key": "in/a", "Content-Type": value}
    made = form("aws_v4", [*CONDITIONS, ["starts-with", "$Content-Type", "image/"]], fields=fields)
    assert holds == (not refuses(made))


def refuses(fields: Mapping[str, str]) -> bool:
    try:
        judged(fields)
    except ApiError:
        return True
    return False


@pytest.mark.parametrize("scheme", ["oss_v1", "oss_v4"])
def test_oss_has_lists_of_values_too(scheme: str) -> None:
    conditions = [["in", "$content-type", ["image/png", "image/jpg"]], ["not-in", "$cache-control", ["no-cache"]]]
    fields = {"key": "a", "content-type": "image/png", "cache-control": "private"}
    made = form(scheme, conditions, fields=fields)
    assert judged(made)
    assert refusal({**made, "content-type": "text/html"})[1] == "AccessDenied"
    assert refusal({**made, "cache-control": "no-cache"})[1] == "AccessDenied"


@pytest.mark.parametrize("scheme", ["aws_v4", "aws_v2", "cos"])
def test_nobody_else_has_them(scheme: str) -> None:
    assert refusal(form(scheme, [*CONDITIONS, ["in", "$key", ["in/a.jpg"]]]))[1] == "InvalidPolicyDocument"


@pytest.mark.parametrize("scheme", ["aws_v4", "aws_v2"])
def test_s3_wants_every_field_in_the_policy(scheme: str) -> None:
    made = form(scheme)
    names = ["acl", "x-amz-meta-a", "Content-Type", "success_action_status", "submit", "tagging", "x-amz-storage-class"]
    for name in names:
        message = refusal({**made, name: "x"})[2]
        assert message == f"Invalid according to Policy: Extra input fields: {name.lower()}."
    assert judged({**made, "x-ignore-me": "x"})


@pytest.mark.parametrize("scheme", ["oss_v4", "oss_v1", "cos"])
def test_oss_and_cos_leave_plain_fields_free_but_not_their_own(scheme: str) -> None:
    made, prefix = form(scheme), VENDOR[scheme]
    for name in ("Content-Type", "success_action_status", "submit", f"{prefix}forbid-overwrite"):
        assert judged({**made, name: "x"})
    for own in ("object-acl", "acl", "meta-a", "storage-class", "tagging", "server-side-encryption"):
        message = refusal({**made, f"{prefix}{own}": "x"})[2]
        assert message == f"Invalid according to Policy: Extra input fields: {prefix}{own}."
    assert refusal({**made, "acl": "public-read"})[1] == "AccessDenied"


@each_scheme
def test_a_form_for_another_bucket_is_refused(scheme: str) -> None:
    other = Target(ObjectRef("private", ""), "", "host")
    assert refusal(form(scheme), other)[1] == "AccessDenied"
    assert refusal({**form(scheme), "bucket": "private"})[1] == "AccessDenied"
    assert refusal({**form(scheme), "bucket": "photos"}, other)[1] == "AccessDenied"
    assert judged({**form(scheme), "bucket": "photos"})


@pytest.mark.parametrize(
    ("scheme", "target", "proven"),
    [
        ("aws_v4", TARGET, False),
        ("aws_v4", BOUND, False),
        ("aws_v2", TARGET, False),
        ("cos", TARGET, False),
        ("cos", BOUND, True),
        ("oss_v1", TARGET, True),  # the vendor's own samples name no bucket
        ("oss_v4", TARGET, True),
    ],
)
def test_the_policy_proves_the_bucket_where_the_vendor_lets_it(scheme: str, target: Target, *, proven: bool) -> None:
    made = form(scheme, [["starts-with", "$key", "in/"]])
    if proven:
        assert judged(made, target)
    else:
        assert refusal(made, target)[2] == "Invalid according to Policy: Extra input fields: bucket."


@each_scheme
@pytest.mark.parametrize(
    ("rows", "size"),
    [
        ([["content-length-range", 1, 10]], SizeRange(1, 10)),
        ([["content-length-range", "0", "1048576"]], SizeRange(0, 1048576)),
        ([["content-length-range", 1, 10], ["content-length-range", 5, 20]], SizeRange(5, 10)),
    ],
)
def test_the_range_of_sizes_is_read(scheme: str, rows: list[Any], size: SizeRange) -> None:
    assert judged(form(scheme, [*CONDITIONS, *rows])).size == size


DEEP = b64encode(b'{"expiration": "2999-01-01T00:00:00Z", "conditions": ' + b"[" * 14_000).decode()
UNREADABLE: list[Any] = [
    [],
    "all",
    [*CONDITIONS, 123],
    [*CONDITIONS, {}],
    [*CONDITIONS, {"acl": 1}],
    [*CONDITIONS, []],
    [*CONDITIONS, ["eq", "$key"]],
    [*CONDITIONS, ["eq", "$key", "a", "b"]],
    [*CONDITIONS, ["eq", "$key", 1]],
    [*CONDITIONS, ["eq", 1, "a"]],
    [*CONDITIONS, ["ends-with", "$key", "a"]],
    [*CONDITIONS, ["in", "$key", "a"]],
    [*CONDITIONS, ["content-length-range", 1]],
    [*CONDITIONS, ["content-length-range", 1, 2, 3]],
    [*CONDITIONS, ["content-length-range", -1, 2]],
    [*CONDITIONS, ["content-length-range", 1.5, 2]],
    [*CONDITIONS, ["content-length-range", "a", 2]],
    [*CONDITIONS, ["content-length-range", True, 2]],
    [*CONDITIONS, ["content-length-range", 0, 10**18]],
]


@pytest.mark.parametrize("conditions", UNREADABLE, ids=json.dumps)
@pytest.mark.parametrize("oss", [True, False])
def test_conditions_that_cannot_be_read_are_refused(conditions: object, *, oss: bool) -> None:
    document = {"expiration": "2999-01-01T00:00:00Z", "conditions": conditions}
    with pytest.raises(ApiError) as refused:
        post_policy.parse_policy(encoded(document), oss=oss)
    assert refused.value.kind.code == "InvalidPolicyDocument"
    assert refused.value.message.startswith("Invalid Policy: ")


@pytest.mark.parametrize(
    "text",
    [
        "not base64!",
        b64encode(b"not json").decode(),
        b64encode(b"\xff\xfe").decode(),
        DEEP,
        encoded([]),
        encoded({"conditions": CONDITIONS}),
        encoded({"expiration": "2999-01-01T00:00:00Z"}),
        encoded({"expiration": "2999-01-01T00:00:00Z", "conditions": CONDITIONS, "version": 1}),
        *(
            encoded({"expiration": text, "conditions": CONDITIONS})
            for text in ("", 1, "2999-01-01", "2999-02-30T00:00:00Z")
        ),
        *(
            encoded({"expiration": f"2999-01-01T00:00:00{end}", "conditions": CONDITIONS})
            for end in ("", "+02:00", ".Z")
        ),
    ],
)
def test_a_policy_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as refused:
        post_policy.parse_policy(text)
    assert refused.value.kind.code == "InvalidPolicyDocument"
