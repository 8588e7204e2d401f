"""The command line: reads the words, hands over to one module a command. Must not know what the commands do."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.commands.console import UsageError
from gateway.log_lines import TEXT
from gateway.processes import StartError, open_standard_streams
from gateway.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Run the command that the arguments name, and exit with its status."""
    open_standard_streams()
    # What no line of the log tells need not be found out for each.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 # as the logging HOWTO has it, "Optimization"
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=TEXT)
    arguments = _parser().parse_args()
    try:
        status = arguments.run(arguments)
    except (SettingsError, StartError) as error:
        print(error, file=sys.stderr)  # noqa: T201 # the command line speaks to people
        status = 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        status = 130
    sys.exit(status)


# Each command imports what it needs: `presign` should not pay for an HTTP server.


def _serve(arguments: argparse.Namespace) -> int:
    from gateway.commands.serve import serve  # noqa: PLC0415

    return serve(arguments.config)


def _demo(arguments: argparse.Namespace) -> int:
    from gateway.commands.demo import demo  # noqa: PLC0415

    return demo(arguments.images, generate_secret=arguments.generate_secret)


def _score(arguments: argparse.Namespace) -> int:
    from gateway.commands.score import Options, score  # noqa: PLC0415

    names = ("style", "sheet", "output", "resume", "engine", "scheduler")
    options = Options(**{name: getattr(arguments, name) for name in names})
    return score(arguments.paths, config=arguments.config, options=options)


def _presign(arguments: argparse.Namespace) -> int:
    from gateway.commands.presign import presign  # noqa: PLC0415

    return presign(arguments)


def _explain(arguments: argparse.Namespace) -> int:
    from gateway.commands.explain import explain_input  # noqa: PLC0415

    return explain_input(arguments.config)


def _keys(arguments: argparse.Namespace) -> int:
    from gateway.commands.keys import keys  # noqa: PLC0415

    return keys(arguments.action, arguments.config)


def _check_config(arguments: argparse.Namespace) -> int:
    from gateway.commands.config import check_config  # noqa: PLC0415

    return check_config(arguments.config)


def _show_config(arguments: argparse.Namespace) -> int:
    from gateway.commands.config import show_config  # noqa: PLC0415

    return show_config(arguments.config)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gateway", description="An S3-compatible gateway with image-quality scoring.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    with_config = argparse.ArgumentParser(add_help=False)
    given = os.environ.get("GATEWAY_CONFIG")
    with_config.add_argument(
        "--config", type=Path, default=Path(given) if given else None, metavar="FILE", help="TOML file"
    )

    def command(
        name: str, run: Callable[[argparse.Namespace], int], text: str, *, configured: bool = True
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, parents=[with_config] if configured else [], help=text)
        added.set_defaults(run=run)
        return added

    command("serve", _serve, "the gateway in front of the configured store")
    demo = command("demo", _demo, "the gateway in front of an embedded store, with sample pictures", configured=False)
    demo.add_argument("--images", type=Path, metavar="DIR", help="load these pictures instead of drawn samples")
    demo.add_argument("--generate-secret", action="store_true", help="a random secret, needed off the loopback")
    score = command("score", _score, "score files, folders or s3://bucket/prefix")
    style = score.add_mutually_exclusive_group()
    style.add_argument(
        "--json", dest="style", action="store_const", const="json", default="table", help="one JSON object a line"
    )
    style.add_argument("--csv", dest="style", action="store_const", const="csv", help="comma-separated values")
    score.add_argument("--sheet", type=Path, metavar="FILE", help="also write a contact sheet (HTML), best first")
    score.add_argument("--output", type=Path, metavar="FILE", help="write there; .jsonl, .csv or .parquet say the form")
    score.add_argument("--resume", action="store_true", help="go on with an --output that was interrupted")
    score.add_argument("--engine", choices=("local", "dask"), default="local", help="who does the work")
    score.add_argument("--scheduler", default="", metavar="ADDRESS", help="of the Dask cluster; default: workers here")
    score.add_argument("paths", nargs="+", metavar="PATH")
    presign = command("presign", _presign, "a signed URL")
    presign.add_argument("--dialect", choices=("s3", "oss", "cos"), default="s3", help="whose signature (default s3)")
    presign.add_argument("--process", choices=("score",), help="ask for a score instead of the bytes")
    presign.add_argument("--expires", type=int, default=3600, metavar="S", help="seconds (default 3600)")
    presign.add_argument("--endpoint", metavar="URL", help="the gateway as clients see it")
    presign.add_argument(
        "--access-key",
        metavar="ID",
        help="default: the demo's, with --config the key file's first; GATEWAY_SECRET may hold its secret",
    )
    presign.add_argument("bucket")
    presign.add_argument("key")
    command("explain", _explain, "why the signature of a request on standard input is refused")
    keys = command("keys", _keys, "seal the secrets of the key file, seal them anew, list the keys")
    keys.add_argument(
        "action",
        choices=("encrypt", "rotate", "list", "new-master-key"),
        help="encrypt, rotate, list or new-master-key",
    )
    command("check-config", _check_config, "name every mistake in the settings")
    command("show-config", _show_config, "print the settings in force, secrets hidden")
    return parser


if __name__ == "__main__":
    main()
