"""What the kubelet does with a rendered Deployment that a gateway notices: volumes, environment, ports, probes."""

from __future__ import annotations

import base64
import http.client
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.app import utc_now
from gateway.auth import aws_v4
from gateway.credentials import Secret
from tests.deploy.tools import container, of_kind
from tests.ports import free_port

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

Documents = list[dict[str, Any]]
ROOT = Path(__file__).resolve().parent.parent.parent


def volume_files(volume: Mapping[str, Any], documents: Documents) -> dict[str, bytes]:
    """Return the files of a volume that is a Secret or a ConfigMap among the documents."""
    source = volume.get("secret", {}).get("secretName") or volume.get("configMap", {}).get("name")
    for document in documents if source else ():
        if document["metadata"]["name"] == source and document["kind"] in ("Secret", "ConfigMap"):
            texts = {name: text.encode() for name, text in (document.get("stringData") or {}).items()}
            if document["kind"] == "Secret":
                return texts | {name: base64.b64decode(text) for name, text in (document.get("data") or {}).items()}
            return texts | {name: text.encode() for name, text in document["data"].items()}
    assert not source, f"nobody makes {source}"
    return {}


def mount(deployment: dict[str, Any], documents: Documents, folder: Path, group: int | None = None) -> dict[str, Path]:
    """Write every volume below `folder` and return them by the path they are mounted at.

    A Secret's files are the caller's alone; with a `group` they are root's and readable by it, as the kubelet does it.
    """
    pod = deployment["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounted = {}
    for row in container(deployment)["volumeMounts"]:
        assert "subPath" not in row, "a subPath never changes again"
        volume, target = volumes.pop(row["name"]), folder / row["name"]
        target.mkdir()
        target.chmod(0o777 if "emptyDir" in volume else 0o755)
        for name, data in volume_files(volume, documents).items():
            (target / name).write_bytes(data)
            if "secret" in volume:
                (target / name).chmod(0o400 if group is None else volume["secret"]["defaultMode"])
            if group is not None:
                os.chown(target / name, 0, group)
        mounted[row["mountPath"]] = target
    assert not volumes, f"never mounted: {sorted(volumes)}"
    return mounted


def environment(deployment: dict[str, Any], ports: Mapping[str, int]) -> dict[str, str]:
    """Return the container's environment, the ports of `container` names replaced by free ones of 127.0.0.1."""
    box = container(deployment)
    numbers = {f"0.0.0.0:{row['containerPort']}": f"127.0.0.1:{ports[row['name']]}" for row in box["ports"]}
    found = {row["name"]: numbers.get(row["value"], row["value"]) for row in box["env"]}
    assert sorted(set(found.values()) & set(numbers.values())) == sorted(numbers.values()), "a port nobody listens on"
    return found


@dataclass
class Pod:
    """A gateway that runs as the Deployment says."""

    deployment: dict[str, Any]
    ports: dict[str, int]
    process: subprocess.Popen[bytes]
    log: Path
    tls: ssl.SSLContext | None = None

    def probe(self, name: str) -> int:
        """Ask what the kubelet would ask; 0 when nobody answers in time."""
        row = container(self.deployment)[f"{name}Probe"]
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.ports[row["httpGet"]["port"]], timeout=row.get("timeoutSeconds", 1) * 5
        )
        try:
            connection.request("GET", row["httpGet"]["path"])
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    def admin(self, path: str) -> str:
        """Read a page of the admin port."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["admin"], timeout=10)
        connection.request("GET", path)
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    def starts(self) -> None:
        """Wait for the startup probe, then for the readiness probe, for no longer than Kubernetes would."""
        row = container(self.deployment)["startupProbe"]
        deadline = time.monotonic() + row["periodSeconds"] * row["failureThreshold"]
        for name in ("startup", "readiness"):
            while self.probe(name) != 200:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline, self.log.read_text()
                time.sleep(0.1)

    def connection(self) -> http.client.HTTPConnection:
        """Connect to the public port."""
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.ports["http"], timeout=60, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.ports["http"], timeout=60)

    def get(self, path: str, query: str = "", *, key_id: str = "ME1", secret: str) -> tuple[int, bytes]:
        """Send one signed GET."""
        target = f"{path}?{query}" if query else path
        connection = self.connection()
        connection.request("GET", target, headers=signed(self.ports["http"], path, query, key_id, secret))
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body


def signed(port: int, path: str, query: str, key_id: str, secret: str) -> dict[str, str]:
    """Sign a GET for 127.0.0.1."""
    return dict(
        aws_v4.sign(
            "GET",
            path,
            query,
            (("host", f"127.0.0.1:{port}"),),
            access_key_id=key_id,
            secret=Secret(secret),
            region="us-east-1",
            payload="UNSIGNED-PAYLOAD",
            now=utc_now(),
        )
    )


def moved(text: str, mounted: Mapping[str, Path]) -> str:
    """Return a path of the container as it is here; any other text as it is."""
    found = max((path for path in mounted if text == path or text.startswith(f"{path}/")), key=len, default="")
    return f"{mounted[found]}{text.removeprefix(found)}" if found else text


@contextmanager
def running_pod(documents: Documents, folder: Path, tls: ssl.SSLContext | None = None) -> Iterator[Pod]:
    """Start the gateway with this Python as the only Deployment among the documents says; stop it in the end.

    Where the container has /etc/gateway/..., this process has folders below `folder`, and its environment says so.
    """
    (deployment,) = of_kind(documents, "Deployment")
    mounted = mount(deployment, documents, folder)
    ports = {row["name"]: free_port() for row in container(deployment)["ports"]}
    texts = environment(deployment, ports)
    texts = {name: moved(value, mounted) for name, value in texts.items()}
    command = [sys.executable, "-m", "gateway", *container(deployment)["args"]]
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={"PYTHONPATH": str(ROOT), **texts}, stdout=output, stderr=output)
    pod = Pod(deployment, ports, process, log, tls)
    try:
        pod.starts()
        yield pod
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        grace_s = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        assert process.wait(grace_s) == 0, log.read_text()
