from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from tests.commands.test_config import gateway, sample_configuration

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Demo


def fetched(demo: Demo, url: str) -> requests.Response:
    """GET a URL whose host only curl and browsers can resolve: through the gateway as an HTTP proxy."""
    return requests.get(url, proxies={"http": demo.endpoint}, timeout=30)


@pytest.mark.store
@pytest.mark.parametrize(
    ("dialect", "process", "start"),
    [
        ("s3", (), b"\xff\xd8"),
        ("s3", ("--process", "score"), b'{"ImageScore":'),
        ("oss", (), b"\xff\xd8"),
        ("oss", ("--process", "score"), b'{"ImageScore":'),
        ("cos", (), b"\xff\xd8"),
        ("cos", ("--process", "score"), b"<Response>"),
    ],
)
def test_a_presigned_url_works_with_nothing_else(
    demo: Demo, dialect: str, process: tuple[str, ...], start: bytes
) -> None:
    endpoint = demo.endpoint if dialect == "s3" else f"http://{dialect}.localhost:{demo.port}"
    done = gateway("presign", "--dialect", dialect, *process, "--endpoint", endpoint, "demo", "sharp.jpg")
    answer = fetched(demo, done.stdout.strip())
    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(start)


def test_the_default_endpoint_is_the_demos() -> None:
    assert gateway("presign", "b", "k 1").stdout.startswith("http://127.0.0.1:9000/b/k%201?")
    assert gateway("presign", "--dialect", "oss", "b", "k").stdout.startswith("http://b.oss.localhost:9000/k?")
    assert gateway("presign", "--dialect", "oss", "--endpoint", "http://127.0.0.1:1", "b", "k").stdout.startswith(
        "http://127.0.0.1:1/b/k?"
    )


def test_a_cos_url_cannot_name_a_bucket_at_an_ip_address() -> None:
    done = gateway("presign", "--dialect", "cos", "--endpoint", "http://127.0.0.1:1", "b", "k")
    assert (done.returncode, done.stdout) == (2, "")
    assert "must be a host name" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        *(
            (("--endpoint", url, "b", "k"), "--endpoint")
            for url in ("http://[::1", "nonsense", "ftp://host", "http://", "http://host:port", "http://h:70000", "")
        ),
        (("--expires", "-5", "b", "k"), "--expires"),
        (("--expires", "0", "b", "k"), "--expires"),
        (("", "k"), "BUCKET"),
        (("b", ""), "KEY"),
    ],
    ids=str,
)
def test_words_that_make_no_url_are_one_clear_sentence(arguments: tuple[str, ...], named: str) -> None:
    done = gateway("presign", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert named in done.stderr


def test_an_endpoint_may_be_an_ipv6_address_or_end_in_a_slash() -> None:
    assert gateway("presign", "--endpoint", "http://[::1]:9", "b", "k").stdout.startswith("http://[::1]:9/b/k?")
    assert gateway("presign", "--endpoint", "https://h/", "b", "k").stdout.startswith("https://h/b/k?")


def test_the_secret_comes_from_the_environment_or_from_the_key_file(tmp_path: Path) -> None:
    config = ("--config", str(sample_configuration(tmp_path)))
    by_file = gateway("presign", "--dialect", "oss", *config, "b", "k")
    assert "OSSAccessKeyId=WEBSITE1" in by_file.stdout
    assert gateway("presign", *config, "--access-key", "NOBODY", "b", "k").returncode == 1
    by_environment = gateway("presign", "--access-key", "MINE", "b", "k", GATEWAY_SECRET="s3cr3t")
    assert "MINE" in by_environment.stdout
    assert "s3cr3t" not in by_environment.stdout
    assert gateway("presign", "--access-key", "MINE", "b", "k").returncode == 2
