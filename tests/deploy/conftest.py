from __future__ import annotations

import base64
import json
import re
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from gateway.credentials import Secret
from gateway.sealing import MasterKeys, new_master_key
from tests.certificates import Authority
from tests.deploy.pod import Pod, running_pod
from tests.deploy.tools import ROOT, Tools, prepare_tools
from tests.fake_store import FakeStore
from tests.imaging.pictures import encode, photo_like
from tests.stores_up.fixtures import timed
from tests.stores_up.programs import ProgramError
from tests.stores_up.required import unavailable
from tests.threaded_store import threaded_store

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUES = ROOT / "helm" / "values"
KEYS = """
[[identity]]
name = "me"
[[identity.key]]
id = "ME1"
secret = "pod-secret"
[[identity.statement]]
actions = ["*"]
resources = ["*"]
"""
QUICK = {"drain": {"pauseSeconds": 2, "deadlineSeconds": 5}, "scorers": 1}
STORE = {"endpoint": "http://store.test", "accessKey": "up", "secretKey": "s"}
# What is rendered, once for all tests: the four that people start from, and variations that a test compares or refuses.
RELEASES: dict[str, Any] = {
    "default": {},
    **{path.stem: str(path) for path in sorted(VALUES.glob("*.yaml"))},
    "pod": {"keys": {"file": KEYS}, "store": STORE, **QUICK},
    "pod that ends": {
        "keys": {"file": KEYS},
        "store": STORE,
        **QUICK,
        "drain": {"pauseSeconds": 4, "deadlineSeconds": 8},
    },
    "pod with another key": {"keys": {"file": KEYS.replace("ME1", "ME2")}},
    "pod with other settings": {"keys": {"file": KEYS}, "config": "[limits]\nmax_bytes = 1000\n"},
    "everything": {
        "store": {"endpoint": "https://store.test", "existingSecret": "store", "ca": {"existingConfigMap": "store-ca"}},
        "keys": {"existingSecret": "keys", "masterKey": {"existingSecret": "master"}},
        "tls": {"existingSecret": "tls", "clientCaKey": "ca.crt"},
        "extraEnv": [{"name": "GATEWAY_LIMITS__MAX_BYTES", "value": "5000000"}],
        "metrics": {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}},
        "dashboards": {"enabled": True},
        **QUICK,
    },
    "bad: unknown": {"imagge": {}},
    "bad: unknown below": {"store": {"endpont": "http://s"}},
    "bad: endpoint": {"store": {"endpoint": "minio:9000"}},
    "bad: type": {"replicas": "two"},
    "bad: secret missing": {"store": {"accessKey": "only"}},
}


@pytest.fixture(scope="session")
def tools(pytestconfig: pytest.Config) -> Tools:
    """Helm, schemas and linters."""
    try:
        with timed(pytestconfig, "deployment tools: install"):
            return prepare_tools()
    except ProgramError as error:
        unavailable(f"the tools that look at the deployment files cannot be had: {error}")


@pytest.fixture(scope="session")
def releases(tools: Tools) -> dict[str, Any]:
    """Every release, installed by the real Helm engine into a cluster that is none."""
    return dict(tools.look(chart=str(ROOT / "helm"), releases=RELEASES)["releases"])


PICTURE = encode(photo_like(480, 360), "JPEG", quality=90)


def at(documents: list[dict[str, Any]], endpoint: str) -> list[dict[str, Any]]:
    """Put the store's real address where the values had none."""
    text = json.dumps(documents)
    assert "//store.test" in text
    return list(json.loads(re.sub("https?://store.test", endpoint, text)))


def secret(name: str, **files: bytes) -> dict[str, Any]:
    """A Secret, as `kubectl create secret` makes it."""
    data = {file.replace("__", "."): base64.b64encode(content).decode() for file, content in files.items()}
    return {"kind": "Secret", "metadata": {"name": name}, "data": data}


@pytest.fixture(scope="module")
def plain_pod(releases: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """The chart with keys and store in its values, started."""
    folder = tmp_path_factory.mktemp("pod")
    with (
        threaded_store(FakeStore(objects={"/photos/cat.jpg": PICTURE})) as endpoint,
        running_pod(at(releases["pod"]["documents"], endpoint), folder) as pod,
    ):
        yield pod


@pytest.fixture(scope="module")
def whole_pod(releases: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pod]:
    """The chart with every Secret made elsewhere, TLS with client certificates, and an https store of a private CA."""
    folder = tmp_path_factory.mktemp("certificates")
    authority, master = Authority(), new_master_key()
    ca = authority.write(folder / "ca.pem")
    server, client = authority.issue(folder / "server.pem"), authority.issue(folder / "client.pem")
    sealed = KEYS.replace('secret = "pod-secret"', f'secret_enc = "{MasterKeys(master).seal(Secret("pod-secret"))}"')
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(client)
    made_elsewhere = [
        secret("keys", keys__toml=sealed.encode()),
        secret("master", **{"master-key": master.reveal().encode()}),
        secret("store", **{"access-key": b"up", "secret-key": b"store-secret\n"}),
        secret("tls", tls__crt=server.read_bytes(), tls__key=server.read_bytes(), ca__crt=ca.read_bytes()),
        {"kind": "ConfigMap", "metadata": {"name": "store-ca"}, "data": {"ca.crt": ca.read_text()}},
    ]
    with threaded_store(FakeStore(objects={"/photos/cat.jpg": PICTURE}), server) as endpoint:
        documents = at(releases["everything"]["documents"], endpoint) + made_elsewhere
        with running_pod(documents, tmp_path_factory.mktemp("pod"), context) as pod:
            yield pod


@pytest.fixture(scope="module")
def shown_metrics(whole_pod: Pod) -> dict[str, set[str]]:
    """The metrics that a gateway with everything on shows after a refusal and a score, and the labels of each."""
    whole_pod.get("/photos/cat.jpg", secret="wrong")
    assert whole_pod.get("/photos/cat.jpg", "x-oss-process=image%2Fscore", secret="pod-secret")[0] == 200
    text = whole_pod.admin("/metrics")
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^([a-z_]+)(?:\{(.*)\})? ", text, re.MULTILINE):
        found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found
