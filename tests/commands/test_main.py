from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from gateway.__main__ import main
from gateway.commands.console import UsageError
from gateway.processes import StartError
from gateway.settings import SettingsError
from tests.commands.test_config import gateway

ROOT = Path(__file__).resolve().parent.parent.parent
COMMANDS = ("serve", "demo", "score", "presign", "check-config", "show-config")
STORE = '[upstream.main]\nendpoint = "http://{name}.test"\n'


def settings(folder: Path, name: str) -> str:
    file = folder / f"{name}.toml"
    file.write_text(STORE.format(name=name))
    return str(file)


def test_the_help_lists_every_command_with_what_it_does() -> None:
    done = gateway("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^ +{command}\s+\w+ \w+", done.stdout, re.MULTILINE), command


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_of_its_own(command: str) -> None:
    done = gateway(command, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: gateway {command}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "COMMAND"),
        (("fly",), "fly"),
        (("serve", "--fast"), "--fast"),
        (("serve", "--config"), "--config"),
        (("score",), "PATH"),
        (("presign", "bucket"), "key"),
        (("presign", "--dialect", "gcs", "b", "k"), "gcs"),
        (("presign", "--expires", "soon", "b", "k"), "soon"),
    ],
    ids=" ".join,
)
def test_a_wrong_word_is_a_usage_error_that_names_it(arguments: tuple[str, ...], words: str) -> None:
    done = gateway(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: gateway")
    assert words in done.stderr.splitlines()[-1]


def test_the_settings_file_comes_from_the_option_else_from_the_environment(tmp_path: Path) -> None:
    by_name, by_option = settings(tmp_path, "by-name"), settings(tmp_path, "by-option")
    assert "http://by-name.test" in gateway("show-config", GATEWAY_CONFIG=by_name).stdout
    both = gateway("show-config", "--config", by_option, GATEWAY_CONFIG=by_name)
    assert "http://by-option.test" in both.stdout
    assert "http://by-name.test" not in both.stdout


@pytest.mark.parametrize("command", [("show-config",), ("serve",), ("score", "x.jpg")], ids=" ".join)
def test_a_settings_file_that_is_not_there_is_one_sentence(tmp_path: Path, command: tuple[str, ...]) -> None:
    missing = str(tmp_path / "none.toml")
    done = gateway(*command, GATEWAY_CONFIG=missing)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"cannot read {missing}: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_name_of_a_settings_file_is_none(tmp_path: Path) -> None:
    done = gateway(
        "show-config", GATEWAY_CONFIG="", GATEWAY_UPSTREAM__MAIN__ENDPOINT="http://x.test", HOME=str(tmp_path)
    )
    assert (done.returncode, "http://x.test" in done.stdout) == (0, True)


@pytest.mark.parametrize(
    ("raised", "status", "text"),
    [
        (SettingsError("two\nmistakes"), 1, "two\nmistakes\n"),
        (StartError("The port is taken."), 1, "The port is taken.\n"),
        (UsageError("One without the other."), 2, "One without the other.\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
    ids=["settings", "start", "usage", "ctrl-c"],
)
def test_what_ends_a_command_is_told_without_a_trace(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    raised: BaseException,
    status: int,
    text: str,
) -> None:
    def ends(_config: object) -> NoReturn:
        raise raised

    monkeypatch.setattr(sys, "argv", ["gateway", "check-config"])
    monkeypatch.setattr("gateway.commands.config.check_config", ends)
    with pytest.raises(SystemExit) as exit_:
        main()
    assert (exit_.value.code, capsys.readouterr().err) == (status, text)


@pytest.mark.parametrize("words", ["show-config", "presign b k", "explain", "keys new-master-key"])
def test_an_output_that_takes_nothing_more_is_one_clear_sentence(words: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *words.split()],
            input="http://h/b/k",
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": "/usr/bin:/bin", "GATEWAY_UPSTREAM__MAIN__ENDPOINT": "http://x.test"},
            cwd=ROOT,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "Cannot write to the standard output: No space left on device.\n")


@pytest.mark.parametrize("module", ["gateway.__main__", "gateway.commands.presign", "gateway.commands.config"])
def test_the_small_commands_do_not_load_a_server_or_a_scorer(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'aiohttp', 'numpy', 'pyvips', 'botocore'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
