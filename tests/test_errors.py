from __future__ import annotations

import re

import pytest

from gateway import errors
from gateway.errors import (
    ACCESS_DENIED,
    INVALID_OBJECT_STATE,
    NO_SUCH_BUCKET,
    NO_SUCH_KEY,
    NO_SUCH_VERSION,
    NOT_IMPLEMENTED,
    PRECONDITION_FAILED,
    ApiError,
    ErrorKind,
    from_store,
)

KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, ErrorKind)}


def test_the_table_is_found() -> None:
    assert len(KINDS) > 40


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_kind_is_a_whole_answer_in_every_dialect(kind: ErrorKind) -> None:
    assert 400 <= kind.status < 600
    assert re.fullmatch(r"\S.*\.", kind.message)
    for dialect in ("s3", "oss", "cos"):
        assert re.fullmatch(r"[A-Z][A-Za-z0-9]+", kind.code_for(dialect))
    assert re.fullmatch(r"(\d{4}-\d{8})?", kind.ec)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_only_what_may_pass_by_waiting_says_when_to_come_back(kind: ErrorKind) -> None:
    assert (kind.retry_after_s > 0) == (kind.status in (502, 503, 504))


def test_a_vendors_own_code_comes_first_and_s3s_stands_in() -> None:
    kind = ErrorKind(400, "Plain", "It is wrong.", oss="ForOss")
    assert [kind.code_for(dialect) for dialect in ("s3", "oss", "cos")] == ["Plain", "ForOss", "Plain"]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", ACCESS_DENIED),
        (404, "NoSuchKey", NO_SUCH_KEY),
        (404, "NoSuchBucket", NO_SUCH_BUCKET),
        (404, "NoSuchVersion", NO_SUCH_VERSION),
        (403, "InvalidObjectState", INVALID_OBJECT_STATE),
        (412, "PreconditionFailed", PRECONDITION_FAILED),
        (403, "", ACCESS_DENIED),
        (404, "", NO_SUCH_KEY),
        (412, "", PRECONDITION_FAILED),
        (501, "", NOT_IMPLEMENTED),
    ],
)
def test_a_store_error_that_we_know_becomes_our_own_kind(status: int, code: str, kind: ErrorKind) -> None:
    error = from_store(status, code, "as the store put it")
    assert error.kind is kind
    assert error.message == "as the store put it"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (503, "SlowDown", "SlowDown"),
        (500, "InternalError", "InternalError"),
        (400, "EntityTooLarge", "EntityTooLarge"),
        (400, "NoSuchKey", "NoSuchKey"),
        (409, "BucketNotEmpty", "BucketNotEmpty"),
        (400, "", "BadRequest"),
        (416, "", "BadRequest"),
        (500, "", "InternalError"),
        (599, "", "InternalError"),
    ],
)
@pytest.mark.parametrize("dialect", ["s3", "oss", "cos"])
def test_any_other_store_error_keeps_its_status_and_code(status: int, code: str, expected: str, dialect: str) -> None:
    error = from_store(status, code, "")
    assert (error.kind.status, error.kind.code_for(dialect)) == (status, expected)


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (404, "NoSuchKey", "", NO_SUCH_KEY.message),
        (404, "", "", "The store answered 404."),
        (400, "", "in its own words", "in its own words"),
    ],
)
def test_a_store_error_always_has_a_sentence(status: int, code: str, message: str, expected: str) -> None:
    assert from_store(status, code, message).message == expected


def test_the_log_learns_what_the_store_said() -> None:
    assert from_store(404, "NoSuchKey", "").detail == "store answered 404 NoSuchKey"
    assert from_store(404, "", "").detail == "store answered 404"


def test_the_detail_is_for_the_log_and_not_for_the_client() -> None:
    error = ApiError(NO_SUCH_KEY, "the inner reason")
    assert (error.message, str(error)) == (NO_SUCH_KEY.message, "NoSuchKey: the inner reason")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ApiError(NO_SUCH_KEY), f"NoSuchKey: {NO_SUCH_KEY.message}"),
        (ApiError(NO_SUCH_KEY, message="Gone since May."), "NoSuchKey: Gone since May."),
    ],
)
def test_an_error_without_a_detail_still_tells_the_log_something(error: ApiError, text: str) -> None:
    assert str(error) == text
