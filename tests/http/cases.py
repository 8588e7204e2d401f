"""Requests that no SDK sends, or not often: one row each, the same for every store and for the gateway before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.http.raw import BUCKET, OBJECT, Ask

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = b"".join(b"%04d\n" % number for number in range(200))  # 1,000 bytes
# In a case `{tag}` stands for the object's ETag, `{bare}` for it without quotes, `{date}` for its Last-Modified.
PAST, FUTURE = b"Sat, 01 Jan 2000 00:00:00 GMT", b"Fri, 01 Jan 2038 00:00:00 GMT"
GET = Ask()
NEW = f"/{BUCKET}/new-{{via}}"
CHUNKED = b"5\r\nhello\r\n6\r\n world\r\n0\r\n"


@dataclass(frozen=True)
class Case:
    """A conversation under a name; `stores` tells that what it leaves in the place of `NEW` is compared too."""

    name: str
    asks: tuple[Ask, ...]
    stores: bool = False
    half_close: bool = False


def _swap(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def bent(head: bytes) -> bytes:
        assert old in head, old
        return head.replace(old, new, 1)

    return bent


def _again(name: bytes) -> Callable[[bytes], bytes]:
    """Send a header twice, both times with the same value."""

    def bent(head: bytes) -> bytes:
        line = next(line for line in head.split(b"\r\n") if line.startswith(name + b":"))
        return head.replace(line, line + b"\r\n" + line, 1)

    return bent


def _names(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def bent(head: bytes) -> bytes:
        first, *lines = head.split(b"\r\n")
        changed = (b":".join((change(line.partition(b":")[0]), line.partition(b":")[2])) for line in lines if line)
        return b"\r\n".join((first, *changed, b"", b""))

    return bent


def _unclosed(*asks: Ask) -> tuple[Ask, ...]:
    return (*(replace(ask, close=False) for ask in asks[:-1]), asks[-1])


def _put(body: bytes = b"hello", lines: bytes | None = None, **more: object) -> Ask:
    length = b"Content-Length: %d\r\n" % len(body) if lines is None else lines
    return replace(Ask("PUT", NEW, lines=length, body=body), **more)  # type: ignore[arg-type] # by name, below


def _targets() -> list[Case]:
    long = "x-id=" + "y" * 16_000
    return [
        Case("plain GET", (GET,)),
        Case("presigned GET", (Ask(signed="query"),)),
        Case("absolute form", (Ask(target="http://{host}{path}{query}"),)),
        Case("absolute form, presigned", (Ask(target="http://{host}{path}{query}", signed="query"),)),
        Case("absolute form of another host", (Ask(target="http://elsewhere.invalid{path}{query}"),)),
        Case("absolute form, https", (Ask(target="https://{host}{path}{query}"),)),
        Case("authority form", (Ask(target="{host}"),)),
        Case("relative target", (Ask(target="raw/hello.txt"),)),
        Case("OPTIONS *", (Ask("OPTIONS", target="*", signed="no"),)),
        Case("target of 16 KB", (Ask(query=long),)),
        Case("target of 16 KB, unsigned", (Ask(query=long, signed="no"),)),
        Case("key of 1,024 bytes that is not there", (Ask(path=f"/{BUCKET}/" + "k" * 1024),)),
        Case("fragment in the target", (Ask(target="{path}#x{query}"),)),
        Case("blank in the target", (Ask(target="{path} x{query}"),)),
        Case("NUL in the target", (Ask(target="{path}\x00{query}"),)),
        Case("bytes over 127 in the target", (Ask(target="{path}\xe4{query}"),)),
        Case("broken percent sign", (Ask(path=f"/{BUCKET}/a%2"),)),
        Case("empty line before the request", (Ask(bent=lambda head: b"\r\n" + head),)),
        Case("plus in a key", (Ask(path=f"/{BUCKET}/a+b"),)),
        Case("semicolon in the query", (Ask(query="a=1%3Bb=2"),)),
        Case("empty query", (Ask(target="{path}?"),)),
    ]


def _versions() -> list[Case]:
    stay, old = b"Connection: keep-alive\r\n", "HTTP/1.0"
    return [
        Case("HTTP/1.0", (Ask(version=old, close=False),)),
        Case("HTTP/1.0 HEAD", (Ask("HEAD", version=old, close=False),)),
        Case("HTTP/1.0 that asks to stay", (Ask(version=old, close=False, lines=stay), Ask(version=old))),
        Case("HTTP/1.0 PUT", (_put(version=old, close=False),), stores=True),
        Case("HTTP/1.0 without Host", (Ask(version=old, signed="no", bent=_names_without(b"Host")),)),
        Case("HTTP/1.1 without Host", (Ask(signed="no", bent=_names_without(b"Host")),)),
        Case("HTTP/1.1 with an empty Host", (Ask(signed="no", bent=_swap(b"Host: ", b"Host: \r\nX-Old: ")),)),
        Case("HTTP/0.9", (Ask(bent=lambda _: b"GET /raw/hello.txt\r\n\r\n"),)),
        Case("HTTP/1.2", (Ask(version="HTTP/1.2"),)),
        Case("HTTP/2.0", (Ask(version="HTTP/2.0"),)),
        Case("HTTP/9.9", (Ask(version="HTTP/9.9"),)),
        Case("no HTTP at all", (Ask(bent=lambda _: b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"),)),
        Case("HTTP/2 preface", (Ask(bent=lambda _: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),)),
    ]


def _names_without(name: bytes) -> Callable[[bytes], bytes]:
    def bent(head: bytes) -> bytes:
        return b"\r\n".join(line for line in head.split(b"\r\n") if not line.startswith(name + b":"))

    return bent


def _connections() -> list[Case]:
    missing = Ask(path=f"/{BUCKET}/missing")
    put = _put()
    return [
        Case("three GETs in a row", _unclosed(GET, GET, GET)),
        Case("GET, HEAD, 404, GET in a row", _unclosed(GET, Ask("HEAD"), missing, GET)),
        Case("GET of what was just put", _unclosed(put, Ask(path=NEW)), stores=True),
        Case("GET after a refused PUT", _unclosed(_put(signed="wrong"), GET), stores=True),
        Case("DELETE and GET in a row", _unclosed(put, Ask("DELETE", NEW), Ask(path=NEW)), stores=True),
        Case("client that closes its half", (replace(GET, close=False),), half_close=True),
        Case(
            "client that closes its half inside a PUT",
            (_put(b"hel", b"Content-Length: 5\r\n"),),
            stores=True,
            half_close=True,
        ),
        Case("client that closes its half inside the head", (Ask(bent=lambda head: head[:60]),), half_close=True),
    ]


def _expectations() -> list[Case]:
    expect = b"Expect: 100-continue\r\nContent-Length: 5\r\n"
    return [
        Case("Expect: 100-continue", (_put(lines=expect),), stores=True),
        Case("Expect: 100-continue, wrongly signed", (_put(lines=expect, signed="wrong"),), stores=True),
        Case("Expect: 100-continue, chunked", (_chunked_put(b"\r\n", b"Expect: 100-continue\r\n"),), stores=True),
        Case("Expect: 100-continue, missing bucket", (_put(lines=expect, path="/raw-missing/x"),)),
        Case("Expect: 100-continue with GET", (Ask(lines=b"Expect: 100-continue\r\n"),)),
        Case("Expect: 100-continue, HTTP/1.0", (_put(lines=expect, version="HTTP/1.0"),), stores=True),
        Case("Expect: something else", (_put(lines=b"Expect: tea\r\nContent-Length: 5\r\n"),), stores=True),
    ]


def _chunked_put(end: bytes, lines: bytes = b"", body: bytes = CHUNKED) -> Ask:
    return _put(body + end, b"Transfer-Encoding: chunked\r\n" + lines)


def _bodies() -> list[Case]:
    both = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    smuggled = CHUNKED + b"\r\nGET /raw/hello.txt HTTP/1.1\r\nHost: x\r\n\r\n"
    multiple = b"Transfer-Encoding: chunked, identity\r\n"
    return [
        Case("chunked PUT", (_chunked_put(b"\r\n"),), stores=True),
        Case("chunked PUT with a trailer", (_chunked_put(b"X-Odd: 1\r\n\r\n", b"Trailer: X-Odd\r\n"),), stores=True),
        Case(
            "chunked PUT with chunk extensions",
            (_chunked_put(b"\r\n", body=CHUNKED.replace(b"5\r", b"5;x=y\r")),),
            stores=True,
        ),
        Case("chunked PUT, empty", (_chunked_put(b"\r\n", body=b"0\r\n"),), stores=True),
        Case("chunked PUT with a wrong size", (_chunked_put(b"\r\n", body=b"zz\r\nhello\r\n0\r\n"),), stores=True),
        Case("chunked PUT that breaks off", (_chunked_put(b"", body=b"5\r\nhel"),), stores=True, half_close=True),
        Case("Content-Length and Transfer-Encoding", (_put(smuggled, both),), stores=True),
        Case("Transfer-Encoding: chunked, identity", (_put(smuggled, multiple),), stores=True),
        Case("Transfer-Encoding: gzip", (_put(b"hello", b"Transfer-Encoding: gzip\r\n"),), stores=True),
        Case(
            "Transfer-Encoding with a blank before the colon",
            (_put(smuggled, b"Transfer-Encoding : chunked\r\n"),),
            stores=True,
        ),
        Case("Content-Length twice, the same", (_put(lines=b"Content-Length: 5\r\n" * 2),), stores=True),
        Case(
            "Content-Length twice, different", (_put(lines=b"Content-Length: 5\r\nContent-Length: 3\r\n"),), stores=True
        ),
        Case("Content-Length: 5, 5", (_put(lines=b"Content-Length: 5, 5\r\n"),), stores=True),
        Case("Content-Length: +5", (_put(lines=b"Content-Length: +5\r\n"),), stores=True),
        Case("Content-Length: -5", (_put(lines=b"Content-Length: -5\r\n"),), stores=True),
        Case("Content-Length: 0x5", (_put(lines=b"Content-Length: 0x5\r\n"),), stores=True),
        Case("Content-Length, empty", (_put(lines=b"Content-Length:\r\n"),), stores=True),
        Case("PUT without a length", (_put(b"", b""),), stores=True),
        Case("PUT of nothing", (_put(b""),), stores=True),
        Case(
            "PUT with an unknown Content-Encoding",
            (_put(lines=b"Content-Length: 5\r\nContent-Encoding: x\r\n"),),
            stores=True,
        ),
        Case("HEAD with a body", _unclosed(Ask("HEAD", lines=b"Content-Length: 5\r\n", body=b"hello"), GET)),
        Case("GET with a body", _unclosed(Ask(lines=b"Content-Length: 5\r\n", body=b"hello"), GET)),
        Case(
            "DELETE with a body",
            _unclosed(Ask("DELETE", f"/{BUCKET}/missing", lines=b"Content-Length: 5\r\n", body=b"hello"), GET),
        ),
    ]


def _headers() -> list[Case]:
    other = b"Host: other\r\n"
    return [
        Case(
            "empty headers",
            (_put(lines=b"Content-Length: 5\r\nCache-Control:\r\nContent-Type:\r\n", amz=(("x-amz-meta-a", ""),)),),
            stores=True,
        ),
        Case("x-amz-meta-a twice", (_put(amz=(("x-amz-meta-a", "1"), ("x-amz-meta-a", "2"))),), stores=True),
        Case("folded header", (Ask(lines=b"X-Folded: a\r\n b\r\n"),)),
        Case("Host twice, the same", (Ask(bent=_again(b"Host")),)),
        Case("Host twice, different", (Ask(lines=other),)),
        Case("Authorization twice, the same", (Ask(bent=_again(b"authorization")),)),
        Case("Authorization twice, one empty", (Ask(lines=b"Authorization:\r\n"),)),
        Case("Authorization of another kind", (Ask(signed="no", lines=b"Authorization: Bearer x\r\n"),)),
        Case("signature in header and query", (Ask(signed="query", lines=b"Authorization: AWS a:b\r\n"),)),
        Case("Range twice", (Ask(lines=b"Range: bytes=0-1\r\nRange: bytes=2-3\r\n"),)),
        Case("If-None-Match twice", (Ask(lines=b'If-None-Match: "x"\r\nIf-None-Match: {tag}\r\n'),)),
        Case("names in lower case", (Ask(bent=_names(bytes.lower)),)),
        Case("names in upper case", (Ask(bent=_names(bytes.upper)),)),
        Case("no blank after the colon", (Ask(bent=lambda head: head.replace(b": ", b":")),)),
        Case("blanks around a value", (Ask(lines=b"Range:  \t bytes=0-4 \t \r\n"),)),
        Case("blank before the colon", (Ask(lines=b"Range : bytes=0-4\r\n"),)),
        Case("blank in a name", (Ask(lines=b"Ra nge: bytes=0-4\r\n"),)),
        Case("header without a colon", (Ask(lines=b"Nonsense\r\n"),)),
        Case("header without a name", (Ask(lines=b": x\r\n"),)),
        Case("lines that end in LF alone", (Ask(bent=lambda head: head.replace(b"\r\n", b"\n")),)),
        Case("one line that ends in LF alone", (Ask(lines=b"X-Odd: a\nX-Other: b\r\n"),)),
        Case("NUL in a header", (Ask(lines=b"X-Odd: a\x00b\r\n"),)),
        Case("CR in a header", (Ask(lines=b"X-Odd: a\rb\r\n"),)),
        Case("bytes over 127 in a header", (Ask(lines=b"X-Odd: \xe4\r\n"),)),
        Case("UTF-8 in a header", (Ask(lines="X-Odd: ä\r\n".encode()),)),
        Case("header of 16 KB", (Ask(lines=b"X-Long: " + b"v" * 16_000 + b"\r\n"),)),
        Case("100 headers", (Ask(lines=b"".join(b"X-%d: v\r\n" % number for number in range(90))),)),
        Case("Accept-Encoding: gzip", (Ask(lines=b"Accept-Encoding: gzip\r\n"),)),
        Case("Upgrade: h2c", (Ask(lines=b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),)),
        Case("TE and Trailer", (Ask(lines=b"TE: trailers\r\nTrailer: X\r\n"),)),
        Case("Max-Forwards: 0", (Ask(lines=b"Max-Forwards: 0\r\n"),)),
    ]


def _methods() -> list[Case]:
    return [
        Case("unknown method", (Ask("BREW"),)),
        Case("lower-case method", (Ask("get"),)),
        Case("PATCH", (Ask("PATCH", lines=b"Content-Length: 5\r\n", body=b"hello"),)),
        Case("TRACE", (Ask("TRACE"),)),
        Case("CONNECT", (Ask("CONNECT", target="{host}"),)),
        Case("POST to an object", (Ask("POST", lines=b"Content-Length: 0\r\n"),)),
        Case("method of 300 letters", (Ask("M" * 300),)),
    ]


_RANGES = (
    b"bytes=0-0",
    b"bytes=0-",
    b"bytes=-7",
    b"bytes=-0",
    b"bytes=-5000",
    b"bytes=990-5000",
    b"bytes=999-999",
    b"bytes=1000-",
    b"bytes=1000-1001",
    b"bytes=9-3",
    b"bytes=",
    b"bytes=-",
    b"bytes=a-b",
    b"bytes=1",
    b"bytes 0-4",
    b"bytes = 0-4",
    b"bytes= 0-4",
    b"bytes=0 - 4",
    b"bytes=0-4 ",
    b"bytes=+0-4",
    b"bytes=0-4,",
    b"bytes=,0-4",
    b"BYTES=0-4",
    b"lines=0-4",
    b"0-4",
    b"",
    b"bytes=0-1,4-5",
    b"bytes=0-1, 4-5",
    b"bytes=0-1,2-3",
    b"bytes=0-4,2-6",
    b"bytes=0-1,5000-",
    b"bytes=5000-,6000-",
    b"bytes=0-99999999999999999999",
    b"bytes=99999999999999999999-",
    b"bytes=" + b",".join(b"%d-%d" % (at, at) for at in range(0, 200, 2)),
)

_CONDITIONS = (
    (b"If-Match: {tag}\r\n",),
    (b"If-Match: {bare}\r\n",),
    (b'If-Match: "x"\r\n',),
    (b'If-Match: "x", {tag}\r\n',),
    (b"If-Match: *\r\n",),
    (b"If-Match: W/{tag}\r\n",),
    (b"If-Match:\r\n",),
    (b"If-None-Match: {tag}\r\n",),
    (b"If-None-Match: {bare}\r\n",),
    (b'If-None-Match: "x", {tag}\r\n',),
    (b"If-None-Match: W/{tag}\r\n",),
    (b"If-None-Match: *\r\n",),
    (b"If-None-Match:\r\n",),
    (b"If-Modified-Since: {date}\r\n",),
    (b"If-Modified-Since: {past}\r\n",),
    (b"If-Modified-Since: {future}\r\n",),
    (b"If-Modified-Since: yesterday\r\n",),
    (b"If-Modified-Since: Saturday, 01-Jan-00 00:00:00 GMT\r\n",),
    (b"If-Unmodified-Since: {date}\r\n",),
    (b"If-Unmodified-Since: {past}\r\n",),
    (b"If-Unmodified-Since: yesterday\r\n",),
    (b"If-Match: {tag}\r\n", b"If-None-Match: {tag}\r\n"),
    (b'If-Match: "x"\r\n', b"If-None-Match: {tag}\r\n"),
    (b"If-Match: {tag}\r\n", b"If-Unmodified-Since: {past}\r\n"),
    (b"If-None-Match: {tag}\r\n", b"If-Modified-Since: {past}\r\n"),
    (b'If-None-Match: "x"\r\n', b"If-Modified-Since: {future}\r\n"),
    (b'If-Match: "x"\r\n', b"Range: bytes=5000-\r\n"),
    (b"If-None-Match: {tag}\r\n", b"Range: bytes=5000-\r\n"),
    (b"If-None-Match: {tag}\r\n", b"Range: bytes=0-4\r\n"),
    (b"If-Match: {tag}\r\n", b"Range: bytes=0-4\r\n"),
    (b"If-Range: {tag}\r\n", b"Range: bytes=0-4\r\n"),
    (b'If-Range: "x"\r\n', b"Range: bytes=0-4\r\n"),
    (b"If-Range: W/{tag}\r\n", b"Range: bytes=0-4\r\n"),
    (b"If-Range: {date}\r\n", b"Range: bytes=0-4\r\n"),
    (b"If-Range: {past}\r\n", b"Range: bytes=0-4\r\n"),
    (b"If-Range: {tag}\r\n", b"Range: bytes=5000-\r\n"),
    (b'If-Range: "x"\r\n', b"Range: bytes=5000-\r\n"),
    (b"If-Range: {tag}\r\n",),
)


def _reads() -> list[Case]:
    cases = []
    for value in _RANGES:
        shown = value.decode() if len(value) < 60 else f"{value[:20].decode()}... ({value.count(b',') + 1} ranges)"
        cases.append(Case(f"Range: {shown}", (Ask(lines=b"Range: " + value + b"\r\n"),)))
    cases += [
        Case("Range of HEAD", (Ask("HEAD", lines=b"Range: bytes=0-4\r\n"),)),
        Case("Range past the end of HEAD", (Ask("HEAD", lines=b"Range: bytes=5000-\r\n"),)),
        Case("Range of an empty object", (Ask(path=f"/{BUCKET}/empty", lines=b"Range: bytes=0-4\r\n"),)),
        Case("Range of what is missing", (Ask(path=f"/{BUCKET}/missing", lines=b"Range: bytes=0-4\r\n"),)),
    ]
    for lines in _CONDITIONS:
        name = "; ".join(line.decode().strip() for line in lines)
        cases.append(Case(name, (Ask(lines=b"".join(lines)),)))
    cases += [
        Case("HEAD, If-None-Match: {tag}", (Ask("HEAD", lines=b"If-None-Match: {tag}\r\n"),)),
        Case("HEAD, If-Match: other", (Ask("HEAD", lines=b'If-Match: "x"\r\n'),)),
        Case(
            "PUT, If-None-Match: * over an object",
            (_put(lines=b"Content-Length: 5\r\nIf-None-Match: *\r\n", path=OBJECT),),
        ),
        Case(
            "PUT, If-None-Match: * over nothing",
            (_put(lines=b"Content-Length: 5\r\nIf-None-Match: *\r\n"),),
            stores=True,
        ),
    ]
    return cases


CASES = (
    *(*_targets(), *_versions(), *_connections(), *_expectations(), *_bodies(), *_headers(), *_methods(), *_reads()),
)
