from __future__ import annotations

import io
import os
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from gateway.commands.demo import demo_server, demo_settings
from gateway.commands.demo_names import DEMO_ACCESS_KEY, DEMO_SECRET
from gateway.credentials import Secret
from gateway.stores.embedded import StoreAccess
from tests.boto import s3_client
from tests.commands.test_config import gateway
from tests.conftest import Demo, start_demo, stop_demo
from tests.ports import free_port
from tests.proc import eventually, family, is_alive

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.store
pytest.importorskip("swift", reason="the embedded store is not installed (pip install .[demo])")


def client(demo: Demo, secret: str = DEMO_SECRET) -> Any:
    return s3_client(demo.endpoint, DEMO_ACCESS_KEY, secret)


def test_ctrl_c_stops_everything_and_a_second_start_keeps_the_data(tmp_path: Path) -> None:
    first = start_demo(tmp_path / "data")
    client(first).put_object(Bucket="demo", Key="mine", Body=b"kept")
    processes = family(first.process.pid)
    assert len(processes) >= 3, "the store, a gateway and a scorer at least"
    assert stop_demo(first) == 0
    assert {pid for pid in processes if is_alive(pid)} == set()
    second = start_demo(tmp_path / "data")
    try:
        assert client(second).get_object(Bucket="demo", Key="mine")["Body"].read() == b"kept"
    finally:
        stop_demo(second)


def test_a_killed_demo_leaves_nobody_behind_and_can_start_again(tmp_path: Path) -> None:
    first = start_demo(tmp_path / "data")
    processes = family(first.process.pid)
    first.process.kill()
    first.process.wait()
    eventually(lambda: not any(is_alive(pid) for pid in processes))
    stop_demo(start_demo(tmp_path / "data"))


def test_a_store_that_dies_ends_the_demo_with_one_sentence(tmp_path: Path) -> None:
    demo = start_demo(tmp_path / "data")
    (store,) = [pid for pid, command in family(demo.process.pid).items() if "embedded_server" in command]
    os.kill(store, signal.SIGKILL)
    assert demo.process.wait(30) == 1
    assert "The embedded store ended by itself" in (demo.data / "output").read_text()


@pytest.mark.parametrize("name", ["GATEWAY_SERVER__LISTEN", "GATEWAY_SERVER__ADMIN_LISTEN"])
@pytest.mark.parametrize("is_short", [True, False])
def test_a_taken_port_is_one_clear_sentence(tmp_path: Path, name: str, *, is_short: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        other = {f"GATEWAY_SERVER__{each}LISTEN": f"127.0.0.1:{free_port()}" for each in ("", "ADMIN_")}
        if is_short:
            other, name = {key.replace("SERVER__", ""): at for key, at in other.items()}, name.replace("SERVER__", "")
        done = gateway("demo", **{**other, name: address, "GATEWAY_DATA_DIR": str(tmp_path)})
    assert (done.returncode, done.stderr) == (1, f"Cannot listen on {address}: Address already in use.\n")


def test_ones_own_pictures_are_loaded_and_the_first_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / "pictures" / "in a folder"
    folder.mkdir(parents=True)
    target = io.BytesIO()
    Image.effect_noise((300, 200), 30).convert("RGB").save(target, "PNG")
    (folder / "grüße.png").write_bytes(target.getvalue())
    demo = start_demo(tmp_path / "data", "--images", str(tmp_path / "pictures"))
    try:
        assert "/in%20a%20folder/gr%C3%BC%C3%9Fe.png?" in demo.lines
        got = client(demo).get_object(Bucket="demo", Key="in a folder/grüße.png")
        assert (got["Body"].read(), got["ContentType"]) == (target.getvalue(), "image/png")
    finally:
        stop_demo(demo)


def test_a_folder_without_pictures_is_one_clear_sentence(tmp_path: Path) -> None:
    done = gateway("demo", "--images", str(tmp_path), GATEWAY_DATA_DIR=str(tmp_path / "data"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"There is no picture in {tmp_path}")


@pytest.mark.parametrize("name", ["GATEWAY_LISTEN", "GATEWAY_SERVER__LISTEN"])
@pytest.mark.parametrize("address", ["0.0.0.0:9000", "[::]:9000"])
def test_the_public_secret_stays_on_the_loopback(tmp_path: Path, name: str, address: str) -> None:
    done = gateway("demo", **{name: address}, GATEWAY_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "--generate-secret" in done.stderr
    assert not (tmp_path / "store").exists(), "no store is started for nothing"


def test_a_mistake_in_the_settings_is_told_before_a_store_is_started(tmp_path: Path) -> None:
    done = gateway("demo", GATEWAY_LISTEN="nowhere", GATEWAY_SERVER__DATA_DIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (1, "server.listen: must be HOST:PORT\n")
    assert not (tmp_path / "store").exists()


def test_the_demo_may_fetch_its_samples_wherever_it_was_told_to_listen() -> None:
    access, told = StoreAccess("http://store", "here", "up", Secret("hush")), {"GATEWAY_SERVER__LISTEN": "[::1]:9123"}
    settings = demo_settings(access, demo_server(told), told)
    assert settings.fetch.allow == ("127.0.0.1:9123", "[::1]:9123")
    assert settings.upstream["default"].endpoint == "http://store"


def test_a_generated_secret_is_kept_and_the_public_one_refused(tmp_path: Path) -> None:
    demo = start_demo(tmp_path / "data", "--generate-secret")
    try:
        kept = (tmp_path / "data" / "demo-secret").read_text()
        assert (tmp_path / "data" / "demo-secret").stat().st_mode & 0o77 == 0
        assert kept in demo.lines
        assert client(demo, kept).get_object(Bucket="demo", Key="sharp.jpg")["ContentLength"] > 0
        with pytest.raises(Exception, match="SignatureDoesNotMatch"):
            client(demo).get_object(Bucket="demo", Key="sharp.jpg")
    finally:
        stop_demo(demo)
