"""`docs/compatibility.md`: how the matrix is written as Markdown, and read again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.matrix.fill import OK, is_red
from tests.matrix.operations import OPERATIONS
from tests.matrix.registry import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.matrix.fill import Column

STORES = {"swift": "Swift", "rgw": "Ceph RGW"}
COLUMNS = tuple(f"{store}, {way}" for store in STORES.values() for way in ("direct", "gateway"))
UNKNOWN = "?"
BEFORE = """# Compatibility

<!-- Written by the tests: do not edit, run `make compatibility`. -->

What works for whom, as observed: each client below does each operation on two real stores, directly and through the
gateway. `make test` does it all again and fails when a cell is no longer what it says here.

## How to read it

| cell | means |
|---|---|
| ok | the call did what it is for; its effect was looked at in the store, past the client |
| refused (CODE) | the client raised its own error, with this code |
| wrong | the call came back, but not with what it should |
| - | the client has no such call; OSS and COS clients cannot talk to an S3 store directly |

Two rules hold, or the tests fail. No cell is red through the gateway that is green directly. And what clients of OSS
and COS do every day (put, get, ranges, conditions, head, copy, listings, deletes, multipart, ACL reading, signed URLs,
scores) is green for them on both stores. What is refused there, like tags, has no counterpart yet: the gateway answers
501 in the client's own dialect.

Each operation uses the client as its users do: only the endpoint and the key differ. "Upload 5 MB by the client's own
transfer" means `upload_fileobj`, `aws s3 cp`, `resumable_upload`, `multipartUpload` and the like: OSS and COS clients
cut the file into parts of 1 MB or less there, which S3 stores refuse and the gateway merges.
"""
AFTER = """
## What is not tested

- **Stores**: AWS S3, MinIO and its forks, Garage, Cloudflare R2 and every other store. MinIO's XML and headers (its
  namespace, real milliseconds, `x-minio-*`) are played by a fake store in the tests; no MinIO took part.
- **SDKs** in Java, Go, PHP, C#, Ruby, Rust and C++, and in browsers.
- Other ways to sign and to address (SigV2, OSS V2, https, names in the host) have tests of their own, for fewer
  operations; so have resumed uploads, and keys of all kinds.
"""


NOT_OFFERED_THERE = "refused (NotImplemented)"
# Why cells are red, by client and operation: every red cell but those of what a store or the gateway does not offer.
REASONS = {
    ("awscli", "put unless it exists"): "Ceph RGW 16 leaves `<Message>` empty in its errors, and awscli stops there.",
    ("awscli", "get what is missing (404)"): "the same.",
    ("@aws-sdk/client-s3", "put a stream of unknown length"): "Ceph RGW 16 takes no signed chunks with a trailer; the "
    "gateway checks them and sends the plain body on.",
    ("minio-js", "multipart: list uploads"): "minio-js sends an empty delimiter, and Swift cuts every key there.",
    ("minio-js", "multipart: abort"): "minio-js looks for the upload in that listing.",
}


@dataclass
class Page:
    """Versions by what they are of, and columns by client and column name."""

    versions: dict[str, str] = field(default_factory=dict)
    columns: dict[tuple[str, str], Column] = field(default_factory=dict)

    def cell(self, client: str, column: str, operation: str) -> str:
        return self.columns.get((client, column), {}).get(operation, UNKNOWN)


def render(page: Page) -> str:
    """Write the page; the same cells give the same text."""
    named = (*STORES.values(), *(client.name for client in CLIENTS))
    parts = [BEFORE, "\n## Versions\n\n"]
    parts += table(("", "version"), ((name, page.versions.get(name, UNKNOWN)) for name in named))
    parts += ["\n## Overview\n\nGreen cells of those that the client has a call for.\n\n"]
    parts += table(("", *COLUMNS), ((client.name, *overview(page, client.name)) for client in CLIENTS))
    for client in CLIENTS:
        parts += [f"\n## {client.name}\n\n"]
        rows = ((name, *(page.cell(client.name, column, name) for column in COLUMNS)) for name in OPERATIONS)
        parts += table(("", *COLUMNS), rows)
        parts += reasons(client.name)
    return "".join([*parts, AFTER])


def reasons(client: str) -> Iterator[str]:
    rows = [f"- {operation}: {text}\n" for (name, operation), text in REASONS.items() if name == client]
    yield from ["\n", *rows] if rows else []


def unexplained(page: Page) -> set[tuple[str, str]]:
    """Return the client and operation of every red cell that the page gives no reason for, and of idle reasons."""
    red = {
        (client, operation)
        for (client, _), column in page.columns.items()
        for operation, cell in column.items()
        if is_red(cell) and cell not in (NOT_OFFERED_THERE, UNKNOWN)
    }
    return red ^ set(REASONS)


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    for row in (head, ("---",) * len(head), *rows):
        yield f"| {' | '.join(row)} |\n"


def overview(page: Page, client: str) -> Iterator[str]:
    for column in COLUMNS:
        cells = [page.cell(client, column, name) for name in OPERATIONS]
        green = sum(text == OK for text in cells)
        all_ = green + sum(is_red(text) for text in cells)
        yield f"{green} of {all_}" if all_ else "-"


def read(text: str) -> Page:
    """Read what `render` wrote."""
    page = Page()
    for title, rows in sections(text).items():
        if title == "Versions":
            page.versions = {row[0]: row[1] for row in rows[1:]}
        elif title in {client.name for client in CLIENTS}:
            for number, column in enumerate(COLUMNS, 1):
                page.columns[title, column] = {row[0]: row[number] for row in rows[1:]}
    return page


def sections(text: str) -> Mapping[str, list[list[str]]]:
    """Return the tables by the headings above them; rows without the line below the head."""
    found: dict[str, list[list[str]]] = {}
    title = ""
    for line in text.splitlines():
        if line.startswith("## "):
            title = line.removeprefix("## ")
        elif line.startswith("|") and not line.startswith("| ---"):
            found.setdefault(title, []).append([cell.strip() for cell in line.strip("|").split("|")])
    return found
