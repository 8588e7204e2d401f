"""What the schemes' canonical forms share: encodings, digests, header values, dates, lists of fields. Pure.

Knows no scheme: every function here is used by at least two of them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from gateway.auth.base import Scope
from gateway.errors import (
    ACCESS_DENIED,
    AUTHORIZATION_HEADER_MALFORMED,
    AUTHORIZATION_QUERY_MALFORMED,
    INVALID_REQUEST,
    MISSING_DATE,
    ApiError,
)
from gateway.request import percent_decode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from gateway.auth.base import Claim
    from gateway.credentials import Secret
    from gateway.request import Headers, RequestHead

UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

_TWO = tuple(f"{number:02}" for number in range(60))
_ISO_BASIC_TEXT = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HTTP_DATE_TEXT = re.compile(
    r"(?:[A-Z][a-z]{2}, )?([0-9]{1,2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) "
    r"(?:GMT|UTC|([+-])([0-9]{2})([0-9]{2}))"
)
_LAST_SECOND = 253_402_300_799  # the end of year 9999, where datetime ends
_BLANKS = re.compile(" {2,}")
_SHORT = 256  # characters; what strangers say is remembered before it is proven, so nothing longer is
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/-]+")


# Bytes and digests


def to_bytes(text: str) -> bytes:
    """Encode as UTF-8, giving back the wire's own bytes where it was not. Raises INVALID_REQUEST."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # holds the whole text, which may be a string to sign: it must not be chained
        raise ApiError(INVALID_REQUEST, "text that no wire can carry") from None


def encode(text: str, safe: str = "") -> str:
    """Percent-encode all but RFC 3986's unreserved characters and `safe`, upper-case hex."""
    if _UNRESERVED.fullmatch(text):
        return text
    return _encoded(text, safe) if len(text) <= _SHORT else _encoded.__wrapped__(text, safe)


@lru_cache(maxsize=1024)  # a client's credential in signed URLs is the same all day
def _encoded(text: str, safe: str) -> str:
    return quote_from_bytes(to_bytes(text), safe)


def sha256_hex(text: str) -> str:
    """Return the SHA-256 of a text as 64 lower-case hex digits."""
    return hashlib.sha256(to_bytes(text)).hexdigest()


def hmac_sha256(key: bytes, text: str) -> bytes:
    """Return the HMAC-SHA256 of a text under a day's signing key, with which much is signed."""
    keyed = _keyed(key).copy()
    keyed.update(to_bytes(text))
    return keyed.finalize()


@lru_cache(maxsize=1024)  # to begin with a key is half of the work
def _keyed(key: bytes) -> HMAC:
    return HMAC(key, SHA256())


def hmac_base64(secret: Secret, text: str, digest: str) -> str:
    """Return the HMAC of a text under a secret in base64; `digest` is `sha1` or `sha256`."""
    return b64encode(hmac.digest(to_bytes(secret.reveal()), to_bytes(text), digest)).decode("ascii")


def signing_key(prefix: str, secret: Secret, scope: Scope, terminator: str) -> bytes:
    """Derive the V4 family's signing key: an HMAC chain over date, region, service and terminator."""
    derive = _signing_key if len(scope.region) <= _SHORT else _signing_key.__wrapped__
    return derive(prefix, secret, scope, terminator)


@lru_cache(maxsize=1024)  # a client signs with the same one all day
def _signing_key(prefix: str, secret: Secret, scope: Scope, terminator: str) -> bytes:
    key = to_bytes(prefix + secret.reveal())
    for step in (scope.date, scope.region, scope.service, terminator):
        key = hmac.digest(key, to_bytes(step), "sha256")
    return key


# Path, query, headers


def canonical_path(raw_path: str) -> str:
    """Decode once, encode once, leave `/` alone: `%2F` and `/` are the same; dots and `//` are never folded."""
    if _PLAIN_PATH.fullmatch(raw_path):
        return raw_path
    return encode(percent_decode(raw_path), safe="/") or "/"


def canonical_query(parameters: Iterable[tuple[str, str]], *, bare: bool = False) -> str:
    """Encode decoded (name, value) pairs, sort them, join them; `bare` leaves out the `=` of an empty value."""
    pairs = sorted([(encode(name), encode(value)) for name, value in parameters])
    return "&".join([name if bare and not value else f"{name}={value}" for name, value in pairs])


def named_values(head: RequestHead, without: Collection[str] = ()) -> list[tuple[str, str]]:
    """Return the decoded query as (name, value) pairs, leaving out the names in `without`."""
    return [(item.name, item.value) for item in head.parameters if item.name not in without]


def header_values(headers: Headers) -> dict[str, str]:
    """Return each header's value, ends stripped, repeated ones joined by `,`.

    Only blanks and tabs are stripped: `str.strip` would also take bytes that are part of the value.
    """
    values: dict[str, str] = {}
    for name, value in headers:
        text = value.strip(" \t")
        values[name] = f"{values[name]},{text}" if name in values else text
    return values


def received_values(head: RequestHead) -> dict[str, str]:
    """Return the headers of a request as `header_values`, with the host the client addressed."""
    values = header_values(head.headers)
    values["host"] = head.authority
    return values


def canonical_headers(values: Mapping[str, str], names: Iterable[str]) -> str:
    """Return a `name:value` line for each name. Raises ACCESS_DENIED when a signed header is not there."""
    try:
        return "".join([f"{name}:{values[name]}\n" for name in names])
    except KeyError:
        message = "A header named as signed is not in the request."
        raise ApiError(ACCESS_DENIED, message=message) from None


def fold_blanks(text: str) -> str:
    """Make one blank of a run of them."""
    return _BLANKS.sub(" ", text) if "  " in text else text


def prefixed(values: Mapping[str, str], prefix: str) -> list[str]:
    """Return the names that begin with the vendor's prefix, sorted."""
    return sorted(name for name in values if name.startswith(prefix))


def leading_lines(method: str, values: Mapping[str, str], date: str) -> str:
    """Return the four lines with which a string to sign of AWS V2, OSS V1 and OSS V2 begins."""
    return f"{method}\n{values.get('content-md5', '')}\n{values.get('content-type', '')}\n{date}\n"


def subresources(parameters: Iterable[tuple[str, str]], names: Collection[str]) -> str:
    """Return `?name=value&name`, decoded and sorted by name, of the parameters that AWS V2 and OSS V1 sign.

    `names` are lower-case and the comparison ignores case, so that a variant spelling can never travel unsigned.
    Because values stand decoded, `partNumber=1&uploadId=2` and one value `1&uploadId=2` would sign alike: the
    latter is refused. Raises INVALID_REQUEST.
    """
    signed = sorted((item for item in parameters if item[0].lower() in names), key=itemgetter(0))
    text = "&".join(f"{name}={value}" if value else name for name, value in signed)
    apparent = [piece.partition("=")[0] for piece in text.split("&")]
    if len([name for name in apparent if name.lower() in names]) != len(signed):
        raise ApiError(INVALID_REQUEST, "a value that reads like another signed parameter")
    return f"?{text}" if text else ""


# Fields of a claim


def is_authorization(head: RequestHead, prefix: str) -> bool:
    """Tell whether the Authorization header begins as one scheme's does."""
    return (head.header("authorization") or "").startswith(prefix)


def parse_fields(text: str, separator: str, equals: str) -> dict[str, str]:
    """Split `a=1, b=2` into its fields, blanks around them dropped. Raises AUTHORIZATION_HEADER_MALFORMED."""
    fields: dict[str, str] = {}
    for piece in text.split(separator):
        name, sign, value = piece.strip(" \t").partition(equals)
        if not sign or name in fields:
            raise ApiError(AUTHORIZATION_HEADER_MALFORMED, "a field without a value, or doubled")
        fields[name] = value
    return fields


def query_fields(head: RequestHead, names: Iterable[str]) -> dict[str, str]:
    """Return those query parameters of these exact names that are there. Raises INVALID_REQUEST when doubled."""
    given = head.parameter_names
    return {name: head.parameter(name) or "" for name in names if name in given}


def required(fields: Mapping[str, str], name: str, *, in_query: bool) -> str:
    """Return a field that must be there and must not be empty. Raises AUTHORIZATION_..._MALFORMED."""
    return all_required(fields, (name,), in_query=in_query)[0]


def all_required(fields: Mapping[str, str], names: Sequence[str], *, in_query: bool) -> list[str]:
    """Return fields that must be there and must not be empty. Raises AUTHORIZATION_..._MALFORMED."""
    values = [fields.get(name, "") for name in names]
    if not all(values):
        raise malformed(f"{names[values.index('')]} is missing", in_query=in_query)
    return values


def malformed(detail: str, *, in_query: bool) -> ApiError:
    """Return the error for a malformed claim, to be raised; `detail` goes to the client too."""
    kind = AUTHORIZATION_QUERY_MALFORMED if in_query else AUTHORIZATION_HEADER_MALFORMED
    return ApiError(kind, detail, message=f"{kind.message[:-1]}: {detail}.")


def parse_credential(text: str, terminator: str, services: tuple[str, ...], *, in_query: bool) -> tuple[str, Scope]:
    """Split `id/date/region/service/terminator` from the right, because an id may hold `/`. Raises ApiError."""
    parse = _parse_credential if len(text) <= _SHORT else _parse_credential.__wrapped__
    return parse(text, terminator, services, in_query)


@lru_cache(maxsize=1024)  # a client's is the same all day
def _parse_credential(
    text: str,
    terminator: str,
    services: tuple[str, ...],
    in_query: bool,  # noqa: FBT001 # by position: see above
) -> tuple[str, Scope]:
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or not all(parts):
        raise malformed("the credential is not id/date/region/service/terminator", in_query=in_query)
    access_key_id, date, region, service, end = parts
    if service not in services or end != terminator:
        raise malformed("the credential is for another service", in_query=in_query)
    return access_key_id, Scope(date, region, service)


def parse_id_and_signature(text: str) -> tuple[str, str]:
    """Split `id:signature` from the right, because an id may hold `:`. Raises ApiError."""
    access_key_id, _, signature = text.strip(" \t").rpartition(":")
    if not access_key_id or not signature:
        raise malformed("it is not id:signature", in_query=False)
    return access_key_id, parse_signature(signature, in_query=False)


def parse_header_names(text: str, *, in_query: bool) -> tuple[str, ...]:
    """Split `a;b;c` into distinct lower-case names; an empty text has none. Raises ApiError."""
    parse = _parse_header_names if len(text) <= _SHORT else _parse_header_names.__wrapped__
    return parse(text, in_query)


@lru_cache(maxsize=1024)  # a client signs the same ones again and again
def _parse_header_names(text: str, in_query: bool) -> tuple[str, ...]:  # noqa: FBT001 # by position: see above
    names = tuple(text.split(";")) if text else ()
    if not all(name and name == name.lower() for name in names) or len(set(names)) != len(names):
        raise malformed("the signed headers must be distinct lower-case names", in_query=in_query)
    return names


def parse_signature(text: str, *, in_query: bool) -> str:
    """Return the signature, which must be ASCII without control characters. Raises ApiError."""
    if not (text.isascii() and text.isprintable()):
        raise malformed("the signature is not ASCII", in_query=in_query)
    return text


# Dates


def scope_and_time(claim: Claim) -> tuple[Scope, datetime]:
    """Return the two parts that every claim of the V4 family has."""
    if claim.scope is None or claim.signed_at is None:
        raise TypeError(claim.scheme)
    return claim.scope, claim.signed_at


def iso_basic(moment: datetime) -> str:
    """Return `20130524T000000Z`."""
    day = f"{moment.year:04}{_TWO[moment.month]}{_TWO[moment.day]}"  # a tenth of what strftime takes
    return f"{day}T{_TWO[moment.hour]}{_TWO[moment.minute]}{_TWO[moment.second]}Z"


def http_date(moment: datetime) -> str:
    """Return `Fri, 24 May 2013 00:00:00 GMT`; `moment` is in UTC."""
    return format_datetime(moment, usegmt=True)


def parse_date(text: str, *, in_query: bool = False) -> datetime:
    """Parse ISO 8601 basic (`20130524T000000Z`) or an HTTP date, years 1970 to 9998. Raises ApiError.

    The years leave room for adding a window without running off datetime's ends.
    """
    try:
        moment = _iso_date(text) if _ISO_BASIC_TEXT.fullmatch(text) else _http_date(text)
    except ValueError:  # a 31st of February, an hour 25
        moment = None
    if moment is not None and 1970 <= moment.year <= 9998:
        return moment
    if in_query:
        raise malformed("the date is not like 20130524T000000Z", in_query=True)
    raise ApiError(MISSING_DATE, "no date, unreadable or out of range")


def _iso_date(text: str) -> datetime:
    """Parse `20130524T000000Z`, in a tenth of the time that strptime takes."""
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:8])
    return datetime(year, month, day, int(text[9:11]), int(text[11:13]), int(text[13:15]), tzinfo=UTC)


def _http_date(text: str) -> datetime:
    """Parse `Fri, 24 May 2013 00:00:00 GMT` without the locale that strptime would ask."""
    match = _HTTP_DATE_TEXT.fullmatch(text)
    if match is None or match[2] not in _MONTHS or not 1970 <= int(match[3]) <= 9998:
        raise ValueError
    offset = timedelta(hours=int(match[8] or 0), minutes=int(match[9] or 0))
    zone = timezone(-offset if match[7] == "-" else offset)
    month = _MONTHS.index(match[2]) + 1
    moment = datetime(int(match[3]), month, int(match[1]), int(match[4]), int(match[5]), int(match[6]), tzinfo=zone)
    return moment.astimezone(UTC)


def parse_unix(text: str, *, in_query: bool = True) -> datetime:
    """Parse a Unix second of at most 18 digits; what lies beyond year 9999 counts as its end. Raises ApiError."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise malformed("a time is not a Unix second", in_query=in_query)
    return datetime.fromtimestamp(min(int(text), _LAST_SECOND), UTC)
