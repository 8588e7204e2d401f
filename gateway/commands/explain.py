"""`gateway explain`: reads a URL, a curl line or a raw request, and says why its signature does not match."""

from __future__ import annotations

import argparse
import shlex
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.auth.explain import Surroundings, explain
from gateway.commands.config import read
from gateway.commands.console import say
from gateway.commands.demo_names import DEMO_ACCESS_KEY, DEMO_SECRET, demo_table
from gateway.credentials import EVERYTHING, Credential, Identity, Secret
from gateway.processes import StartError
from gateway.request import RequestHead
from gateway.settings import host_map, load, public_face

if TYPE_CHECKING:
    from pathlib import Path

_MAX_CHARACTERS = 256 * 1024


def explain_input(config: Path | None) -> int:
    """Explain the request on standard input; 0 when its signature matches, else 1. Raises StartError."""
    if sys.stdin.isatty():
        print("Paste a URL, a curl line or a raw request, then Ctrl-D:", file=sys.stderr)
    head = parse_request(sys.stdin.read(_MAX_CHARACTERS))
    rows = explain(head, _surroundings(config))
    for name, text in rows:
        say(f"{name:17} {text}")
    return 0 if ("Verdict", "The signature matches.") in rows else 1


def _surroundings(config: Path | None) -> Surroundings:
    now = datetime.now(UTC)
    if config:
        settings, keys = read(config)
        keyring = keys.current
    else:
        settings = load(None, {}, demo_table({"endpoint": "http://127.0.0.1:9"}))
        keyring = {
            DEMO_ACCESS_KEY: Credential(DEMO_ACCESS_KEY, Secret(DEMO_SECRET), Identity("demo", EVERYTHING)),
        }
    return Surroundings(keyring, host_map(settings), public_face(settings), now)


def parse_request(text: str) -> RequestHead:
    """Read a URL, a curl line (backslash line ends included) or a raw HTTP/1.1 request head. Raises StartError."""
    text = text.strip()
    if text.startswith(("http://", "https://")):
        return _from_url(text, "GET", ())
    if text.startswith("curl"):
        return _from_curl(text)
    lines = text.splitlines()
    words = lines[0].split() if lines else []
    if len(words) == 3 and words[2].startswith("HTTP/"):
        return _from_raw(words[0], words[1], lines[1:])
    raise StartError(
        "This is neither a URL, nor a curl line, nor a raw request that begins with METHOD TARGET HTTP/1.1."
    )


def _from_url(url: str, method: str, headers: tuple[tuple[str, str], ...]) -> RequestHead:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise StartError(f"The URL cannot be read: {error}.") from None
    host = dict(headers).get("host", parts.netloc)
    others = tuple(pair for pair in headers if pair[0] != "host")
    raw_query = url.partition("#")[0].partition("?")[2]
    return _checked(RequestHead(method, parts.path or "/", raw_query, host, (("host", host), *others)))


def _from_curl(line: str) -> RequestHead:
    parser = argparse.ArgumentParser(prog="curl", add_help=False, exit_on_error=False)
    parser.add_argument("-X", "--request")
    parser.add_argument("-H", "--header", action="append", default=[])
    parser.add_argument("-I", "--head", action="store_true")
    parser.add_argument("-d", "--data", "--data-binary", "--data-raw", action="append")
    parser.add_argument("-T", "--upload-file")
    for taken in ("-o", "--output", "-x", "--proxy", "--max-time", "-u", "--user", "-A", "--user-agent"):
        parser.add_argument(taken)
    parser.add_argument("--url")
    try:
        given, rest = parser.parse_known_args(shlex.split(line.replace("\\\n", " "))[1:])
    except (argparse.ArgumentError, ValueError) as error:
        raise StartError(f"The curl line cannot be read: {error}.") from None
    url = given.url or next((word for word in rest if not word.startswith("-")), "")
    if not url.startswith(("http://", "https://")):
        raise StartError("The curl line holds no http:// or https:// URL.")
    fallback = "HEAD" if given.head else "PUT" if given.upload_file else "POST" if given.data else "GET"
    return _from_url(url, given.request or fallback, _fields(given.header))


def _from_raw(method: str, target: str, lines: list[str]) -> RequestHead:
    fields = _fields(lines[: lines.index("")] if "" in lines else lines)
    if target.startswith(("http://", "https://")):
        return _from_url(target, method, ())
    raw_path, _, raw_query = target.partition("?")
    return _checked(RequestHead(method, raw_path, raw_query, dict(fields).get("host", ""), fields))


def _fields(lines: list[str]) -> tuple[tuple[str, str], ...]:
    pairs = (line.partition(":") for line in lines)
    return tuple((name.strip().lower(), value.strip()) for name, colon, value in pairs if colon)


def _checked(head: RequestHead) -> RequestHead:
    target = head.raw_path + head.raw_query
    if not target.isascii() or not target.isprintable() or " " in target:
        raise StartError("The target holds characters that must be percent-encoded.")
    return head
