"""A sandbox for the doctor's tests, and a home for each."""

from pathlib import Path

import pytest

from runapi_mcp.sandbox.app import start_in_thread
from tests.support.doctor_world import Home


@pytest.fixture(scope="session")
def base_url() -> str:
    return start_in_thread(draw_seconds=0).base_url


@pytest.fixture
def home(tmp_path: Path, base_url: str) -> Home:
    return Home(tmp_path, base_url)
