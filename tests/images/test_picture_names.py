"""A picture is saved under the name that its call gives, in its folder and nowhere else."""

from pathlib import Path

import pytest

from runapi_mcp.images.folders import Folders
from tests.support.pictures import DRAW, FOX, LATER, again, files_in, held, matches, path_of
from tests.support.world import ERAS, facts, said, world

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("save_as", "file"),
    [
        ("hero", "hero.png"),
        ("assets/img/hero", "assets/img/hero.png"),
        ("assets\\hero.png", "assets/hero.png"),
        ("hero.png", "hero.png"),
        ("hero.PNG", "hero.png"),
        ("hero.webp.png", "hero.png"),
        ("v1.2", "v1.2.png"),
        ("雪の狐", "雪の狐.png"),
    ],
)
async def test_a_picture_is_saved_under_the_name_it_is_given(
    save_as: str, file: str, tmp_path: Path
) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        assert path_of(await w.call(DRAW, {**FOX, "save_as": save_as})) == tmp_path / file
        assert files_in(tmp_path) == [file, f"{file}.json"]


@pytest.mark.parametrize(
    "save_as",
    [".", "..", "../fox", "a/../../fox", "a/./fox", "/etc/fox", "//host/fox", "\\fox",
     "C:\\fox", "c:fox", "~/fox", "~root/fox", ".git/hooks/fox", "a/.hidden", "fox/", "a//b",
     "fox\0", "fo\nx", "fox\u202egnp", "NUL", "aux.png", "a/COM1", "fox.", "a /b", "fox:stream",
     "fo*x", "x" * 121, "雪" * 81, "a/" * 8 + "fox", ".png", "file:///etc/fox",
     "hero.svg", "img/hero.GIF", "hero.avif", 7, True, ["fox"], {"name": "fox"}],
)  # fmt: skip
async def test_a_name_that_leads_elsewhere_is_refused_before_anything_is_paid(
    save_as: object, tmp_path: Path
) -> None:
    async with world(folders=Folders(tmp_path / "pictures")) as w:
        refused = await w.call(DRAW, {**FOX, "save_as": save_as})
        assert refused.is_error
        assert said(refused).startswith("save_as must ")
        assert "Nothing was sent or paid" in said(refused)
        assert (w.spent_cents, w.wire.sent, files_in(tmp_path)) == (0, [], [])


async def test_a_name_that_is_null_is_none(tmp_path: Path) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        assert path_of(await w.call(DRAW, {**FOX, "save_as": None})).name.startswith("2026-11-20-")


@pytest.mark.parametrize(
    "prompt", ["../../etc/passwd", "CON", "$(rm -rf ~)", "a\nb\0c", "🦊🦊🦊", "..."]
)
async def test_no_prompt_leads_a_picture_out_of_its_folder(prompt: str, tmp_path: Path) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        path = path_of(await w.call(DRAW, {"prompt": prompt}))
        assert path.parent == tmp_path
        assert matches(r"2026-11-20-[a-z-]+-[0-9a-f]{4}\.png", path.name)


async def test_pictures_of_one_name_never_overwrite_each_other(tmp_path: Path) -> None:
    (tmp_path / "fox-2.jpg").write_bytes(b"somebody's own")
    async with world(folders=Folders(tmp_path)) as w:
        first = await w.call(DRAW, {**FOX, "save_as": "fox"})
        results = [first]
        for _ in range(2):
            redrawn = {"redraw": facts(results[-1])["task_id"]}
            results.append(await w.call(DRAW, {**FOX, "save_as": "fox", **redrawn}))
        assert [path_of(result).name for result in results] == ["fox.png", "fox-3.png", "fox-4.png"]
        for result in results:
            image = await held(w, f"/images/{facts(result)['task_id']}.png")
            assert path_of(result).read_bytes() == image
        assert (tmp_path / "fox-2.jpg").read_bytes() == b"somebody's own"


@pytest.mark.parametrize("era", ERAS)
async def test_the_same_name_continues_a_call_and_another_name_is_another_picture(
    era: str, tmp_path: Path
) -> None:
    async with world(era=era, folders=Folders(tmp_path)) as w:
        lost = await w.call(DRAW, {**LATER, "save_as": "fox"})
        other = await w.call(DRAW, {**FOX, "save_as": "other"})
        unnamed = await w.call(DRAW, FOX)
        joined = await w.call(DRAW, {**FOX, "save_as": "fox.jpg"})
        assert facts(joined)["task_id"] == facts(lost)["task_id"]
        assert "joined" in facts(joined)
        assert path_of(joined) == tmp_path / "fox.png"
        assert "joined" not in facts(other)
        assert path_of(other) == tmp_path / "other.png"
        assert "joined" not in facts(unnamed)
        assert w.task_count == 3


async def test_get_task_saves_under_the_name_that_the_call_asked_for(tmp_path: Path) -> None:
    async with world(folders=Folders(tmp_path)) as w:
        lost = await w.call(DRAW, {**LATER, "save_as": "img/fox"})
        assert path_of(await again(w, lost)) == tmp_path / "img/fox.png"
