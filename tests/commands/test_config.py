from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from gateway.credentials import Secret
from gateway.sealing import MasterKeys, new_master_key

ROOT = Path(__file__).resolve().parent.parent.parent


def gateway(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": "/usr/bin:/bin", **environment}
    command = [sys.executable, "-m", "gateway", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=clean, cwd=ROOT, check=False)


def sample_configuration(folder: Path, mode: int = 0o600) -> Path:
    """Copy the sample files, the keys with this mode, as an operator would; return the settings file."""
    for name in ("gateway.toml", "keys.toml"):
        shutil.copyfile(ROOT / "config" / name, folder / name)
    (folder / "keys.toml").chmod(mode)
    return folder / "gateway.toml"


def test_the_sample_configuration_is_good(tmp_path: Path) -> None:
    done = gateway("check-config", "--config", str(sample_configuration(tmp_path)))
    assert (done.returncode, done.stdout, done.stderr) == (0, "The settings are good; 1 access keys.\n", "")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_sample_that_others_may_read_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    config = sample_configuration(tmp_path, mode)
    done = gateway("check-config", "--config", str(config))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    command = done.stderr.strip().rpartition(": run ")[2]
    assert command == f"chmod 600 {tmp_path}/keys.toml"
    subprocess.run(command.split(), check=True)
    assert gateway("check-config", "--config", str(config)).returncode == 0


def test_the_key_file_lies_beside_the_settings_wherever_the_gateway_is_started(tmp_path: Path) -> None:
    sample_configuration(tmp_path)
    command = [sys.executable, "-m", "gateway", "check-config", "--config", f"{tmp_path.name}/gateway.toml"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path.parent, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_sealed_secrets_need_the_master_key_and_no_safe_mode(tmp_path: Path) -> None:
    master = new_master_key()
    config = sample_configuration(tmp_path, 0o644)
    sealed = MasterKeys(master).seal(Secret("change-me-please"))
    text = (tmp_path / "keys.toml").read_text().replace('secret = "change-me-please"', f'secret_enc = "{sealed}"')
    (tmp_path / "keys.toml").write_text(text)
    (tmp_path / "master").write_text(f"{new_master_key().reveal()}\n{master.reveal()}\n")
    check = partial(gateway, "check-config", "--config", str(config))
    assert "keys.master_key is not set" in check().stderr
    assert "under another master key" in check(GATEWAY_KEYS__MASTER_KEY=new_master_key().reveal()).stderr
    assert "master key 1 is not 32 bytes" in check(GATEWAY_KEYS__MASTER_KEY="hush").stderr
    assert check(GATEWAY_KEYS__MASTER_KEY_FILE=str(tmp_path / "master")).returncode == 0
    shown = gateway("show-config", "--config", str(config), GATEWAY_KEYS__MASTER_KEY=master.reveal())
    assert json.loads(shown.stdout)["keys"]["master_key"] == "***"


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


def test_a_port_that_nobody_could_know_is_a_mistake(tmp_path: Path) -> None:
    config = str(sample_configuration(tmp_path))
    for command in (("check-config", "--config", config), ("serve", "--config", config), ("demo",)):
        done = gateway(*command, GATEWAY_LISTEN="127.0.0.1:0")
        assert (done.returncode, done.stderr) == (1, "server.listen: must name a port, not 0\n")
    assert gateway("check-config", "--config", config, GATEWAY_ADMIN_LISTEN="127.0.0.1:0").returncode == 0


def test_the_settings_in_force_are_shown_without_secrets() -> None:
    done = gateway(
        "show-config",
        GATEWAY_UPSTREAM__MAIN__ENDPOINT="http://127.0.0.1:9",
        GATEWAY_UPSTREAM__MAIN__ACCESS_KEY="ak",
        GATEWAY_UPSTREAM__MAIN__SECRET="hush-hush",
    )
    assert json.loads(done.stdout)["upstream"]["main"]["secret"] == "***"
    assert "hush-hush" not in done.stdout
