"""A sandbox for the doctor's tests of one file, and a home for each."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.doctor_world import Home, sandbox


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with sandbox() as address:
        yield address


@pytest.fixture
def home(tmp_path: Path, base_url: str) -> Home:
    return Home(tmp_path, base_url)
