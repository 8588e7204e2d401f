from __future__ import annotations

import subprocess
import sys

import pytest

from gateway.commands.explain import parse_request
from gateway.processes import StartError
from tests.commands.test_config import ROOT, gateway


def explained(text: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "explain"],
        input=text,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def url(*arguments: str) -> str:
    return gateway("presign", *arguments, "demo", "a b.jpg").stdout.strip()


def test_a_url_that_matches_and_one_that_does_not() -> None:
    signed = url("--dialect", "oss", "--process", "score")
    status, text = explained(signed)
    assert (status, "The signature matches." in text) == (0, True)
    status, text = explained(f"curl -I '{signed}'")
    assert status == 1
    assert "WouldMatch        method GET" in text
    assert "gateway-demo-secret" not in text
    status, text = explained(url().replace("%20", "+"))
    assert "+ in the path as %20" in text


def test_a_raw_request_with_its_headers() -> None:
    signed = url()
    target = signed.removeprefix("http://127.0.0.1:9000")
    status, text = explained(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:9000\r\nAccept: */*\r\n\r\nbody")
    assert (status, "The signature matches." in text) == (0, True)
    status, text = explained(f"GET {target} HTTP/1.1\r\nHost: elsewhere\r\n\r\n")
    assert status == 1


@pytest.mark.parametrize(
    "text",
    [
        *("", "hello", "curl", "curl 'unbalanced", "GET /a", "GET /ä HTTP/1.1\nHost: h"),
        *("http://[::1", "curl 'http://[::1/b/k'", "GET http://[::1/b/k HTTP/1.1\nHost: h"),
    ],
)
def test_what_is_no_request_is_one_clear_sentence(text: str) -> None:
    with pytest.raises(StartError):
        parse_request(text)
    status, output = explained(text)
    assert status == 1
    assert output.count("\n") == 1


def test_curl_lines_are_read_as_curl_does() -> None:
    line = "curl -sS -X PUT -H 'Host: other' -H 'x-amz-date: d' \\\n  -T file 'http://h:1/b/k?x=%2F&y#frag' -o out"
    head = parse_request(line)
    assert (head.method, head.authority, head.raw_path, head.raw_query) == ("PUT", "other", "/b/k", "x=%2F&y")
    assert head.header("x-amz-date") == "d"
    assert parse_request("curl --data x http://h/b").method == "POST"
    assert parse_request("curl -T f http://h/b").method == "PUT"
    assert parse_request("curl --url http://h").raw_path == "/"
    assert parse_request("GET http://proxied/b/k HTTP/1.1\nHost: x").authority == "proxied"
