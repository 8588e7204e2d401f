"""A Ceph RGW of one node on the loopback: one monitor, one storage daemon, one gateway, all in one folder.

The daemons run in the foreground as children that the kernel kills when this process ends, however it ends. They
need neither root nor systemd; only fetching their packages does.
"""

from __future__ import annotations

import http.client
import json
import secrets
import shutil
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.credentials import Secret
from tests.ports import free_port
from tests.served import Place
from tests.stores_up.programs import run

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS = ("radosgw", "ceph-mon", "ceph-osd", "ceph")  # and what comes with them
KEY_ID = "RGWTESTS"
KEYS = {
    "mon.": ("mon", "allow *"),
    "client.admin": ("mon", "allow *", "osd", "allow *", "mgr", "allow *"),
    "client.rgw.a": ("mon", "allow rwx", "osd", "allow rwx"),
    "osd.0": ("mon", "allow profile osd", "osd", "allow *"),
}
# Without cephx radosgw never connects, without tcp_nodelay each small answer takes 44 ms, and one copy must be enough.
SETTINGS = """
[global]
fsid = {fsid}
mon_initial_members = a
mon_host = {monitors}
public_network = 127.0.0.0/8
ms_bind_ipv6 = false
auth_allow_insecure_global_id_reclaim = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 2000
osd_crush_chooseleaf_type = 0
run_dir = {folder}/run
keyring = {folder}/keyring
log_file = {folder}/log/$name.log
admin_socket =
[mon.a]
mon_data = {folder}/mon
mon_data_avail_crit = 1
mon_data_avail_warn = 2
[osd]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
osd_data = {folder}/osd
osd_objectstore = bluestore
osd_memory_target = 1073741824
bluestore_block_size = 10737418240
bluestore_fsck_on_mount = false
osd_max_object_name_len = 2048
[client.rgw.a]
rgw_frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw_data = {folder}/rgw
rgw_enable_ops_log = false
"""


class RgwError(Exception):
    """RGW does not start; the text ends with what the failing program said."""


@dataclass
class Rgw:
    """One cluster with one user, its data below `folder`, gone after `stop`."""

    folder: Path
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> Place:
        """Start it and return where its S3 interface is, when that has answered. Blocks about 15 s. Raises RgwError."""
        for name in ("mon", "osd", "run", "log", "rgw"):
            (self.folder / name).mkdir(parents=True)
        port, fsid = free_port(), str(uuid.uuid4())
        monitors = f"[v2:127.0.0.1:{free_port()},v1:127.0.0.1:{free_port()}]"
        self._conf.write_text(SETTINGS.format(fsid=fsid, monitors=monitors, port=port, folder=self.folder))
        self._write_keys()
        self._start_monitor(fsid, monitors)
        self._start_storage()
        self._daemon("radosgw", "-n", "client.rgw.a")
        self._wait_for_answer(port)
        return Place(f"127.0.0.1:{port}", KEY_ID, self._create_user())

    def stop(self) -> None:
        """Kill the daemons and remove the data: nobody will want it back."""
        for daemon in reversed(self.daemons):
            daemon.kill()
            daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _conf(self) -> Path:
        return self.folder / "ceph.conf"

    def _write_keys(self) -> None:
        keyring = str(self.folder / "keyring")
        for name, caps in KEYS.items():
            pairs = [word for pair in zip(caps[::2], caps[1::2], strict=True) for word in ("--cap", *pair)]
            create = () if name != "mon." else ("-C",)
            self._run("ceph-authtool", *create, keyring, "--gen-key", "-n", name, *pairs)

    def _start_monitor(self, fsid: str, monitors: str) -> None:
        monmap = str(self.folder / "monmap")
        self._run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", monitors, monmap)
        keyring = str(self.folder / "keyring")
        self._configured("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
        self._daemon("ceph-mon", "-i", "a")

    def _start_storage(self) -> None:
        osd_uuid = str(uuid.uuid4())
        self._configured("ceph", "osd", "new", osd_uuid, "0")
        self._configured("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd_uuid)
        self._daemon("ceph-osd", "-i", "0")

    def _create_user(self) -> Secret:
        secret = secrets.token_urlsafe(24)
        keys = ("--access-key", KEY_ID, "--secret-key", secret)
        made = self._configured("radosgw-admin", "user", "create", "--uid", "tests", "--display-name", "Tests", *keys)
        assert json.loads(made)["keys"][0]["access_key"] == KEY_ID
        return Secret(secret)

    def _wait_for_answer(self, port: int) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("GET", "/")
                connection.getresponse().read()
            except OSError:
                self._check_alive()
                time.sleep(0.1)
            else:
                return
            finally:
                connection.close()
        raise RgwError("radosgw did not answer in 60 s")

    def _check_alive(self) -> None:
        for daemon in self.daemons:
            if daemon.poll() is not None:
                log = (self.folder / "log" / "output").read_text(errors="replace")
                raise RgwError(f"{daemon.args!r} ended with {daemon.returncode}: {log[-2000:]}")

    def _daemon(self, program: str, *arguments: str) -> None:
        command = ["setpriv", "--pdeathsig", "KILL", program, "-f", "-c", str(self._conf), *arguments]
        with (self.folder / "log" / "output").open("ab") as output:
            self.daemons.append(
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
                )
            )

    def _configured(self, program: str, *arguments: str) -> bytes:
        return self._run(program, "-c", str(self._conf), *arguments)

    def _run(self, *command: str) -> bytes:
        return run(command, 60)


def is_installed() -> bool:
    """Tell whether every program is there."""
    return all(shutil.which(program) for program in PROGRAMS)
