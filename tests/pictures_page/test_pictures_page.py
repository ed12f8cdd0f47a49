"""The page of past pictures: what it lists, shows and has opened, and what it leaves alone."""

import json
import os
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from runapi_mcp.base.catalog import VARIANTS, Variant, by_model
from runapi_mcp.pictures_page.routes import ROWS_AT_ONCE
from runapi_mcp.tools.arguments import accept
from runapi_mcp.tools.source_names import params_as_named
from tests.support.past_pictures import OWN, past_pictures, prompts_of, task_id
from tests.support.pictures import decoded
from tests.support.world import NOON

pytestmark = pytest.mark.anyio
POST = {"Origin": OWN}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_picture_is_listed_with_all_that_a_person_looks_for(tmp_path: Path) -> None:
    async with past_pictures(tmp_path) as past, past.browser() as browser:
        drawn = await past.draw("a fox", cost_cents=7, sandbox=True)
        remix = {"prompt": "a fox", "source_image_urls": [drawn]}
        assert (await browser.get("pictures")).json() == {
            "pictures": [
                {
                    "task_id": drawn,
                    "index": 0,
                    "prompt": "a fox",
                    "variant": "Flux 2 Pro: text to image",
                    "price": "$0.07",
                    "ordered_at": NOON + 60,
                    "path": str(past.file(drawn)),
                    "remix": f"flux_2_pro_remix_image {json.dumps(remix)}",
                    "sandbox": True,
                }
            ],
            "next": None,
        }


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"prompt": None}, {"prompt": ""}),
        ({"price_cents": None}, {"price": "unknown"}),
        ({"model": "flux-9"}, {"variant": "flux-9"}),
        ({"is_saved": False}, {"path": ""}),
    ],
    ids=str,
)
async def test_what_is_not_known_is_left_open(
    facts: dict[str, Any], told: dict[str, str], tmp_path: Path
) -> None:
    async with past_pictures(tmp_path) as past, past.browser() as browser:
        await past.draw(**facts)
        [picture] = (await browser.get("pictures")).json()["pictures"]
        assert picture | told == picture


@pytest.mark.parametrize(
    "facts",
    [
        {"status": "failed", "image_urls": ()},
        {"status": "processing", "image_urls": ()},
        {"status": "lost", "image_urls": ()},
    ],
    ids=str,
)
async def test_what_gave_no_picture_is_not_listed(facts: dict[str, Any], tmp_path: Path) -> None:
    async with past_pictures(tmp_path) as past, past.browser() as browser:
        await past.draw(is_saved=False, **facts)
        assert prompts_of(await browser.get("pictures")) == []


async def test_thousands_come_in_pages_the_newest_first(tmp_path: Path) -> None:
    count = 2 * ROWS_AT_ONCE + 1
    async with past_pictures(tmp_path) as past, past.browser() as browser:
        for number in range(count):
            await past.draw(f"picture {number}", is_saved=False)
        seen, skip = list[str](), 0
        while skip is not None:
            answer = await browser.get("pictures", params={"skip": skip})
            seen += prompts_of(answer)
            skip = answer.json()["next"]
    assert seen == [f"picture {number}" for number in reversed(range(count))]


@pytest.mark.parametrize("skip", ["-1", "x", "", "1e3", "٣", "9" * 40])
async def test_a_page_that_is_no_number_is_refused(skip: str, tmp_path: Path) -> None:
    async with past_pictures(tmp_path) as past, past.browser() as browser:
        assert (await browser.get("pictures", params={"skip": skip})).status_code == 400


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.model)
async def test_the_copied_remix_is_a_call_as_it_stands(variant: Variant, tmp_path: Path) -> None:
    asked = {"prompt": "„Füchse“ im Schnee"}
    if "aspect_ratio" in variant.field_names:
        asked["aspect_ratio"] = "3:2"
    async with past_pictures(tmp_path) as past, past.browser() as browser:
        drawn = await past.draw(model=variant.model, arguments=asked)
        [picture] = (await browser.get("pictures")).json()["pictures"]
    tool, _, arguments = picture["remix"].partition(" ")
    remix = by_model(tool)
    assert remix is not None
    assert remix.action == "remix_image"
    assert remix.tier in (variant.tier, VARIANTS[0].tier)
    named = params_as_named(remix.params)
    (accepted,) = accept(json.loads(arguments), named)
    assert accepted.prompt == asked["prompt"]
    assert drawn in arguments


async def test_a_thumbnail_is_small_and_shows_the_picture(tmp_path: Path) -> None:
    async with past_pictures(tmp_path) as past, past.browser() as browser:
        drawn = await past.draw()
        for _ in "12":
            answer = await browser.get(f"pictures/{drawn}/0")
            assert answer.headers["content-type"] == "image/jpeg"
            assert decoded(answer.content).size == (120, 81)


def another(file: Path) -> None:
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"something else")


def linked(file: Path) -> None:
    file.rename(file.with_name("elsewhere.png"))
    file.symlink_to(file.with_name("elsewhere.png"))


def piped(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("spoil", "status", "words"),
    [
        (Path.unlink, 404, "is gone"),
        (another, 409, "was changed since it was saved"),
        (linked, 404, "cannot be read"),
        (piped, 404, "cannot be read"),
        (folder, 404, "cannot be read"),
    ],
)
async def test_what_is_not_what_was_saved_is_neither_shown_nor_opened(
    spoil: Callable[[Path], None], status: int, words: str, tmp_path: Path
) -> None:
    async with past_pictures(tmp_path) as past, past.browser() as browser:
        drawn = await past.draw()
        assert (await browser.get(f"pictures/{drawn}/0")).status_code == 200
        spoil(past.file(drawn))
        for answer in (
            await browser.get(f"pictures/{drawn}/0"),
            await browser.post(f"pictures/{drawn}/0/open", headers=POST),
        ):
            assert answer.status_code == status
            assert answer.text.startswith(str(past.file(drawn)))
            assert words in answer.text
        assert past.opened == []


async def test_a_picture_is_opened_and_shown_where_it_lies(tmp_path: Path) -> None:
    async with past_pictures(tmp_path) as past, past.browser() as browser:
        drawn = await past.draw()
        for action in ("open", "show"):
            answer = await browser.post(f"pictures/{drawn}/0/{action}", headers=POST)
            assert (answer.status_code, answer.content) == (204, b"")
        assert past.opened == [("open", past.file(drawn)), ("show", past.file(drawn))]


@pytest.mark.parametrize("action", ["", "/open", "/show"])
@pytest.mark.parametrize(
    "picture",
    [
        f"{task_id(1)}/1",
        f"{task_id(1)}/-1",
        f"{task_id(99)}/0",
        f"{task_id(1)}/0/../../../page.html",
        "..%2F..%2Fetc%2Fpasswd/0",
        "not-a-task/0",
    ],
)
async def test_nothing_is_taken_but_ids_and_numbers(
    picture: str, action: str, tmp_path: Path
) -> None:
    async with past_pictures(tmp_path) as past, past.browser() as browser:
        await past.draw()
        method = "POST" if action else "GET"
        answer = await browser.request(method, f"pictures/{picture}{action}", headers=POST)
        assert answer.status_code == 404
        assert past.opened == []


async def test_a_picture_that_was_never_saved_says_how_to_get_it(tmp_path: Path) -> None:
    async with past_pictures(tmp_path) as past, past.browser() as browser:
        drawn = await past.draw(is_saved=False)
        answer = await browser.get(f"pictures/{drawn}/0")
        assert answer.status_code == 404
        assert answer.text == (
            f"The picture of task {drawn} was not saved on this machine. "
            f"`runapi-mcp tasks {drawn}` fetches it, as long as RunAPI has it."
        )


def test_the_page_is_one_file_without_inline_handlers_or_styles() -> None:
    page = files("runapi_mcp.pictures_page").joinpath("page.html").read_text(encoding="utf-8")
    markup = re.sub(r"<(script|style) nonce=\"NONCE\">.*?</\1>", "", page, flags=re.DOTALL)
    assert not re.search(r"\son\w+=|\sstyle=|<script|<style|https?://", markup)
    assert "innerHTML" not in page
