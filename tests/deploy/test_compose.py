"""compose.yaml: what the specification takes, what the gateway's settings know, as narrow as the chart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.settings import load
from tests.deploy.dockerfile import read_stages
from tests.deploy.tools import ROOT

if TYPE_CHECKING:
    from tests.deploy.tools import Tools

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def compose(tools: Tools) -> dict[str, Any]:
    found = tools.look(compose=str(ROOT / "compose.yaml"))["compose"]
    assert found["problems"] == []
    return dict(found["document"])


def test_a_mistake_would_have_been_seen(tools: Tools, tmp_path: Any) -> None:
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((ROOT / "compose.yaml").read_text().replace("read_only: true", "readonly: true", 1))
    assert tools.look(compose=str(wrong))["compose"]["problems"]


def test_the_gateway_is_in_front_of_the_store_and_beside_the_cache(compose: dict[str, Any]) -> None:
    gateway, store = compose["services"]["gateway"], compose["services"]["store"]
    assert set(gateway["depends_on"]) == {"store", "valkey"} == set(compose["services"]) - {"gateway"}
    given = {name: str(value) for name, value in gateway["environment"].items()}
    assert given["GATEWAY_CACHE__URL"].startswith("redis://valkey:")
    settings = load(ROOT / "config" / "gateway.toml", given)
    main = settings.upstream["main"]
    assert main.endpoint == "http://store:9000"
    assert [main.access_key, main.secret.reveal()] == list(store["environment"].values())
    assert settings.keys.file == f"/run/secrets/{gateway['secrets'][0]}"
    assert gateway["volumes"][0].split(":")[:2] == ["./config/gateway.toml", given["GATEWAY_CONFIG"]]
    (stage,) = [stage for stage in read_stages((ROOT / "Dockerfile").read_text()) if not stage.name]
    exposed = next(value for name, value in stage.steps if name == "EXPOSE").split()
    assert [port.split(":")[-1] in exposed for port in gateway["ports"]] == [True]


def test_it_is_as_narrow_as_the_chart(compose: dict[str, Any]) -> None:
    gateway = compose["services"]["gateway"]
    assert (gateway["read_only"], gateway["cap_drop"]) == (True, ["ALL"])
    assert gateway["security_opt"] == ["no-new-privileges:true"]
    assert all(row["ports"][0].startswith("127.0.0.1:") for row in compose["services"].values() if "ports" in row)
    drain = load(None, {"GATEWAY_UPSTREAM__M__ENDPOINT": "http://s"}).server
    assert int(gateway["stop_grace_period"].removesuffix("s")) >= drain.drain_pause_s + 2 * drain.drain_s + 4
