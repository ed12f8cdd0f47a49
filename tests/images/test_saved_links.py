"""A saved picture is what the ledger knows of it: no link, file or JSON takes its place."""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from runapi_mcp.images.folders import Folders
from tests.support.ledgers import ledger_at, other
from tests.support.photos import REMIX, asking, photo, remixing, uploads
from tests.support.pictures import DRAW, FOX, again, fetches, path_of, story_of
from tests.support.world import facts, said, world

pytestmark = pytest.mark.anyio
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="making links takes rights there")
NAMED = {**FOX, "save_as": "a/b/fox"}
WEEK = 8 * 86_400


def beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def by_a_link(path: Path, secret: Path) -> None:
    path.unlink()
    path.symlink_to(secret)


def by_a_linked_folder(path: Path, secret: Path) -> None:
    path.parent.rename(path.parent.with_name("before"))
    path.parent.symlink_to(secret.parent)


def by_a_linked_folder_above(path: Path, secret: Path) -> None:
    (secret.parent / path.parent.name).symlink_to(secret.parent)
    by_a_linked_folder(path.parent, secret)


def by_a_file(path: Path, secret: Path) -> None:
    path.write_bytes(secret.read_bytes())
    beside(path).unlink()


def by_a_file_and_its_json(path: Path, secret: Path) -> None:
    content = secret.read_bytes()
    told = {"byte_size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    path.write_bytes(content)
    beside(path).write_text(json.dumps({**story_of(path), **told}))


WAYS = [by_a_link, by_a_linked_folder, by_a_linked_folder_above, by_a_file, by_a_file_and_its_json]


@POSIX
@pytest.mark.parametrize("replaced", WAYS)
async def test_another_file_in_the_place_of_a_picture_is_neither_shown_nor_uploaded(
    replaced: Callable[[Path, Path], None], tmp_path: Path
) -> None:
    secret = photo(tmp_path / "home" / "fox.png", seed=90)
    async with remixing(tmp_path, saves=True, previews=True) as w:
        drawn = await w.call(DRAW, NAMED)
        path, task_id = path_of(drawn), facts(drawn)["task_id"]
        replaced(path, secret)
        w.sandbox.faults.inject("image", "404", times=None)
        told = facts(await again(w, drawn))
        assert {"image_paths", "image_sizes"}.isdisjoint(told)
        await anyio.sleep(WEEK)
        refused = await w.call(REMIX, asking(task_id))
        assert f"The image of task {task_id} was saved there" in said(refused)
        assert uploads(w) == 0


@POSIX
async def test_a_link_in_the_place_of_a_picture_is_not_followed_although_it_leads_to_the_same(
    tmp_path: Path,
) -> None:
    async with world(folders=Folders(tmp_path / "pictures")) as w:
        drawn = await w.call(DRAW, NAMED)
        path = path_of(drawn)
        (tmp_path / "elsewhere").mkdir()
        path.rename(tmp_path / "elsewhere" / "fox.png")
        path.symlink_to(tmp_path / "elsewhere" / "fox.png")
        assert path_of(await again(w, drawn)) != path
        assert len(fetches(w)) == 2


@POSIX
async def test_the_folder_of_all_pictures_may_be_a_link_also_to_another_place_than_before(
    tmp_path: Path,
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "pictures").symlink_to(tmp_path / "disk")
    async with world(folders=Folders(tmp_path / "pictures")) as w:
        drawn = await w.call(DRAW, NAMED)
        assert path_of(drawn) == tmp_path / "disk/a/b/fox.png"
        (tmp_path / "disk").rename(tmp_path / "moved")
        (tmp_path / "disk").symlink_to(tmp_path / "moved")
        assert path_of(await again(w, drawn)) == path_of(drawn)
        assert len(fetches(w)) == 1


@pytest.mark.parametrize("has_json", [True, False])
async def test_what_an_earlier_version_saved_is_known_by_its_json_alone(
    *, has_json: bool, tmp_path: Path
) -> None:
    where, folders = tmp_path / "ledger.sqlite3", Folders(tmp_path / "pictures")
    async with ledger_at(where) as ledger, world(folders=folders, ledger=ledger) as w:
        drawn = await w.call(DRAW, NAMED)
        with other(where) as connection:
            connection.execute("UPDATE calls SET file_hashes = '[]'")
        if not has_json:
            beside(path_of(drawn)).unlink()
        # Another server: this one may have the task in mind still, with its hash.
        async with world(folders=folders, ledger=ledger, sandbox=w.sandbox) as later:
            assert (path_of(await again(later, drawn)) == path_of(drawn)) == has_json
        with other(where) as connection:
            [(hashes,)] = connection.execute("SELECT file_hashes FROM calls").fetchall()
        assert len(json.loads(hashes)[0]) == 64
