"""A project that the server is started in, and a photo outside of it."""

from pathlib import Path

import pytest

from tests.support.photos import photo


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server is started in a folder of a project."""
    root = tmp_path / "project"
    (root / ".git").mkdir(parents=True)
    (root / "web" / "assets").mkdir(parents=True)
    monkeypatch.chdir(root / "web")
    return root


@pytest.fixture
def fox(tmp_path: Path) -> Path:
    """A photo that may be taken."""
    return photo(tmp_path / "photos" / "fox.png", seed=50)
