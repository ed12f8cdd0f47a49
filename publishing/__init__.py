"""What other programs and readers are given of this server, generated from the tools.

Each is a file of the repository and its text; a check compares them, so none can drift.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from publishing import (
    board,
    bundle,
    container,
    directories,
    front_answers,
    host_entries,
    host_pages,
    install_links,
    measures_table,
    page_blocks,
    plugin,
    registry,
    tool_snapshot,
)
from publishing.blocks import with_blocks
from publishing.project import Project, Start, Starts, read_project

__all__ = ["Project", "Start", "Starts", "generated", "read_project", "unexpected"]

GENERATORS = (
    registry,
    tool_snapshot,
    front_answers,
    host_entries,
    install_links,
    plugin,
    bundle,
    container,
    directories,
    board,
)
"""The modules that make files; each has `files(project)`."""


def generated(root: Path, starts: Starts | None = None) -> Iterator[tuple[Path, str]]:
    """Every generated file below the repository's root, with the text it must have.

    `starts` replaces the published command, for trying the files before anything is published.
    """
    project = read_project(root, starts)
    for name, text in _files(project).items():
        yield root / name, text
    for name, text in host_pages.pages().items():
        yield root / "docs" / "hosts" / name, text
    blocks = page_blocks.page_blocks(project)
    pages = {
        "README.md": blocks,
        "docs/tools.md": blocks,
        "docs/setup.md": blocks,
        "docs/waiting.md": {"hosts": host_pages.waiting_table()},
        "docs/hosting.md": {"measures": measures_table.measures_table()},
        "docs/doctor.md": {"hosts": host_pages.environment_table()},
    }
    for name, blocks in pages.items():
        page = root / name
        yield page, with_blocks(page.read_text("utf-8"), blocks)


def unexpected(root: Path) -> Iterator[Path]:
    """Files in the folders of generated ones that nothing here makes any more."""
    made = {path for path, _ in generated(root)} | {root / plugin.PLUGIN_FOLDER / plugin.ICON}
    for folder in ("manifests", "docs/hosts", ".claude-plugin", ".agents"):
        below = (root / folder).rglob("*")
        yield from (path for path in below if path.is_file() and path not in made)


def _files(project: Project) -> Mapping[str, str]:
    return {
        name: text for generator in GENERATORS for name, text in generator.files(project).items()
    }
