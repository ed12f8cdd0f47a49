"""Images are taken from allowed folders only, and nothing tells what lies elsewhere."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from runapi_mcp.images.folders import Folders
from tests.support.photos import NOT_ALLOWED, REMIX, asking, assert_free, photo, remixing, way
from tests.support.processes import LIMIT_SECONDS
from tests.support.watching import opening_of
from tests.support.world import said

pytestmark = pytest.mark.anyio
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


@pytest.mark.parametrize("folder", ["home", "above"])
async def test_a_server_started_in_the_home_takes_nothing_from_there(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path.home() if folder == "home" else "/")
    photo(Path.home() / "fox.png")
    async with remixing(tmp_path) as w:
        for name in ("fox.png", str(Path.home() / "fox.png"), "~/fox.png"):
            refused = await w.call(REMIX, asking(name))
            assert refused.is_error
        await assert_free(w)
        assert w.wire.paths("POST") == []


@POSIX
async def test_files_of_the_system_are_no_pictures_even_where_its_folder_is_allowed(
    tmp_path: Path,
) -> None:
    folders = Folders(tmp_path, (Path("/dev"), Path("/proc/self"), Path("/sys/kernel")))
    async with remixing(tmp_path, folders=folders) as w:
        for name in ("/dev/zero", "/dev/urandom", "/proc/self/environ", "/proc/self/maps"):
            with anyio.fail_after(LIMIT_SECONDS):
                refused = await w.call(REMIX, asking(name))
            assert refused.is_error
            assert name in said(refused).replace(f"/proc/{os.getpid()}", "/proc/self")
        assert w.wire.paths("POST") == []


OUTSIDE: dict[str, Callable[[Path], str]] = {
    "absolute": lambda here: f"{here}/secrets/THIS",
    "relative": lambda _: "../../secrets/THIS",
    "a file URL": lambda here: f"file://{here}/secrets/THIS",
    "by a linked folder": lambda here: f"{here}/photos/linked/THIS",
    "by a link": lambda here: f"{here}/photos/to-THIS",
    "and back again": lambda here: f"{here}/secrets/THIS/../../secrets/fox.png",
}


@POSIX
@pytest.mark.parametrize("way_there", OUTSIDE)
async def test_nothing_tells_whether_there_is_a_file_outside(
    way_there: str, tmp_path: Path
) -> None:
    photo(tmp_path / "secrets" / "there")
    (tmp_path / "secrets" / "folder").mkdir()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "secrets")
    names = ("there", "folder", "none", "there/none", "none/none")
    for name in ("there", "folder", "none"):
        (tmp_path / "photos" / f"to-{name}").symlink_to(tmp_path / "secrets" / name)
    answers: set[str] = set()
    async with remixing(tmp_path) as w:
        for name in names[: 3 if way_there == "by a link" else 5]:
            path = OUTSIDE[way_there](tmp_path).replace("THIS", name)
            refusal = said(await w.call(REMIX, asking(path)))
            answers.add(refusal.replace(path.removeprefix("file://"), "PATH"))
    [answer] = answers
    assert answer.startswith(f"PATH {NOT_ALLOWED}")
    assert f"{tmp_path}/photos" in answer
    assert "RUNAPI_INPUT_DIRS" in answer


@POSIX
async def test_of_a_link_to_elsewhere_no_other_file_of_its_name_is_meant(
    tmp_path: Path, project: Path
) -> None:
    elsewhere = photo(tmp_path / "secrets" / "fox.png")
    (project / "web" / "fox.png").symlink_to(elsewhere)
    async with remixing(tmp_path) as w:
        refused = said(await w.call(REMIX, asking("fox.png")))
        assert refused.startswith(f"fox.png {NOT_ALLOWED}")
        await assert_free(w)


def link_swapped_in(here: Path) -> None:
    (here / "photos/album/fox.png").unlink()
    (here / "photos/album/fox.png").symlink_to(here / "secrets/fox.png")


def folder_swapped_in(here: Path) -> None:
    (here / "photos/album").rename(here / "photos/before")
    (here / "photos/album").symlink_to(here / "secrets")


def pipe_swapped_in(here: Path) -> None:
    (here / "photos/album/fox.png").unlink()
    os.mkfifo(here / "photos/album/fox.png")


@POSIX
@pytest.mark.parametrize(
    ("name", "swap"),
    [
        ("fox.png", link_swapped_in),
        ("album", folder_swapped_in),
        ("fox.png", pipe_swapped_in),
    ],
)
async def test_what_is_swapped_in_between_the_check_and_the_opening_is_not_followed(
    name: str, swap: Callable[[Path], None], tmp_path: Path
) -> None:
    path = photo(tmp_path / "photos/album/fox.png", seed=50)
    photo(tmp_path / "secrets/fox.png", seed=90)
    async with remixing(tmp_path) as w:
        with opening_of(name, lambda: swap(tmp_path)) as opened, anyio.fail_after(LIMIT_SECONDS):
            refused = await w.call(REMIX, asking(path))
        assert opened
        assert refused.is_error
        assert "This call uploaded and paid nothing." in said(refused)
        assert way(w) == []
