from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.credentials import Secret
from gateway.settings import (
    SettingsError,
    default_dialect,
    host_map,
    load,
    masked,
    reserved_hosts,
    route,
    split_listen,
)

ROOT = Path(__file__).resolve().parent.parent
STORE = {"upstream": {"main": {"endpoint": "http://s"}}}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    return path


def test_the_environment_wins_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    path = written(tmp_path, '[server]\nlisten="0.0.0.0:1"\nworkers=2\n[upstream.main]\nendpoint="http://s"\n')
    settings = load(path, {"GATEWAY_LISTEN": "127.0.0.1:2", "GATEWAY_SERVER__SCORERS": "3", "GATEWAY_CONFIG": "x"})
    server = settings.server
    assert (server.listen, server.workers, server.scorers, server.admin_listen) == (
        "127.0.0.1:2",
        2,
        3,
        "127.0.0.1:9001",
    )


def test_a_store_can_come_from_the_environment_alone_with_its_secret_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush\n")
    environ = {
        "GATEWAY_UPSTREAM__MAIN__ENDPOINT": "https://s3.example",
        "GATEWAY_UPSTREAM__MAIN__ACCESS_KEY": "ak",
        "GATEWAY_UPSTREAM__MAIN__SECRET_FILE": str(tmp_path / "secret"),
        "GATEWAY_LIMITS__MAX_BYTES": "1000",
        "GATEWAY_BUCKETS__PHOTOS__ALIASES": "a, b",
        "GATEWAY_BUCKETS__PHOTOS__SCORING": "false",
    }
    settings = load(None, environ)
    assert settings.upstream["main"].secret == Secret("hush")
    assert settings.limits.max_bytes == 1000
    assert settings.buckets["photos"].aliases == ("a", "b")
    assert settings.buckets["photos"].scoring is False


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        '[server]\nlistn="x"\nworkers="many"\nscorers=-1\n[upstream.main]\nregion="r"\naddressing="odd"\n'
        "[buckets.b]\nscoring=3\naliases=[1]\n[limits]\nmax_bytes=1.5\n",
    )
    with pytest.raises(SettingsError) as caught:
        load(path, {"GATEWAY_COLOUR": "red", "GATEWAY_UPSTREAM__MAIN__SECRET_FILE": "/nonexistent"})
    text = str(caught.value)
    for words in (
        "server.listn: unknown",
        "server.workers: must be a whole number",
        "server.scorers: must be a whole number",
        "upstream.main.endpoint: is needed",
        "upstream.main.addressing: must be 'path' or 'virtual'",
        "buckets.b.scoring: must be true or false",
        "buckets.b.aliases: must be a list of texts",
        "limits.max_bytes: must be a whole number",
        "GATEWAY_COLOUR: no such setting",
        "GATEWAY_UPSTREAM__MAIN__SECRET_FILE: cannot read /nonexistent",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "no store"),
        ({"upstream": {"m": {"endpoint": "s3.example"}}}, "must start with http"),
        ({"upstream": {"m": {"endpoint": "http://s", "access_key": "a"}}}, "are needed together"),
        ({"upstream": {"m": {"endpoint": "http://s", "connect_timeout_s": 0}}}, "m.connect_timeout_s: must not be 0"),
        ({"upstream": {"m": {"endpoint": "http://s", "response_timeout_s": 0}}}, "m.response_timeout_s: must not be 0"),
        ({"upstream": {"m": {"endpoint": "http://s", "breaker_pause_s": 0}}}, "m.breaker_pause_s: must not be 0"),
        ({"upstream": {"m": {"endpoint": "http://s", "retry_share": 2}}}, "m.retry_share: must not be more than 1"),
        ({**STORE, "buckets": {"b": {"upstream": "other"}}}, "there is no [upstream.other]"),
        ({**STORE, "buckets": {"b": {"anonymous": "configured"}}}, "anonymous_prefixes: is needed"),
        ({**STORE, "buckets": {"b": {"aliases": ["c"]}, "c": {}}}, "c already belongs to bucket b"),
        ({**STORE, "buckets": {"b": {"hosts": ["H"]}, "c": {"hosts": ["h"]}}}, "host h already belongs"),
        ({**STORE, "server": {"listen": "9000"}}, "must be HOST:PORT"),
        ({**STORE, "buckets": {"b": {"styles": {"a b": "image/score"}}}}, "buckets.b.styles: 'a b' must be 1 to 63"),
        ({**STORE, "buckets": {"b": {"styles": {"a": "style/b"}}}}, "buckets.b.styles.a: a style cannot stand"),
        ({**STORE, "buckets": {"b": {"styles": {"a": 3}}}}, "buckets.b.styles.a: must be a text"),
        ({**STORE, "server": {"workers": 0}}, "at least 1"),
        ({**STORE, "server": {"silence_s": 0}}, "server.silence_s: must be at least 0.1"),
        ({**STORE, "server": {"silence_s": -1}}, "server.silence_s: must be a number that is not negative"),
        ({**STORE, "server": {"silence_s": 1e-7}}, "server.silence_s: must be at least 0.1"),
        ({**STORE, "telemetry": {"store_check_s": 1e-7}}, "telemetry.store_check_s: must be at least 0.1"),
        ({**STORE, "dialects": {"s3": {"strict_limits": True}}}, "dialects.s3.strict_limits: no vendor's limits"),
        ({**STORE, "dialects": {"cos": {"strict_limits": "very"}}}, "dialects.cos.strict_limits: must be true or"),
        ({**STORE, "limits": {"formats": ["jpeg", "jpg"]}}, "limits.formats: there is no 'jpg'"),
        ({**STORE, "server": 3}, "server: must be a table"),
        ({"upstream": "http://s"}, "upstream: must be a table"),
        ({"upstream": {"m": "http://s"}}, "upstream.m: must be a table"),
        ({**STORE, "buckets": "photos"}, "buckets: must be a table"),
        ({**STORE, "clouds": [1]}, "clouds: must be a table"),
        ({**STORE, "clouds": {"c": {"bucket": "b", "presets": ["p"]}}}, "clouds.c.presets: must be a table"),
        ({**STORE, "buckets": {"b": {"styles": "image/score"}}}, "buckets.b.styles: must be a table"),
        ({**STORE, "server": {"drain_s": 10**400}}, "server.drain_s: must be a number that is not negative"),
        ({**STORE, "server": {"workers": float("inf")}}, "server.workers: must be a whole number"),
        ({**STORE, "server": {"listen": "127.0.0.1:²"}}, "server.listen: must be HOST:PORT"),
        ({**STORE, "server": {"scorer_queue": 10**20}}, "server.scorer_queue: must not be more than 65535"),
    ],
)
def test_a_contradiction_is_named(table: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {}, table)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        *("http://", "http:///x", "http://h:99999", "http://h:0", "http://h:x", "http://h:²", "http://[::1"),
        *(
            "http://[z]",
            "http://h?x",
            "http://h/?",
            "http://h#x",
            "http://u:hush@h",
            "http://h h",
            "http://h/a b",
            "http://h\n",
        ),
        *("http://h\\x", "http://bücher", "http://a..b", f"http://{'a' * 64}"),
    ],
)
def test_an_endpoint_to_which_no_request_can_go_is_named(endpoint: str) -> None:
    words = r"^upstream\.m\.endpoint, endpoints: must be a scheme and a host, .* and with neither user nor query$"
    for row in ({"endpoint": endpoint}, {"endpoint": "http://h", "endpoints": ["http://i", endpoint]}):
        with pytest.raises(SettingsError, match=words):
            load(None, {}, {"upstream": {"m": row}})


@pytest.mark.parametrize("endpoint", ["http://h:65535/base/path/", "https://[::1]:9000", "http://a_b", "http://h:"])
def test_an_endpoint_may_have_a_port_and_the_beginning_of_a_path(endpoint: str) -> None:
    assert load(None, {}, {"upstream": {"m": {"endpoint": endpoint}}}).upstream["m"].endpoint == endpoint


def test_a_text_of_the_environment_is_no_table() -> None:
    with pytest.raises(SettingsError, match=r"^buckets\.b\.styles: must be a table$"):
        load(None, {"GATEWAY_BUCKETS__B__STYLES": "x"}, {**STORE})


@pytest.mark.parametrize(
    "text",
    ["[server", "\xff", f"x={'[' * 2000}{']' * 2000}", f"x={'1' * 5000}"],
    ids=["cut", "bytes", "brackets", "digits"],
)
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsError, match="not valid TOML"):
        load(path, {})
    with pytest.raises(SettingsError, match="cannot read"):
        load(tmp_path / "gone.toml", {})


def test_a_secret_in_a_file_that_is_no_text_is_named_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"hush\xff")
    with pytest.raises(SettingsError, match=r"^GATEWAY_KEYS__MASTER_KEY_FILE: .*/secret is not UTF-8 text$"):
        load(None, {"GATEWAY_KEYS__MASTER_KEY_FILE": str(tmp_path / "secret")}, {**STORE})


def test_the_commented_sample_is_a_good_configuration() -> None:
    settings = load(ROOT / "config" / "gateway.toml", {})
    assert settings.upstream


def test_a_bucket_is_found_by_name_and_alias_and_an_unknown_one_is_itself() -> None:
    row = {"aliases": ["demo-125"], "store_name": "real", "upstream": "two"}
    table = {"upstream": {"one": {"endpoint": "http://1"}, "two": {"endpoint": "http://2"}}, "buckets": {"demo": row}}
    settings = load(None, {}, table)
    assert [route(settings, name).store_name for name in ("demo", "demo-125", "x")] == ["real", "real", "x"]
    assert [route(settings, name).upstream for name in ("demo-125", "x")] == ["two", "one"]
    assert route(settings, "demo-125").name == "demo"


def test_hosts_and_dialects_come_out_of_the_settings() -> None:
    table = {
        **STORE,
        "dialects": {"oss": {"hosts": ["O.x", "long.O.x"]}, "cos": {"default_for_anonymous": True}},
        "buckets": {"b": {"hosts": ["Img.Example"]}},
    }
    settings = load(None, {}, table)
    assert host_map(settings).suffixes == (("long.o.x", "oss"), ("o.x", "oss"))
    assert host_map(settings).bound == {"img.example": "b"}
    assert default_dialect(settings) == "cos"
    assert default_dialect(load(None, {}, STORE)) == "s3"


def test_vendors_limits_are_off_until_asked_for() -> None:
    dialects = load(None, {"GATEWAY_DIALECTS__OSS__STRICT_LIMITS": "true"}, STORE).dialects
    assert (dialects.s3.strict_limits, dialects.oss.strict_limits, dialects.cos.strict_limits) == (False, True, False)


def test_shown_settings_hide_the_secret() -> None:
    table = {"upstream": {"m": {"endpoint": "http://s", "access_key": "a", "secret": "hush"}}}
    shown = json.dumps(masked(load(None, {}, table)))
    assert "hush" not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("h:1", ("h", 1)),
        ("[::]:9", ("::", 9)),
        (":1", None),
        ("h", None),
        ("h:x", None),
        ("h:99999", None),
        ("h:²", None),
        (f"h:{'1' * 5000}", None),
    ],
)
def test_an_address_to_listen_on_is_host_and_port(text: str, parts: tuple[str, int] | None) -> None:
    assert split_listen(text) == parts


CLOUDS = {"demo": {"bucket": "demo", "presets": {"p": {"quality_analysis": True, "tags": ["a", "b"]}}}}


def test_a_cloud_needs_a_bucket_and_its_presets_are_parameters() -> None:
    cloud = load(None, {"GATEWAY_CLOUDS__DEMO__EXTENDED_ANALYSIS": "true"}, {**STORE, "clouds": CLOUDS}).clouds["demo"]
    assert (cloud.bucket, cloud.extended_analysis) == ("demo", True)
    assert cloud.presets["p"].fields == {"quality_analysis": "true", "tags": "a,b"}


def test_what_no_cloud_can_mean_is_named() -> None:
    tables = {
        "clouds": {
            "a/b": {"bucket": "x"},
            "demo": {
                "bucket": "demo",
                "presets": {"p": {"unsigned": True, "detection": "faces"}},
                "signature_versions": ["3"],
                "delivery_host": "s3.example:9000",
            },
        },
        "dialects": {"s3": {"hosts": ["s3.example"]}},
        "tasks": {"url": "http://redis"},
    }
    with pytest.raises(SettingsError) as caught:
        load(None, {}, {**STORE, **tables})
    for words in (
        "clouds.a/b: a name without '/'",
        "clouds.demo.identity: is needed by the unsigned preset p",
        "clouds.demo.signature_versions",
        "clouds.demo.presets.p.detection",
        "delivery host s3.example already means something else",
        "tasks.url: must start with",
    ):
        assert words in str(caught.value)


def test_reserved_paths_belong_to_the_apis_that_are_answered() -> None:
    clouds = {"demo": {"bucket": "demo", "delivery_host": "Res.example:9000"}}
    dialects = {"cloudinary": {"hosts": ["API.example"]}, "sightengine": {"enabled": False}}
    settings = load(None, {}, {**STORE, "clouds": clouds, "dialects": dialects})
    found = reserved_hosts(settings)
    assert found["cloudinary"] == ("api.example",)
    assert found["cloudinary-delivery"] == ("res.example",)
    assert "sightengine" not in found


@pytest.mark.parametrize(
    ("url", "words"), [("http://cache", "must start with redis://"), ("redis://cache", "optional package")]
)
def test_a_shared_cache_that_cannot_be_used_is_told_at_start(
    monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    monkeypatch.setattr("gateway.stores.redis_url.find_spec", lambda _name: None)
    with pytest.raises(SettingsError, match=f"cache.url: .*{words}"):
        load(None, {"GATEWAY_CACHE__URL": url}, STORE)


@pytest.mark.parametrize("url", ["redis://u:hidden@cache:63x79/0", "redis://u:hidden@cache:636379", "redis://[::1"])
def test_a_shared_caches_url_is_read_as_its_client_reads_it(url: str) -> None:
    with pytest.raises(SettingsError, match=r"cache\.url: is not a URL of a Redis") as told:
        load(None, {"GATEWAY_CACHE__URL": url}, STORE)
    assert "hidden" not in str(told.value)
    load(None, {"GATEWAY_CACHE__URL": "unix:///run/redis.sock?db=1"}, STORE)
