"""The chart: linted, rendered and validated by the real engine and schemas; the parts fit each other."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from gateway.imaging.limits import Limits
from gateway.metrics import HANDSHAKES_FAILED, METRICS, OTLP_EXPORTS
from gateway.settings import SettingsError, load
from tests.deploy.conftest import RELEASES
from tests.deploy.tools import ROOT, container, of_kind
from tests.node.packages import prepare_node
from tests.stores_up.programs import ProgramError
from tests.stores_up.required import unavailable

if TYPE_CHECKING:
    from tests.deploy.tools import Tools

pytestmark = pytest.mark.timeout(400)
GOOD = [name for name in RELEASES if not name.startswith("bad:")]
NOT_OURS = {"up"}  # Prometheus' own
# Shown only once there was something to count.
OCCASIONAL = {name: set(METRICS[name].labels) for name in (HANDSHAKES_FAILED, OTLP_EXPORTS)}


@pytest.mark.parametrize("name", GOOD)
def test_a_release_lints_renders_and_is_what_kubernetes_takes(releases: dict[str, Any], name: str) -> None:
    made = releases[name]
    assert (made["lint"], made.get("error")) == ([], None)
    assert made["problems"] == []
    assert made["notes"].startswith("s3-score-gateway")


def test_the_four_that_people_start_from_are_among_them() -> None:
    assert {"default", "minimal", "production", "air-gapped"} <= set(GOOD)


def test_the_validator_would_have_seen_a_mistake(tools: Tools, releases: dict[str, Any]) -> None:
    (deployment,) = of_kind(releases["minimal"]["documents"], "Deployment")
    typo = json.loads(json.dumps(deployment))
    container(typo)["livenesProbe"] = typo["spec"]["template"]["spec"]["containers"][0].pop("livenessProbe")
    typo["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    wrong = json.loads(json.dumps(deployment))
    wrong["spec"]["replicas"] = "two"
    found = tools.look(documents=[deployment, typo, wrong])["documents"]
    assert [bool(problems) for problems in found] == [False, True, True]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bad: unknown", "imagge"),
        ("bad: unknown below", "endpont"),
        ("bad: endpoint", "/store/endpoint"),
        ("bad: type", "/replicas"),
        ("bad: secret missing", "store.secretKey is needed with store.accessKey"),
    ],
)
def test_values_that_are_none_are_refused_by_name(releases: dict[str, Any], name: str, words: str) -> None:
    assert words in releases[name]["error"]


@pytest.mark.parametrize("name", GOOD)
def test_every_pod_is_restricted(releases: dict[str, Any], name: str) -> None:
    """Pod Security Standards, profile "restricted", and a read-only root on top of it."""
    made = releases[name]
    specs = [row["spec"]["template"]["spec"] for row in of_kind(made["documents"], "Deployment")]
    specs += [row["spec"] for row in made["hooks"]]
    assert len(specs) == 2
    for spec in specs:
        assert spec["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert all(set(volume) & {"configMap", "secret", "emptyDir"} for volume in spec.get("volumes", []))
        for box in spec["containers"]:
            security = box["securityContext"]
            assert (security["runAsUser"], security["runAsNonRoot"], security["readOnlyRootFilesystem"]) == (
                65_532,
                True,
                True,
            )
            assert (security["allowPrivilegeEscalation"], security["capabilities"]) == (False, {"drop": ["ALL"]})
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}
            assert box["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", GOOD)
def test_the_parts_of_a_release_find_each_other(releases: dict[str, Any], name: str) -> None:
    documents = releases[name]["documents"]
    (deployment,) = of_kind(documents, "Deployment")
    pod = deployment["spec"]["template"]
    labels, ports = pod["metadata"]["labels"], {row["name"] for row in container(deployment)["ports"]}
    selectors = [deployment["spec"]["selector"]["matchLabels"]]
    selectors += [row["spec"]["selector"] for row in of_kind(documents, "Service")]
    selectors += [row["spec"]["selector"]["matchLabels"] for row in of_kind(documents, "PodDisruptionBudget")]
    selectors += [row["spec"]["podSelector"]["matchLabels"] for row in of_kind(documents, "NetworkPolicy")]
    selectors += [row["labelSelector"]["matchLabels"] for row in pod["spec"].get("topologySpreadConstraints", [])]
    assert all(selector.items() <= labels.items() for selector in selectors)
    assert all(not selectors[0].items() <= hook["metadata"]["labels"].items() for hook in releases[name]["hooks"])
    targets = {port["targetPort"] for row in of_kind(documents, "Service") for port in row["spec"]["ports"]}
    assert targets == ports
    for scaler in of_kind(documents, "HorizontalPodAutoscaler"):
        assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
        assert "replicas" not in deployment["spec"]
    for monitor in of_kind(documents, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        found = [row for row in of_kind(documents, "Service") if wanted.items() <= row["metadata"]["labels"].items()]
        assert [port["name"] for row in found for port in row["spec"]["ports"]] == ["admin"]
        assert monitor["spec"]["endpoints"][0]["port"] == "admin"


def test_nothing_that_reaches_the_outside_leads_to_the_admin_port(releases: dict[str, Any]) -> None:
    for name in ("production", "air-gapped"):
        documents = releases[name]["documents"]
        public = of_kind(documents, "Ingress") + of_kind(documents, "HTTPRoute")
        assert public
        assert "admin" not in json.dumps([row["spec"] for row in public])


@pytest.mark.parametrize("name", GOOD)
def test_kubernetes_waits_for_as_long_as_the_gateway_may_drain(releases: dict[str, Any], name: str) -> None:
    (deployment,) = of_kind(releases[name]["documents"], "Deployment")
    given = {row["name"]: row["value"] for row in container(deployment)["env"]}
    pause_s = float(given["GATEWAY_SERVER__DRAIN_PAUSE_S"])
    longest_s = pause_s + 2 * float(given["GATEWAY_SERVER__DRAIN_S"]) + 4  # as the supervisor counts before it kills
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] >= longest_s
    assert pause_s >= 2, "load balancers need a moment to look away"


@pytest.mark.parametrize("name", GOOD)
def test_the_memory_limit_covers_what_the_scorers_may_take(releases: dict[str, Any], name: str) -> None:
    (deployment,) = of_kind(releases[name]["documents"], "Deployment")
    given = {row["name"]: row["value"] for row in container(deployment)["env"]}
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", container(deployment)["resources"]["limits"]["memory"]).groups()  # type: ignore[union-attr] # a limit is there
    scorers, largest = int(given["GATEWAY_SCORERS"]), Limits().max_memory_bytes
    heavy = max(scorers // 4, 1)
    needed = heavy * largest + (scorers - heavy) * largest / 3 + int(given["GATEWAY_WORKERS"]) * 128 * 2**20
    assert int(number) * {"Mi": 2**20, "Gi": 2**30}[unit] >= needed


def test_new_keys_and_new_settings_roll_the_pods(releases: dict[str, Any]) -> None:
    def sums(name: str) -> dict[str, str]:
        (deployment,) = of_kind(releases[name]["documents"], "Deployment")
        return dict(deployment["spec"]["template"]["metadata"]["annotations"])

    first, keys, settings = sums("pod"), sums("pod with another key"), sums("pod with other settings")
    assert {name for name in first if first[name] != keys.get(name)} == {"checksum/keys", "checksum/store"}
    assert first["checksum/config"] == keys["checksum/config"] != settings["checksum/config"]
    assert first["checksum/keys"] == settings["checksum/keys"] != keys["checksum/keys"]


@pytest.mark.parametrize("name", GOOD)
def test_every_variable_is_a_setting_and_every_file_lies_where_something_is_mounted(
    releases: dict[str, Any], name: str
) -> None:
    (deployment,) = of_kind(releases[name]["documents"], "Deployment")
    given = {row["name"]: row["value"] for row in container(deployment)["env"]}
    mounts = tuple(f"{row['mountPath']}/" for row in container(deployment)["volumeMounts"])
    files = {name for name, value in given.items() if value.startswith("/etc/gateway/")}
    assert all(given[name].startswith(mounts) for name in files)
    words = {name: "x" if name in files else value for name, value in given.items()}
    with pytest.raises(SettingsError) as caught:  # no file is here; whatever else is wrong is told at once with it
        load(None, {**words, "GATEWAY_UPSTREAM__MAIN__SECRET_FILE": "gone"})
    assert [line for line in str(caught.value).splitlines() if "No such file" not in line] == []


# --- what is watched ------------------------------------------------------------------------------------------------


def expressions(documents: list[dict[str, Any]]) -> list[str]:
    """Every PromQL expression of the alerts and the dashboard, Grafana's variables filled in."""
    (rules,) = of_kind(documents, "PrometheusRule")
    found = [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"]]
    (text,) = (
        row["data"]["s3-score-gateway.json"]
        for row in of_kind(documents, "ConfigMap")
        if "s3-score-gateway.json" in row["data"]
    )
    found += [target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]]
    queries = [row["query"] for row in json.loads(text)["templating"]["list"] if row["type"] == "query"]
    found += [re.sub(r"label_values\((.+), \w+\)", r"\1", query) for query in queries]
    return [expression.replace("$__rate_interval", "5m") for expression in found]


def test_alerts_and_dashboard_ask_for_metrics_and_labels_that_there_are(
    tools: Tools, releases: dict[str, Any], shown_metrics: dict[str, set[str]]
) -> None:
    asked = expressions(releases["everything"]["documents"])
    assert len(asked) > 15
    by_kubernetes = {"namespace", "service", "pod"}
    known = OCCASIONAL | shown_metrics
    for read in tools.look(expressions=asked)["expressions"]:
        assert read, "an expression that reads nothing"
        for selector in read:
            if selector["metric"] not in NOT_OURS:
                assert selector["metric"] in known
                assert set(selector["labels"]) - by_kubernetes <= known[selector["metric"]]


def test_the_metric_that_scales_is_there(releases: dict[str, Any], shown_metrics: dict[str, set[str]]) -> None:
    (scaler,) = of_kind(releases["production"]["documents"], "HorizontalPodAutoscaler")
    kinds = {row["type"]: row for row in scaler["spec"]["metrics"]}
    assert kinds["Resource"]["resource"]["name"] == "cpu"
    assert kinds["Pods"]["pods"]["metric"]["name"] in shown_metrics


def test_every_alert_says_what_to_do(releases: dict[str, Any]) -> None:
    (rules,) = of_kind(releases["everything"]["documents"], "PrometheusRule")
    for rule in rules["spec"]["groups"][0]["rules"]:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert {"summary", "description"} == set(rule["annotations"])


def test_panels_do_not_lie_over_each_other() -> None:
    panels = json.loads((ROOT / "helm" / "dashboards" / "gateway.json").read_text())["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_other_projects_kinds_are_what_their_own_definitions_say(releases: dict[str, Any]) -> None:
    try:
        node = prepare_node()
    except ProgramError as error:
        unavailable(f"Node and its packages cannot be had: {error}")
    kinds = ("ServiceMonitor", "PrometheusRule", "HTTPRoute")
    rows = [
        row
        for name in ("production", "air-gapped")
        for kind in kinds
        for row in of_kind(releases[name]["documents"], kind)
    ]
    assert {row["kind"] for row in rows} == set(kinds)
    wrong = json.loads(json.dumps(rows[0]))
    wrong["spec"]["endpoints" if wrong["kind"] == "ServiceMonitor" else "groups"] = "none"
    results = node.drive("custom_kinds", {"documents": [*rows, wrong]})["problems"]
    assert results[:-1] == [""] * len(rows)
    assert results[-1]
