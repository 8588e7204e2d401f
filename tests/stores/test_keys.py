from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.credentials import Secret
from gateway.errors import UPSTREAM_UNREACHABLE, ApiError
from gateway.stores.keys import ProviderChain, StaticKey, UpstreamKey, key_source
from gateway.stores.upstream_settings import UpstreamSettings

if TYPE_CHECKING:
    from pathlib import Path

FOREIGN = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "BOTO_CONFIG")
GIVEN = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
CONTAINER = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
# A program that gives another key each time it is asked, as `credential_process` may.
PROGRAM = """
import json, pathlib, sys
calls = pathlib.Path(sys.argv[1])
count = len(calls.read_bytes()) + 1 if calls.exists() else 1
calls.write_bytes(b"x" * count)
answer = {"Version": 1, "AccessKeyId": f"KEY{count}", "SecretAccessKey": "s", "SessionToken": f"T{count}"}
print(json.dumps(answer | {"Expiration": sys.argv[2]}))
"""


@pytest.fixture(autouse=True)
def aws_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An AWS configuration with nothing in it; nothing here may ask a network."""
    for name in (*FOREIGN, *GIVEN, *CONTAINER):
        monkeypatch.delenv(name, raising=False)
    config = tmp_path / "config"
    config.touch()
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(config))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    return config


def write(file: Path, text: str) -> None:
    file.write_text(text)


async def refused(chain: ProviderChain) -> ApiError:
    with pytest.raises(ApiError) as raised:
        await chain.current()
    return raised.value


async def test_a_key_in_the_settings_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "OTHER")
    source = key_source(UpstreamSettings("http://store", access_key="with:/odd", secret=Secret("s")))
    assert isinstance(source, StaticKey)
    assert await source.current() == UpstreamKey("with:/odd", Secret("s"), None)


async def test_without_one_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ENVKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "env-secret")
    source = key_source(UpstreamSettings("http://store"))
    assert await source.current() == UpstreamKey("ENVKEY", Secret("env-secret"), None)


async def test_a_session_token_comes_with_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(GIVEN, ("K", "s", "the-token"), strict=False):
        monkeypatch.setenv(name, value)
    key = await ProviderChain().current()
    assert key.token == Secret("the-token")
    assert "the-token" not in repr(key)


async def test_a_profile_is_found(aws_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(aws_config, "[profile shop]\naws_access_key_id = FILEKEY\naws_secret_access_key = file-secret\n")
    monkeypatch.setenv("AWS_PROFILE", "shop")
    assert await ProviderChain().current() == UpstreamKey("FILEKEY", Secret("file-secret"), None)


async def test_no_key_anywhere_is_a_503_and_the_next_request_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = ProviderChain()
    error = await refused(chain)
    assert (error.kind, error.kind.status) == (UPSTREAM_UNREACHABLE, 503)
    assert "provider chain" not in error.message, "how the gateway is set up is for its log"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "LATE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    assert (await chain.current()).access_key_id == "LATE"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_PROFILE", "no-such-profile"),
        ("AWS_ACCESS_KEY_ID", "without-its-secret"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token"),
    ],
)
async def test_a_chain_that_is_set_up_wrong_is_a_503_too(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/gateway")
    monkeypatch.setenv(name, value)
    assert (await refused(ProviderChain())).kind is UPSTREAM_UNREACHABLE


@pytest.mark.parametrize("command", ["/nonexistent/program", "false"])
async def test_a_credential_process_that_fails_is_a_503_and_is_asked_again(aws_config: Path, command: str) -> None:
    write(aws_config, f"[default]\ncredential_process = {command}\n")
    chain = ProviderChain()
    assert (await refused(chain)).kind is UPSTREAM_UNREACHABLE
    write(aws_config, "[default]\naws_access_key_id = FILEKEY\naws_secret_access_key = s\n")
    assert (await chain.current()).access_key_id == "FILEKEY"


@pytest.mark.parametrize(
    ("valid_for", "different_ones"),
    [(timedelta(hours=2), 1), (timedelta(minutes=5), 3)],
    ids=["long", "about to expire"],
)
async def test_refreshing_keys_are_used_again_until_they_are_about_to_expire(
    aws_config: Path, tmp_path: Path, valid_for: timedelta, different_ones: int
) -> None:
    program = tmp_path / "program.py"
    write(program, PROGRAM)
    ends = (datetime.now(UTC) + valid_for).strftime("%Y-%m-%dT%H:%M:%SZ")
    write(aws_config, f"[default]\ncredential_process = {sys.executable} {program} {tmp_path}/calls {ends}\n")
    chain = ProviderChain()
    found = [await chain.current() for _ in range(3)]
    assert len({key.access_key_id for key in found}) == different_ones
    assert [key.token for key in found] == [Secret(f"T{key.access_key_id[3:]}") for key in found]
