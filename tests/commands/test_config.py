from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def gateway(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": "/usr/bin:/bin", **environment}
    command = [sys.executable, "-m", "gateway", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=clean, cwd=ROOT, check=False)


def test_the_sample_configuration_is_good(tmp_path: Path) -> None:
    text = (ROOT / "config" / "gateway.toml").read_text()
    (tmp_path / "gateway.toml").write_text(text.replace('"keys.toml"', f'"{ROOT}/config/keys.toml"'))
    done = gateway("check-config", "--config", str(tmp_path / "gateway.toml"))
    assert (done.returncode, done.stdout) == (0, "The settings are good; 1 access keys.\n")


def test_every_mistake_is_printed_and_nothing_listens(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text("[[identity]]\n")
    (tmp_path / "gateway.toml").write_text('[server]\nport = 3\n[keys]\nfile = "keys.toml"\n')
    for command in ("check-config", "serve"):
        done = gateway(command, GATEWAY_CONFIG=str(tmp_path / "gateway.toml"))
        assert done.returncode == 1
        assert done.stderr.count("\n") == 2, done.stderr
        assert "server.port: unknown setting" in done.stderr
        assert "no store" in done.stderr


def test_mistakes_of_the_key_file_are_printed_too(tmp_path: Path) -> None:
    environment = {"GATEWAY_UPSTREAM__MAIN__ENDPOINT": "http://127.0.0.1:9", "GATEWAY_KEYS__FILE": str(tmp_path / "k")}
    assert "cannot read" in gateway("check-config", **environment).stderr
    (tmp_path / "k").write_text("[[identity]]\n")
    assert "'name' must be a non-empty text" in gateway("check-config", **environment).stderr
    del environment["GATEWAY_KEYS__FILE"]
    assert "keys.file: is needed" in gateway("check-config", **environment).stderr


def test_the_settings_in_force_are_shown_without_secrets() -> None:
    done = gateway(
        "show-config",
        GATEWAY_UPSTREAM__MAIN__ENDPOINT="http://127.0.0.1:9",
        GATEWAY_UPSTREAM__MAIN__ACCESS_KEY="ak",
        GATEWAY_UPSTREAM__MAIN__SECRET="hush-hush",
    )
    assert json.loads(done.stdout)["upstream"]["main"]["secret"] == "***"
    assert "hush-hush" not in done.stdout
