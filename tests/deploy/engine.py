"""Run by the tools' own Python: the real Helm engine installs a chart into a cluster that is none; schemas; PromQL.

Reads JSON with any of these, and prints as JSON, under the same names, what it made of each:
`releases` {name: values, or the name of a file of values} of the chart `chart`, `documents` [Kubernetes document],
`expressions` [PromQL], `compose` a file's name.
"""

import asyncio
import json
import shutil
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

import helm_sdkpy
import jsonschema
import kubernetes_validate
import promql_parser
import yaml

VERSIONS = ("1.28", "1.33")
_KINDS = {
    "v1": ["ConfigMap", "Secret", "Service", "ServiceAccount", "Pod"],
    "apps/v1": ["Deployment"],
    "autoscaling/v2": ["HorizontalPodAutoscaler"],
    "policy/v1": ["PodDisruptionBudget"],
    "networking.k8s.io/v1": ["NetworkPolicy", "Ingress"],
    "monitoring.coreos.com/v1": ["ServiceMonitor", "PrometheusRule"],
    "gateway.networking.k8s.io/v1": ["HTTPRoute"],
}
_NOT_KUBERNETES = ("monitoring.coreos.com/", "gateway.networking.k8s.io/")
_PLURALS = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses"}
_CONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:%d"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users: [{name: u, user: {}}]
current-context: c
"""


class Cluster(BaseHTTPRequestHandler):
    """Says which kinds there are, finds nothing, and takes whatever is created."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        version = path.removeprefix("/apis/").removeprefix("/api/")
        if path == "/version":
            self._answer({"major": "1", "minor": "33", "gitVersion": "v1.33.0"})
        elif path == "/api":
            self._answer({"kind": "APIVersions", "versions": ["v1"]})
        elif path == "/apis":
            self._answer(
                {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(v) for v in _KINDS if "/" in v]}
            )
        elif version in _KINDS:
            rows = [_resource(kind) for kind in _KINDS[version]]
            self._answer({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": rows})
        elif path.endswith("/secrets"):
            self._answer({"kind": "SecretList", "apiVersion": "v1", "metadata": {}, "items": []})
        else:
            self._answer({"kind": "Status", "apiVersion": "v1", "reason": "NotFound", "code": 404}, 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_json = "json" in self.headers.get("Content-Type", "")  # Helm's own records come in another form
        self._answer(
            json.loads(body) if is_json else {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "r"}}, 201
        )

    do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815 # names that the base class looks for

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, document: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _group(version: str) -> dict[str, Any]:
    row = {"groupVersion": version, "version": version.partition("/")[2]}
    return {"name": version.partition("/")[0], "versions": [row], "preferredVersion": row}


def _resource(kind: str) -> dict[str, Any]:
    name = _PLURALS.get(kind, f"{kind.lower()}s")
    verbs = ["get", "list", "create", "update", "patch", "delete", "watch"]
    return {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": verbs}


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {k: _merged(base[k], v) for k, v in over.items() if isinstance(v, dict) and isinstance(base.get(k), dict)}
    return {**base, **over, **both}


async def lint(config: helm_sdkpy.Configuration, chart: Path, values: dict[str, Any]) -> list[str]:
    """Lint the chart as it is with these values; return what is worse than a hint."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(chart, Path(folder) / chart.name)
        merged = _merged(yaml.safe_load((chart / "values.yaml").read_text()), values)
        (copy / "values.yaml").write_text(yaml.safe_dump(merged))
        try:
            found = await helm_sdkpy.Lint(config).run(str(copy))
        except helm_sdkpy.HelmError as error:
            return [str(error)]
        severe = [f"{row['Path']}: {row['Err']}" for row in found["Messages"] or [] if row["Severity"] > 1]
        return severe + [str(error) for error in found["Errors"] or []]


def problems(document: dict[str, Any], version: str) -> list[str]:
    """Return what a Kubernetes API server of that version would not take; nothing about other projects' kinds."""
    if document["apiVersion"].startswith(_NOT_KUBERNETES):
        return []
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except Exception as error:  # noqa: BLE001 # what is raised has no common class
        return [f"{document['kind']} {document['metadata']['name']} at {version}: {error}"]
    return []


async def release(config: helm_sdkpy.Configuration, chart: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Install the chart and tell what it created."""
    linted = await lint(config, chart, values)
    try:
        made = await helm_sdkpy.Install(config).run("rel", str(chart), values, wait=False, timeout=30)
    except helm_sdkpy.HelmError as error:
        return {"lint": linted, "error": str(error)}
    documents = [document for document in yaml.safe_load_all(made["manifest"]) if document]
    hooks = [yaml.safe_load(hook["manifest"]) for hook in made.get("hooks") or []]
    return {
        "lint": linted,
        "documents": documents,
        "hooks": hooks,
        "notes": made["info"].get("notes", ""),
        "problems": [p for version in VERSIONS for d in documents + hooks for p in problems(d, version)],
    }


def selectors(expression: str) -> list[dict[str, Any]]:
    """Return the metrics that a PromQL expression reads, with the labels that it names. Raises ValueError."""
    found = []

    def note(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append({"metric": node.name, "labels": [matcher.name for matcher in node.matchers.matchers]})

    promql_parser.walk(promql_parser.parse(expression), note)
    return found


def composed(path: str) -> dict[str, Any]:
    """Return a compose file, and what the compose specification's schema has against it."""
    schema = json.loads((files("compose") / "config" / "compose_spec.json").read_text())
    document = yaml.safe_load(Path(path).read_text())
    errors = jsonschema.Draft7Validator(schema).iter_errors(document)
    return {"document": document, "problems": [f"{error.json_path}: {error.message}" for error in errors]}


async def releases(given: dict[str, Any]) -> dict[str, Any]:
    """Install every release into the cluster that is none."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cluster)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = helm_sdkpy.Configuration(namespace="default", kubeconfig=_CONFIG % server.server_port)
    made = {}
    for name, values in given["releases"].items():
        made[name] = await release(config, Path(given["chart"]), values)
    return made


def main() -> None:
    """Do what standard input asks for."""
    given = json.load(sys.stdin)
    answer: dict[str, Any] = {}
    if "releases" in given:
        rows = given["releases"].items()
        given["releases"] = {n: yaml.safe_load(Path(v).read_text()) if isinstance(v, str) else v for n, v in rows}
        answer["releases"] = asyncio.run(releases(given))
    if "documents" in given:
        answer["documents"] = [problems(document, VERSIONS[-1]) for document in given["documents"]]
    if "expressions" in given:
        answer["expressions"] = [selectors(expression) for expression in given["expressions"]]
    if "compose" in given:
        answer["compose"] = composed(given["compose"])
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
