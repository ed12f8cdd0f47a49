"""A picture that was drawn just now may come to its address a little later; an old one may not."""

from itertools import pairwise
from pathlib import Path

import anyio
import httpx
import pytest

from runapi_mcp.base.catalog.vendors import RUNAPI
from tests.support.collecting import FETCH_SECONDS, collect, wanted
from tests.support.pictures import Keeper, png

pytestmark = pytest.mark.anyio
KEPT_SECONDS = RUNAPI.image_seconds
COMING = pytest.mark.parametrize("status", [403, 404, 408, 410, 425, 429, 500, 502, 503, 504, None])
EXPIRED = " RunAPI keeps an image for about 7 days, and this one is older."


def coming(status: int | None, after_seconds: float, tries: list[float]) -> Keeper:
    """Who has the image from then on; until then so answers, or tears."""

    def keeper(_: httpx.Request) -> httpx.Response:
        tries.append(anyio.current_time())
        if anyio.current_time() >= after_seconds:
            return httpx.Response(200, content=png())
        if status is None:
            raise httpx.ReadError("torn")
        return httpx.Response(status)

    return keeper


def words(status: int | None) -> str:
    why = f"HTTP {status}" if status else "the answer broke off or is not HTTP (ReadError)"
    return f"The image could not be fetched from 93.184.215.14: {why}."


@COMING
async def test_a_young_picture_is_tried_again_until_it_is_there(
    status: int | None, tmp_path: Path
) -> None:
    tries: list[float] = []
    [picture] = await collect(coming(status, 20, tries), tmp_path, [wanted()])
    assert (picture.path, picture.not_saved) == (tmp_path / "fox.png", None)
    pauses = [after - before for before, after in pairwise(tries)]
    assert pauses == sorted(pauses)
    assert len(tries) < 9


@COMING
async def test_one_that_never_comes_is_told_of_when_the_time_is_over_and_not_as_expired(
    status: int | None, tmp_path: Path
) -> None:
    tries: list[float] = []
    [picture] = await collect(coming(status, 1e9, tries), tmp_path, [wanted()])
    assert picture.not_saved == words(status)
    assert 20 < anyio.current_time() <= FETCH_SECONDS
    assert len(tries) > 4


@COMING
@pytest.mark.parametrize("age_seconds", [3_600.0, KEPT_SECONDS - 1.0, KEPT_SECONDS + 1.0, None])
async def test_an_older_one_is_told_of_at_once_and_as_expired_only_where_it_is(
    status: int | None, age_seconds: float | None, tmp_path: Path
) -> None:
    tries: list[float] = []
    old = wanted(age_seconds=age_seconds)
    [picture] = await collect(coming(status, 1e9, tries), tmp_path, [old])
    is_expired = age_seconds is not None and age_seconds > KEPT_SECONDS
    assert picture.not_saved == words(status) + (
        EXPIRED if is_expired and status in (403, 404, 410) else ""
    )
    assert len(tries) == 1


async def test_those_that_wait_for_theirs_keep_no_other_from_being_fetched(tmp_path: Path) -> None:
    tries: list[float] = []
    late = coming(404, 30, tries)

    def keeper(request: httpx.Request) -> httpx.Response:
        if request.url.path in {f"/{number}.png" for number in range(1, 8)}:
            return late(request)
        arrived.append(anyio.current_time())
        return httpx.Response(200, content=png())

    arrived: list[float] = []
    pictures = await collect(keeper, tmp_path, [wanted(n) for n in range(1, 9)])
    assert [picture.path for picture in pictures] == [
        tmp_path / f"fox-{n}.png" for n in range(1, 9)
    ]
    assert arrived[0] < 1


@pytest.mark.parametrize("status", [400, 401, 418, 204, 302])
async def test_what_no_waiting_mends_is_not_waited_for(status: int, tmp_path: Path) -> None:
    tries: list[float] = []
    [picture] = await collect(coming(status, 1e9, tries), tmp_path, [wanted()])
    assert picture.not_saved == words(status)
    assert len(tries) == 1
