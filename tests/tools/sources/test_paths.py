"""A path means the file that a person would find, however it is written and wherever it begins."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runapi_mcp.images.folders import Folders
from tests.support.photos import REMIX, asking, photo, remixing, seed_of, sources_of
from tests.support.world import said

pytestmark = pytest.mark.anyio
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


PLACES: dict[str, Callable[[Path], tuple[Path, str]]] = {
    "absolute, in a folder of RUNAPI_INPUT_DIRS": lambda here: (
        here / "photos/fox.png",
        f"{here}/photos/fox.png",
    ),
    "absolute, in the project": lambda here: (here / "project/fox.png", f"{here}/project/fox.png"),
    "absolute, in the output folder": lambda here: (
        here / "pictures/fox.png",
        f"{here}/pictures/fox.png",
    ),
    "absolute, with steps up": lambda here: (
        here / "photos/fox.png",
        f"{here}/project/web/../../photos/./fox.png",
    ),
    "by the working directory": lambda here: (here / "project/web/fox.png", "fox.png"),
    "by the working directory, a folder down": lambda here: (
        here / "project/web/assets/fox.png",
        "./assets/fox.png",
    ),
    "by the working directory, a folder up": lambda here: (here / "project/fox.png", "../fox.png"),
    "by the root of the project": lambda here: (
        here / "project/web/assets/fox.png",
        "web/assets/fox.png",
    ),
    "by the output folder": lambda here: (here / "pictures/2026/fox.png", "2026/fox.png"),
    "without a suffix": lambda here: (here / "project/web/fox", "fox"),
    "with spaces and letters of the world": lambda here: (
        here / "photos/der rote füchs 狐.png",
        f"{here}/photos/der rote füchs 狐.png",
    ),
    "with a percent sign": lambda here: (
        here / "photos/100%20.png",
        f"{here}/photos/100%20.png",
    ),
    "a file URL": lambda here: (here / "photos/fox.png", f"file://{here}/photos/fox.png"),
    "a file URL with localhost": lambda here: (
        here / "photos/fox.png",
        f"file://localhost{here}/photos/fox.png",
    ),
    "a file URL without slashes": lambda here: (
        here / "photos/fox.png",
        f"file:{here}/photos/fox.png",
    ),
    "a file URL in capitals": lambda here: (
        here / "photos/fox.png",
        f"FILE://{here}/photos/fox.png",
    ),
    "a file URL with spaces, encoded": lambda here: (
        here / "photos/a red fox.png",
        f"file://{here}/photos/a%20red%20fox.png",
    ),
    "a file URL with spaces, as they are": lambda here: (
        here / "photos/a red fox.png",
        f"file://{here}/photos/a red fox.png",
    ),
    "a file URL with letters of the world": lambda here: (
        here / "photos/füchs.png",
        f"file://{here}/photos/f%C3%BCchs.png",
    ),
}


@POSIX
@pytest.mark.parametrize("place", PLACES)
async def test_a_path_means_the_file_that_a_person_would_find(place: str, tmp_path: Path) -> None:
    path, name = PLACES[place](tmp_path)
    photo(path, seed=90)
    async with remixing(tmp_path) as w:
        result = await w.call(REMIX, asking(name))
        assert not result.is_error, said(result)
        assert [seed_of(each) for each in await sources_of(w)] == [90]


@POSIX
@pytest.mark.parametrize("linked", ["file", "folder"])
async def test_a_link_that_stays_in_allowed_folders_is_followed(
    linked: str, tmp_path: Path, fox: Path, project: Path
) -> None:
    here = project / "web" / "assets"
    (here / "link").symlink_to(fox if linked == "file" else fox.parent)
    async with remixing(tmp_path) as w:
        await w.call(REMIX, asking("assets/link" if linked == "file" else "assets/link/fox.png"))
        assert [seed_of(each) for each in await sources_of(w)] == [50]


@POSIX
async def test_an_allowed_folder_may_be_a_link_itself(tmp_path: Path, fox: Path) -> None:
    (tmp_path / "album").symlink_to(fox.parent)
    folders = Folders(tmp_path / "pictures", (tmp_path / "album",))
    async with remixing(tmp_path, folders=folders) as w:
        for name in (fox, tmp_path / "album" / "fox.png"):
            await w.call(REMIX, asking(name))
            assert [seed_of(each) for each in await sources_of(w)] == [50]


async def test_a_tilde_is_the_users_home(tmp_path: Path) -> None:
    photo(Path.home() / "photos" / "fox.png", seed=90)
    folders = Folders(tmp_path / "pictures", (Path.home() / "photos",))
    async with remixing(tmp_path, folders=folders) as w:
        await w.call(REMIX, asking("~/photos/fox.png"))
        assert [seed_of(each) for each in await sources_of(w)] == [90]


async def test_of_two_files_of_one_relative_name_the_working_directorys_is_meant(
    tmp_path: Path, project: Path
) -> None:
    photo(project / "web" / "fox.png", seed=10)
    photo(project / "fox.png", seed=20)
    photo(tmp_path / "pictures" / "fox.png", seed=30)
    async with remixing(tmp_path) as w:
        for seed in (10, 20, 30):
            await w.call(REMIX, asking("fox.png"))
            [source] = await sources_of(w)
            assert seed_of(source) == seed
            folder = {10: project / "web", 20: project, 30: tmp_path}[seed]
            (folder / "fox.png").unlink(missing_ok=True)
