"""What all tests share."""

import os
from collections.abc import Mapping
from typing import Any

import pytest

from tests.virtual_time import BACKEND


@pytest.fixture
def anyio_backend() -> tuple[str, Mapping[str, Any]]:
    """Virtual time, unless a module says that it needs sockets."""
    return BACKEND


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No key, proxy or config file of whoever runs the tests."""
    for name in list(os.environ):
        if name.startswith(("RUNAPI_", "XDG_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
