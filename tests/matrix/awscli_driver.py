"""Runs the AWS command line, each call in a process of its own, without a second to import it every time."""

from __future__ import annotations

import os
import sys
import tempfile

from awscli.clidriver import main as aws  # type: ignore[import-untyped]

from tests.matrix.lines import serve


def run(key_id: str, secret: str, arguments: list[str], stdin: bytes) -> tuple[int, bytes, bytes]:
    """Run `aws` with these arguments; returns its status, its output and what it said about errors."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as said:
        given.write(stdin)
        given.seek(0)
        child = os.fork()
        if not child:
            for number, file in enumerate((given, output, said)):
                os.dup2(file.fileno(), number)
            sys.stdin = os.fdopen(0)
            sys.argv = ["aws", *arguments]
            os.environ |= {"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret}
            status = 255
            try:
                status = aws()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        said.seek(0)
        return status, output.read(), said.read()


if __name__ == "__main__":
    serve({"run": run}, lambda _error: None)
