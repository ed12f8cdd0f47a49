"""A project's links lead install and uninstall nowhere; a user's own are theirs to make."""

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.hosts.table import host_named
from runapi_mcp.setup.install.host_entry import EntrySpec
from runapi_mcp.setup.install.install_log import InstallLog
from runapi_mcp.setup.install.installer import apply, plan_install, plan_uninstall
from tests.support.install_world import home
from tests.support.processes import finished

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="who may make links there, varies")

OURS: Final = json.dumps({"mcpServers": {"runapi": {"command": "runapi-mcp"}}})
KIRO: Final = Path(".kiro/settings/mcp.json")
BACKUP: Final = "mcp.json.runapi-20260101T000000000000Z.bak"


class Clone:
    """A project that somebody else wrote, and what lies outside of it."""

    def __init__(self, folder: Path) -> None:
        self.project, self.outside = folder / "clone", folder / "outside"
        for place in (self.project, self.outside / "settings"):
            place.mkdir(parents=True)
        for path in ("mcp.json", BACKUP, f"settings/{BACKUP}", "settings/mcp.json"):
            (self.outside / path).write_text(OURS)
        self.look()

    def look(self) -> None:
        """Notice how it is outside."""
        self._before = self._tree()

    def link(self, name: str, target: str) -> None:
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target.replace("OUT", str(self.outside)))

    def write(self, name: str, text: str = "{}") -> Path:
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def assert_outside_is_as_it_was(self) -> None:
        assert self._tree() == self._before

    def _tree(self) -> dict[str, tuple[int, int, str]]:
        paths = (path for path in sorted(self.outside.rglob("*")) if path.is_file())
        return {str(path): self._facts(path) for path in paths}

    @staticmethod
    def _facts(path: Path) -> tuple[int, int, str]:
        about = path.stat()
        return about.st_ino, about.st_mode, path.read_text()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


LINKS: Final[dict[str, Callable[[Clone], None]]] = {
    "the file": lambda clone: clone.link(".kiro/settings/mcp.json", "OUT/mcp.json"),
    "the file, to nothing": lambda clone: clone.link(".kiro/settings/mcp.json", "OUT/new.json"),
    "its folder": lambda clone: clone.link(".kiro/settings", "OUT"),
    "its folder, to nothing": lambda clone: clone.link(".kiro/settings", "OUT/new"),
    "a folder on the way": lambda clone: clone.link(".kiro", "OUT"),
    "a relative way out": lambda clone: clone.link(".kiro", "../outside"),
    "a link to a link": lambda clone: (clone.link("a", "OUT"), clone.link(".kiro", "a"))[0],
    "a link that stays inside": lambda clone: (
        clone.write("a/settings/mcp.json"),
        clone.link(".kiro", "a"),
    )[1],
    "a circle": lambda clone: clone.link(".kiro", ".kiro"),
}
COMMANDS: Final = (
    ["install"],
    ["install", "--dry-run"],
    ["uninstall"],
    ["uninstall", "--dry-run"],
    ["uninstall", "--restore"],
)


@pytest.mark.parametrize("link", LINKS)
def test_nothing_is_written_through_a_projects_link(clone: Clone, link: str) -> None:
    LINKS[link](clone)
    for command, *options in COMMANDS:
        ran = finished(command, "kiro", "--scope", "project", *options, folder=clone.project)
        assert ran.returncode == 2, ran.stdout
        assert f"{clone.project / KIRO} is reached by a link" in ran.stderr
        clone.assert_outside_is_as_it_was()


def test_a_backup_that_is_a_link_is_not_put_back(clone: Clone) -> None:
    file = clone.write(str(KIRO))
    clone.link(f".kiro/settings/{BACKUP}", "OUT/mcp.json")
    ran = finished("uninstall", "kiro", "--scope", "project", "--restore", folder=clone.project)
    assert (ran.returncode, file.read_text()) == (2, "{}")
    clone.assert_outside_is_as_it_was()


def test_backups_and_their_end_stay_in_the_project(clone: Clone) -> None:
    clone.write(str(KIRO))
    for number in range(1, 5):
        clone.link(
            f".kiro/settings/mcp.json.runapi-2026010{number}T000000000000Z.bak", "OUT/mcp.json"
        )
    assert finished("install", "kiro", "--scope", "project", folder=clone.project).returncode == 0
    clone.assert_outside_is_as_it_was()


@pytest.mark.parametrize("file", ["there", "made by install"])
def test_a_project_without_links_is_written_and_put_back(clone: Clone, file: str) -> None:
    if file == "there":
        clone.write(str(KIRO), '{"a": 1}\n')
    assert finished("install", "kiro", "--scope", "project", folder=clone.project).returncode == 0
    assert "runapi" in (clone.project / KIRO).read_text()
    assert finished("uninstall", "kiro", "--scope", "project", folder=clone.project).returncode == 0
    if file == "there":
        assert (clone.project / KIRO).read_text() == '{"a": 1}\n'
    else:
        assert list(clone.project.iterdir()) == []


def test_the_project_itself_may_be_reached_by_a_link(clone: Clone, tmp_path: Path) -> None:
    (way := tmp_path / "way").symlink_to(clone.project)
    assert finished("install", "kiro", "--scope", "project", folder=way).returncode == 0
    assert "runapi" in (clone.project / KIRO).read_text()


@pytest.mark.parametrize("what", ["file", "folder"])
@pytest.mark.parametrize("plan", ["install", "uninstall", "uninstall what install made"])
def test_a_link_that_comes_after_the_look_leads_nowhere(
    clone: Clone, tmp_path: Path, what: str, plan: str
) -> None:
    log, kiro, file = InstallLog(tmp_path / "state"), host_named("kiro"), clone.project / KIRO
    spec = EntrySpec(("/opt/runapi-mcp",))
    if plan == "uninstall what install made":
        apply(plan_install(kiro, file, log, spec, clone.project), log)
    else:
        clone.write(str(KIRO), OURS)
    if plan == "install":
        change = plan_install(kiro, file, log, spec, clone.project)
    else:
        change = plan_uninstall(kiro, file, log, clone.project)
    (clone.outside / "settings" / "mcp.json").write_bytes(file.read_bytes())
    clone.look()
    if what == "file":
        file.unlink()
        file.symlink_to(clone.outside / "settings" / "mcp.json")
    else:
        shutil.rmtree(file.parent)
        file.parent.symlink_to(clone.outside / "settings")
    with pytest.raises(NotConfigured, match="is reached by a link"):
        apply(change, log)
    clone.assert_outside_is_as_it_was()


def test_links_that_come_and_go_lead_nowhere(clone: Clone, tmp_path: Path) -> None:
    log, kiro, file = InstallLog(tmp_path / "state"), host_named("kiro"), clone.project / KIRO
    clone.write(str(KIRO), OURS)
    real, over = clone.project / "real", threading.Event()

    def swap() -> None:
        steps = (
            lambda: file.parent.rename(real),
            lambda: file.parent.symlink_to(clone.outside / "settings"),
            file.parent.unlink,
            lambda: shutil.rmtree(file.parent),  # which install may have made meanwhile
            lambda: real.rename(file.parent),
        )
        while not over.is_set():
            for step in steps:
                with suppress(OSError):
                    step()

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        for number in range(300):
            spec = EntrySpec((f"/opt/{number}/runapi-mcp",))
            with suppress(NotConfigured):
                apply(plan_install(kiro, file, log, spec, clone.project), log)
    finally:
        over.set()
        swapping.join()
    clone.assert_outside_is_as_it_was()


def test_the_lock_is_no_way_to_empty_another_file() -> None:
    state = home() / ".local" / "state" / "runapi-mcp"
    state.mkdir(parents=True)
    (precious := home() / "precious").write_text("all of it")
    (state / "installed.lock").symlink_to(precious)
    before = precious.stat()
    finished("install", "cursor")
    assert precious.read_text() == "all of it"
    assert (precious.stat().st_uid, precious.stat().st_mode) == (before.st_uid, before.st_mode)


def test_uvx_is_not_taken_from_the_project(clone: Clone) -> None:
    from runapi_mcp.setup.install.start_command import Program, launch_command

    (clone.project / "uvx").write_text("#!/bin/sh\n")
    (clone.project / "uvx").chmod(0o755)
    path = os.pathsep.join([".", "", str(clone.project)])
    program = Program("/opt/python", Path("/cache/archive-v0/x"), {"PATH": path, "HOME": "/h"})
    before = Path.cwd()
    os.chdir(clone.project)
    try:
        with pytest.raises(NotConfigured, match="uvx is not to be found"):
            launch_command(program)
    finally:
        os.chdir(before)
