"""What a test does when the machine lacks what it needs: skip with the reason, or fail where skipping would hide it."""

from __future__ import annotations

import os
import platform
from typing import NoReturn

import pytest


def is_root_on_debian() -> bool:
    """Tell whether packages can be installed here."""
    try:
        return os.geteuid() == 0 and platform.freedesktop_os_release().get("ID") == "debian"
    except OSError:
        return False


def unavailable(reason: str) -> NoReturn:
    """Skip; but fail in continuous integration on Debian as root, where everything can be had."""
    if os.environ.get("CI") == "true" and is_root_on_debian():
        pytest.fail(reason)
    pytest.skip(reason)
