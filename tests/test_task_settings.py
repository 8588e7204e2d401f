from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gateway.settings import SettingsError, load, masked

if TYPE_CHECKING:
    from pathlib import Path

STORE = {"upstream": {"main": {"endpoint": "http://s"}}}


def test_where_tasks_are_kept_may_hold_a_secret_and_is_never_shown(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://u:hush@h:6379/1\n")
    settings = load(None, {"GATEWAY_TASKS__URL_FILE": str(tmp_path / "url")}, STORE)
    assert settings.tasks.url.reveal() == "redis://u:hush@h:6379/1"
    assert "hush" not in json.dumps(masked(settings)) + repr(settings)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"url": "http://h"}, "must start with redis://"),
        ({"concurrent": 0}, "must not be 0"),
        ({"lease_s": 0.0}, "lease_s less than"),
    ],
)
def test_settings_under_which_no_task_would_end_are_mistakes(table: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load(None, {}, {**STORE, "tasks": table})
