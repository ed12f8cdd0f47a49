"""All pictures of a call are collected in order, and whatever fails is said of a picture alone."""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from runapi_mcp.images.picture import SavedPicture
from tests.support.collecting import collect, wanted
from tests.support.pictures import encoded, files_in, noise, png, story_of

pytestmark = pytest.mark.anyio
SET = [wanted(number) for number in range(1, 9)]


def keeper(request: httpx.Request) -> httpx.Response:
    """Who has an image of as many pixels a side as its number says, in hundreds."""
    return httpx.Response(200, content=png(size=(100 * number_of(request), 100)))


def number_of(request: httpx.Request) -> int:
    return int(request.url.path.strip("/.png"))


async def test_the_pictures_of_a_set_are_told_in_order_at_most_four_fetched_at_once(
    tmp_path: Path,
) -> None:
    now, most = [0], [0]

    async def slow(request: httpx.Request) -> httpx.Response:
        now[0] += 1
        most[0] = max(most[0], now[0])
        await anyio.sleep(10 - number_of(request))
        now[0] -= 1
        return keeper(request)

    pictures = await collect(slow, tmp_path, SET)
    assert [p.path for p in pictures] == [tmp_path / f"fox-{n}.png" for n in range(1, 9)]
    assert [p.info.width for p in pictures if p.info] == [100 * n for n in range(1, 9)]
    assert [p.url for p in pictures] == [one.url for one in SET]
    told = [story_of(f"{p.path}") for p in pictures]
    assert [(one["task_id"], one["set"]) for one in told] == [
        (f"task-{n}", "task-1") for n in range(1, 9)
    ]
    assert most[0] == 4


async def test_one_alone_of_a_set_comes_to_its_siblings_and_is_not_fetched_twice(
    tmp_path: Path,
) -> None:
    (tmp_path / "fox-8.jpg").touch()
    asked: list[int] = []

    def counting(request: httpx.Request) -> httpx.Response:
        asked.append(number_of(request))
        return keeper(request)

    of_set = partial(collect, counting, tmp_path, set_size=8)
    [third] = await of_set([SET[2]])
    (tmp_path / "fox-8.jpg").unlink()
    assert third.path
    saved = wanted(3, saved=SavedPicture(third.path, 0, third.sha256))
    pictures = await of_set([*SET[:2], saved, *SET[3:]])
    assert [p.path for p in pictures] == [tmp_path / f"fox-2-{n}.png" for n in range(1, 9)]
    assert sorted(asked) == sorted({3, *range(1, 9)})
    assert len(files_in(tmp_path)) == 16


async def test_of_a_set_those_that_can_be_saved_are(tmp_path: Path) -> None:
    def halting(request: httpx.Request) -> httpx.Response:
        return httpx.Response(400) if number_of(request) % 2 else keeper(request)

    pictures = await collect(halting, tmp_path, SET)
    for number, picture in enumerate(pictures, start=1):
        assert picture.path == (None if number % 2 else tmp_path / f"fox-{number}.png")
        assert ("HTTP 400" in (picture.not_saved or "")) == bool(number % 2)


def failing(error: Exception) -> Any:  # Any: a keeper
    def keeper(_: httpx.Request) -> httpx.Response:
        raise error

    return keeper


LOOP: dict[str, object] = {"task_id": "task-1"}
LOOP["itself"] = LOOP


@pytest.mark.parametrize(
    ("given", "picture", "why", "is_shown"),
    [
        ({"name": "\ud800"}, {}, "this system's encoding has no such letters.", True),
        ({"name": "a\0b"}, {}, "not a plain name.", True),
        ({"name": "/"}, {}, "not a plain name.", True),
        ({"folder": Path("a\0b")}, {}, "ValueError: ", True),
        ({"folder": Path("\ud800")}, {}, "this system's encoding has no such letters.", True),
        ({"folder": Path("/dev/null/x")}, {}, "Not a directory.", True),
        ({}, {"about": {"task_id": object()}}, "TypeError: Object of type", True),
        ({}, {"about": LOOP}, "ValueError: Circular reference detected.", True),
        ({}, {"url": "\ud800"}, "No image is fetched: the address cannot be read.", False),
        ({"preview_px": "much"}, {}, "error: required argument is not an integer", False),
        ({"keeper": failing(MemoryError())}, {}, "The picture was not saved: MemoryError.", False),
        ({"keeper": failing(RecursionError("deep"))}, {}, "RecursionError: deep.", False),
        ({"keeper": failing(RuntimeError("no home"))}, {}, "RuntimeError: no home.", False),
        ({"keeper": failing(ExceptionGroup("two", [KeyError("x")]))}, {}, "KeyError: 'x'.", False),
        ({"keeper": failing(OSError(24, "Too many files"))}, {}, "Too many files.", False),
    ],
)  # fmt: skip
async def test_whatever_goes_wrong_after_the_payment_is_said_of_the_picture(
    given: Mapping[str, Any],
    picture: Mapping[str, Any],
    why: str,
    is_shown: bool,  # noqa: FBT001 - a case
    tmp_path: Path,
) -> None:
    fields: Mapping[str, Any] = {"keeper": keeper, "folder": tmp_path, **given}
    [told] = await collect(pictures=[wanted(**picture)], **fields)
    assert why in (told.not_saved or "")
    assert (told.path, bool(told.preview)) == (None, is_shown)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("saved", "about"),
    [("a\0b", {"task_id": "task-1"}), ("\ud800", {}), ("/", {}), ("fox.png", {})],
)
async def test_an_earlier_file_that_cannot_be_looked_at_is_fetched_again(
    saved: str, about: Mapping[str, object], tmp_path: Path
) -> None:
    [told] = await collect(
        keeper, tmp_path, [wanted(saved=SavedPicture(Path(saved), 0, ""), about=about)]
    )
    assert (told.path, told.not_saved) == (tmp_path / "fox.png", None)


async def test_who_cannot_be_told_how_it_goes_loses_no_picture(tmp_path: Path) -> None:
    async def gone(_: str) -> None:
        raise anyio.BrokenResourceError

    pictures = await collect(keeper, tmp_path, SET, gone)
    assert all(picture.path for picture in pictures)


async def test_what_nobody_foresaw_is_logged_with_its_place(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with caplog.at_level(logging.ERROR):
        await collect(failing(RuntimeError("no home")), tmp_path, [wanted()], preview_px=0)
    [record] = caplog.records
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "no home"


async def test_a_caller_who_leaves_is_let_go_and_nothing_of_the_set_stays_half(
    tmp_path: Path,
) -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    with anyio.move_on_after(3) as scope:
        await collect(never, tmp_path, SET)
    assert scope.cancelled_caught
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("count", [1, 2, 5, 8])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
async def test_previews_share_what_one_answer_may_have(
    count: int, mode: str, tmp_path: Path
) -> None:
    content = encoded(noise(mode, (600, 600)), "PNG", compress_level=1)

    def noisy(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=content)

    pictures = await collect(noisy, tmp_path, SET[:count], preview_px=512)
    sizes = [len(picture.preview.content) for picture in pictures if picture.preview]
    assert len(sizes) == count
    assert max(sizes) <= 100_000 // count
    assert sum(sizes) > 40_000
