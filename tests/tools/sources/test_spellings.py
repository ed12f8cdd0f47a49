"""A file is found however a model spells its name; what is only near is named."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from runapi_mcp.images.folders import Folders
from tests.support.photos import (
    NOT_ALLOWED,
    REMIX,
    URL,
    asking,
    photo,
    remixing,
    seed_of,
    sources_of,
)
from tests.support.world import facts, said

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files"),
]

SHOT = "Screenshot 2026-11-20 at 3.04.05\u202fPM.png"
SPELLINGS: dict[str, tuple[str, Callable[[Path], str]]] = {
    "a space of macOS as any other": (
        f"photos/{SHOT}",
        lambda here: f"{here}/photos/{SHOT}".replace("\u202f", " "),
    ),
    "a space of macOS where there is none": (
        "photos/my fox.png",
        lambda here: f"{here}/photos/my\u202ffox.png",
    ),
    "no-break and double spaces": (
        "photos/my  red\xa0fox.png",
        lambda here: f"{here}/photos/my red fox.png",
    ),
    "letters put together": (
        "photos/fu\u0308chse.png",
        lambda here: f"{here}/photos/f\xfcchse.png",
    ),
    "letters taken apart": ("photos/f\xfcchse.png", lambda here: f"{here}/photos/fu\u0308chse.png"),
    "letters of full width": (
        "photos/\uff26ox1.png",
        lambda here: f"{here}/photos/Fox\uff11.png",
    ),
    "a curly apostrophe as a straight one": (
        "photos/Ada\u2019s fox.png",
        lambda here: f"{here}/photos/Ada's fox.png",
    ),
    "a straight apostrophe as a curly one": (
        "photos/Ada's fox.png",
        lambda here: f"{here}/photos/Ada\u2019s fox.png",
    ),
    "a folder spelt so too": (
        "photos/Ada\u2019s\xa0trip/fox.png",
        lambda here: f"{here}/photos/Ada's trip/fox.png",
    ),
    "the spaces of a shell": (
        "photos/my red fox (1).png",
        lambda here: f"{here}/photos/my\\ red\\ fox\\ \\(1\\).png",
    ),
    "the spaces of a shell and those of macOS": (
        f"photos/{SHOT}",
        lambda here: f"{here}/photos/{SHOT}".replace("\u202f", " ").replace(" ", "\\ "),
    ),
    "double quotes": ("photos/fox.png", lambda here: f'"{here}/photos/fox.png"'),
    "single quotes": ("photos/fox.png", lambda here: f"'{here}/photos/fox.png'"),
    "backticks": ("photos/fox.png", lambda here: f"`{here}/photos/fox.png`"),
    "curly quotes and spaces": (
        "photos/fox.png",
        lambda here: f" \u201c{here}/photos/fox.png\u201d ",
    ),
    "an @ of a chat": ("project/web/assets/fox.png", lambda _: "@assets/fox.png"),
    "an @ in quotes": ("project/web/assets/fox.png", lambda _: '"@assets/fox.png"'),
    "a line break": ("photos/fox.png", lambda here: f"{here}/photos/fox.png\n"),
    "a line break of Windows": ("photos/fox.png", lambda here: f"{here}/photos/fox.png\r\n"),
    "a mark that nobody sees": (
        "photos/fox.png",
        lambda here: f"{here}/photos/\u200efox\u200b.png",
    ),
    "a quoted file URL": ("photos/fox.png", lambda here: f'"file://{here}/photos/fox.png"\n'),
    "a relative name": ("project/web/my\u202ffox.png", lambda _: "my fox.png"),
    "a name with a colon": ("project/web/fox 3:04.png", lambda _: "fox 3:04.png"),
    "a name that looks like a scheme": ("project/web/fox:2.png", lambda _: "fox:2.png"),
}


@pytest.mark.parametrize("case", SPELLINGS)
async def test_the_one_file_that_reads_alike_is_taken(case: str, tmp_path: Path) -> None:
    name, spelt = SPELLINGS[case]
    photo(tmp_path / name, seed=90)
    photo((tmp_path / name).with_name("other fox.png"), seed=10)
    async with remixing(tmp_path) as w:
        result = await w.call(REMIX, asking(spelt(tmp_path)))
        assert not result.is_error, said(result)
        assert [seed_of(each) for each in await sources_of(w)] == [90]


@pytest.mark.parametrize(
    ("exact", "alike"),
    [
        ("my fox.png", "my\u202ffox.png"),
        ("@fox.png", "fox.png"),
        ("'fox.png'", "fox.png"),
        ("my\\ fox.png", "my fox.png"),
        ("fox.png\n", "fox.png"),
    ],
)
async def test_the_exact_name_goes_before_all_that_read_alike(
    exact: str, alike: str, tmp_path: Path, project: Path
) -> None:
    photo(project / "web" / exact, seed=90)
    photo(project / "web" / alike, seed=10)
    async with remixing(tmp_path) as w:
        await w.call(REMIX, asking(exact))
        assert [seed_of(each) for each in await sources_of(w)] == [90]


@pytest.mark.parametrize("put", ['"{}"', " {}\n", "<{}>", "@{}", "`{}`"])
async def test_addresses_and_task_ids_are_read_so_too(put: str, tmp_path: Path) -> None:
    async with remixing(tmp_path) as w:
        drawn = facts(await w.call(REMIX, asking(put.format(URL))))
        again = await w.call(REMIX, asking(put.format(drawn["task_id"])))
        assert not again.is_error, said(again)


async def test_of_two_that_read_alike_neither_is_taken(tmp_path: Path) -> None:
    for name in ("my\xa0fox.png", "my\u202ffox.png"):
        photo(tmp_path / "photos" / name)
    async with remixing(tmp_path) as w:
        refused = await w.call(REMIX, asking(tmp_path / "photos" / "my fox.png"))
        assert "is not there. Did you mean 'my" in said(refused)
        assert " or 'my" in said(refused)
        assert w.wire.paths("POST") == []


async def test_what_is_near_is_named_if_it_is_a_picture_beside_it(tmp_path: Path) -> None:
    for name in ("red-fox-1.png", "red-fox-2.jpg", "owl.png", ".red-fox.png", "red-fox.key"):
        photo(tmp_path / "photos" / name)
    async with remixing(tmp_path) as w:
        refused = said(await w.call(REMIX, asking(tmp_path / "photos" / "Red_Fox.png")))
        assert "Did you mean 'red-fox-1.png' or 'red-fox-2.jpg'? This call" in refused
        assert "owl" not in refused
        assert ".red-fox.png" not in refused
        assert "red-fox.key" not in refused


@pytest.mark.parametrize("name", ["secrets/my fox.png", "'{}/secrets/my fox.png'", "secrets"])
async def test_nothing_is_said_of_what_lies_elsewhere(name: str, tmp_path: Path) -> None:
    photo(tmp_path / "secrets" / "my\u202ffox.png")
    async with remixing(tmp_path) as w:
        path = name.format(tmp_path) if "{}" in name else str(tmp_path / name)
        refused = said(await w.call(REMIX, asking(path)))
        assert NOT_ALLOWED in refused
        assert "Did you mean" not in refused


async def test_a_link_that_reads_alike_leads_nowhere_else(tmp_path: Path) -> None:
    photo(tmp_path / "secrets" / "fox.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "my\u202falbum").symlink_to(tmp_path / "secrets")
    async with remixing(tmp_path) as w:
        for name in ("fox.png", "fax.png"):
            refused = said(await w.call(REMIX, asking(tmp_path / "photos" / "my album" / name)))
            assert "No such file or directory" in refused
            assert "Did you mean" not in refused


async def test_beside_a_missing_folder_nothing_is_looked_at(tmp_path: Path) -> None:
    photo(tmp_path / "photo.png")
    folders = Folders(tmp_path / "pictures", (tmp_path / "photo",))
    async with remixing(tmp_path, folders=folders) as w:
        assert "Did you mean" not in said(await w.call(REMIX, asking(tmp_path / "photo")))
