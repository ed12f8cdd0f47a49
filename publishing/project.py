"""What every manifest is made from. One source, so that no two of them can differ."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runapi_mcp import __version__

ICON: Final = "assets/icon.png"
"""The icon below the plugin's folder; drawn once, the only file there that is not generated."""


@dataclass(frozen=True, slots=True)
class Start:
    """A command that starts the server."""

    command: str
    args: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        return self.command, *self.args


@dataclass(frozen=True, slots=True)
class Starts:
    """How the server is started: what a person pastes, and what comes with a version."""

    newest: Start
    pinned: Start


@dataclass(frozen=True, slots=True)
class Project:
    """The project as its own packaging metadata tells it."""

    package: str
    version: str
    license: str
    python: str
    """The versions of Python that it runs on."""
    keywords: tuple[str, ...]
    repository: str
    dependencies: tuple[str, ...]
    constraints: tuple[str, ...]
    """The versions that it is checked with."""
    starts: Starts

    @property
    def owner(self) -> str:
        """Whose repository it is."""
        return self.repository.rstrip("/").rsplit("/", 2)[-2]

    @property
    def authors(self) -> dict[str, str]:
        """Who made it, as most manifests write it."""
        return {"name": f"The {self.package} authors", "url": self.repository}


def read_project(root: Path, starts: Starts | None = None) -> Project:
    """The facts from the repository's root; `starts` replaces the published command."""
    metadata: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    project = metadata["project"]  # Any: pyproject.toml, checked by pip itself
    name: str = project["name"]
    return Project(
        package=name,
        version=__version__,
        license=project["license"],
        python=project["requires-python"],
        keywords=tuple(project["keywords"]),
        repository=project["urls"]["Repository"],
        dependencies=tuple(project["dependencies"]),
        constraints=_constraints(root),
        starts=starts or _published(name),
    )


def _constraints(root: Path) -> tuple[str, ...]:
    lines = (root / "constraints.txt").read_text("utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def _published(package: str) -> Starts:
    return Starts(Start("uvx", (package,)), Start("uvx", (f"{package}@{__version__}",)))
