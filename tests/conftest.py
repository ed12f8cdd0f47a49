"""What all tests share."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.virtual_time import BACKEND


@pytest.fixture
def anyio_backend() -> tuple[str, Mapping[str, Any]]:
    """Virtual time, unless a module says that it needs sockets."""
    return BACKEND


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_this_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No key, proxy, config file or ledger of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("RUNAPI_", "XDG_")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture(autouse=True)
def _a_home_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No config file or ledger of another test."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
