"""A picture is looked at when RunAPI calls back, and found all the same when it does not."""

import json
import logging
import re
from pathlib import Path

import anyio
import pytest

from runapi_mcp.base.catalog.vendors import RUNAPI
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.fleet.callback_addresses import CallbackAddresses
from runapi_mcp.images.folders import Folders
from tests.support.calling_back import (
    PUBLIC_URL,
    CallBack,
    Callbacks,
    Post,
    calling_back,
    never,
    on_time,
)
from tests.support.photos import REMIX, asking, photo
from tests.support.world import NO_PICTURES, World, facts, said, world

pytestmark = pytest.mark.anyio
STAY_OUT = (
    "callbacks of runapi stay out: pictures are looked at without them. Does what is posted to "
    "RUNAPI_PUBLIC_URL arrive here?"
)
DRAW = "flux_2_pro_text_to_image"


def fox(number: int = 0, takes: float = 15) -> dict[str, object]:
    return {"prompt": f"fox {number} [[takes {takes:g}s]]", "wait_seconds": 300}


async def draw(w: World, number: int = 0, takes: float = 15) -> float:
    """Draw a picture; when it was answered."""
    result = await w.call(DRAW, fox(number, takes))
    assert not result.is_error, said(result)
    assert facts(result)["status"] == "completed"
    return anyio.current_time()


async def lag(w: World, callbacks: Callbacks, number: int = 0, takes: float = 15) -> float:
    """How many seconds after its end a picture is answered."""
    return await draw(w, number, takes) - callbacks.ends[str(fox(number, takes)["prompt"])]


async def draw_several(w: World, numbers: range, takes: float = 15) -> None:
    """Draw pictures, all at once."""
    async with anyio.create_task_group() as group:
        for number in numbers:
            group.start_soon(draw, w, number, takes)


def looks(w: World) -> int:
    return sum("text_to_image" in path for path in w.wire.paths())


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def sent_callback(w: World) -> object:
    [create] = [sent for sent in w.wire.sent if sent.method == "POST"]
    return json.loads(create.body).get("callback_url")


async def test_a_create_carries_our_callback_signed_for_its_picture() -> None:
    async with calling_back() as (w, callbacks):
        await draw(w)
        [key] = w.wire.keys
        assert sent_callback(w) == callbacks.addresses.address_of(key)
        assert str(sent_callback(w)).startswith(f"{PUBLIC_URL}/callbacks/{key}.")


async def test_each_picture_of_a_call_has_a_callback_of_its_own() -> None:
    async with calling_back() as (w, callbacks):
        await w.call(DRAW, {**fox(), "count": 3})
        assert len(set(callbacks.urls)) == 3


async def test_a_picture_made_of_a_local_image_calls_back_as_well(tmp_path: Path) -> None:
    image = photo(tmp_path / "photos" / "fox.png")
    folders = Folders(tmp_path / "pictures", (tmp_path / "photos",))
    async with calling_back(folders=folders, **NO_PICTURES) as (w, callbacks):
        asked = {**asking(image, prompt="a fox [[takes 1s]]"), "count": 2}
        assert facts(await w.call(REMIX, asked))["status"] == "completed"
        sent = [json.loads(each.body) for each in w.wire.sent if each.path.endswith("remix_image")]
        assert {each["callback_url"] for each in sent} == set(callbacks.urls)
        assert len(callbacks.urls) == 2
        assert sent[0]["source_image_urls"] == sent[1]["source_image_urls"]


async def test_a_callers_own_callback_is_left_as_it_is() -> None:
    async with calling_back() as (w, _):
        await w.call(DRAW, {**fox(), "callback_url": "https://example.com/mine"})
        assert sent_callback(w) == "https://example.com/mine"


async def test_where_requests_are_not_kept_no_callback_is_sent() -> None:
    """A repeat of one in doubt could not send the same bytes once the secret is another."""
    async with calling_back(keeps_prompts=False) as (w, _):
        await draw(w)
        assert sent_callback(w) is None


async def test_a_server_without_a_public_address_sends_none() -> None:
    async with world() as w:
        await draw(w)
        assert sent_callback(w) is None


async def test_the_same_call_joins_whether_or_not_it_would_call_back() -> None:
    async with calling_back() as (w, _):
        first = facts(await w.call(DRAW, {**fox(), "wait_seconds": 0}))
        async with world(sandbox=w.sandbox) as other:
            assert other.task_count == 1
        again = facts(await w.call(DRAW, fox()))
        assert again["task_id"] == first["task_id"]
        assert w.task_count == 1


async def test_a_callback_is_looked_at_at_once() -> None:
    async with calling_back() as (w, callbacks):
        assert await lag(w, callbacks, takes=14.987) < 0.1


async def test_where_callbacks_prove_to_come_a_picture_takes_one_look() -> None:
    async with calling_back() as (w, callbacks):
        await draw_several(w, range(5))
        before = looks(w)
        for number in range(10, 20):
            assert await lag(w, callbacks, number, takes=14 + number / 20) < 0.1
        assert looks(w) - before == 10


async def test_a_first_picture_is_looked_at_as_if_nobody_called_back() -> None:
    async with calling_back(never) as (w, _), world() as plain:
        for each in (w, plain):
            await draw(each)
        assert looks(w) == looks(plain)


async def looks_without_and_with(call_back: CallBack) -> tuple[int, int]:
    """How often a picture is looked at for which nobody calls, and one for which somebody does."""
    async with calling_back(never) as (plain, none), calling_back(call_back) as (w, some):
        assert await lag(plain, none) < 4
        assert await lag(w, some) < 4
        return looks(plain), looks(w)


async def doubled(post: Post, url: str, ends_at: float) -> None:
    await on_time(post, url, ends_at)
    await post(url)


async def before_the_answer_to_the_create(post: Post, url: str, ends_at: float) -> None:
    await post(url)


async def in_the_middle(post: Post, url: str, ends_at: float) -> None:
    await anyio.sleep_until(ends_at - 10)
    await post(url)


async def late(post: Post, url: str, ends_at: float) -> None:
    await anyio.sleep_until(ends_at + 30)
    await post(url)


async def replayed(post: Post, url: str, ends_at: float) -> None:
    for _ in range(100):
        await post(url)
        await anyio.sleep(0.1)


async def forged(post: Post, url: str, ends_at: float) -> None:
    signed = url.rpartition(".")[0]
    for signature in ("0" * 32, "", "é", "x" * 5_000):
        await post(f"{signed}.{signature}")


@pytest.mark.parametrize(
    ("call_back", "most_more"),
    [
        (doubled, 0),
        (before_the_answer_to_the_create, 1),
        (in_the_middle, 1),
        (late, 0),
        (replayed, 1),
        (forged, 0),
    ],
)
async def test_odd_callbacks_cost_one_look_at_most(call_back: CallBack, most_more: int) -> None:
    plain, odd = await looks_without_and_with(call_back)
    assert odd <= plain + most_more


async def test_a_lost_callback_of_many_costs_no_picture() -> None:
    lost = iter([False] * 30 + [True])

    async def lose_one(post: Post, url: str, ends_at: float) -> None:
        if not next(lost, False):
            await on_time(post, url, ends_at)

    async with calling_back(lose_one) as (w, callbacks):
        await draw_several(w, range(30))
        assert await lag(w, callbacks, 30) < 5
        before = looks(w)
        assert await lag(w, callbacks, 31) < 0.1
        assert looks(w) - before == 1


async def test_when_callbacks_stop_polling_is_dense_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    is_down = anyio.Event()

    async def until_it_is_down(post: Post, url: str, ends_at: float) -> None:
        if not is_down.is_set():
            await on_time(post, url, ends_at)

    async with calling_back(until_it_is_down) as (w, callbacks):
        await draw_several(w, range(25))
        assert callbacks.wakeups.are_proven(RUNAPI.name)
        is_down.set()
        await draw_several(w, range(30, 50))
        await anyio.sleep(30)
        assert not callbacks.wakeups.are_proven(RUNAPI.name)
        assert await lag(w, callbacks, 60) < 1
    assert told(caplog) == [STAY_OUT]


async def test_where_none_ever_comes_that_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async with calling_back(never) as (w, _):
        for first in (0, 20, 40):
            await draw_several(w, range(first, first + 20))
            await anyio.sleep(30)
    assert told(caplog) == [STAY_OUT]


async def test_how_long_pictures_take_is_learned_from_callbacks() -> None:
    async with calling_back() as (w, _):
        for number in range(10):
            await draw(w, number, takes=30)
        w.progress.clear()
        await draw(w, 10, takes=30)
        assert all(
            re.search("pro usually takes about (2[89]|30) s", words) for _, words in w.progress
        )


async def test_of_many_waits_few_are_looked_at_before_their_callback() -> None:
    """Whatever is known of durations: here each picture takes another time."""
    async with calling_back() as (w, callbacks):
        await draw_several(w, range(5))
        before, lags = looks(w), list[float]()

        async def draw_one(number: int) -> None:
            lags.append(await lag(w, callbacks, number, takes=number / 4))

        async with anyio.create_task_group() as group:
            for number in range(100, 280):
                group.start_soon(draw_one, number)
        assert max(lags) < 0.5
        assert (looks(w) - before) / len(lags) < 1.3, (looks(w) - before, len(lags))


async def test_every_callback_is_answered_alike_and_none_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "runapi_mcp")
    async with calling_back(never) as (w, callbacks):
        await draw(w)
        [url] = callbacks.urls
        for each in (url, url, f"{url}0", f"{PUBLIC_URL}/callbacks/", f"{url}?key=1"):
            await callbacks.post(each, content=b"{" * 10)
        assert callbacks.statuses == [204] * 5
    ours = [each for each in caplog.records if each.name.startswith("runapi_mcp")]
    assert not any("/callbacks/" in record.getMessage() for record in ours)


def test_all_secrets_verify_and_the_first_signs() -> None:
    old, new = SecretStr("the-secret-of-last-year"), SecretStr("the-secret-of-this-year")
    before = CallbackAddresses(PUBLIC_URL, [old])
    rotated = CallbackAddresses(PUBLIC_URL, [new, old])
    after = CallbackAddresses(PUBLIC_URL, [new])

    def path(addresses: CallbackAddresses) -> str:
        return addresses.address_of("key").removeprefix(PUBLIC_URL)

    assert path(rotated) == path(after)
    assert [each.key_at(path(before)) for each in (rotated, after)] == ["key", None]
    assert before.key_at(path(rotated)) is None


def test_a_signature_is_for_one_picture() -> None:
    addresses = CallbackAddresses(PUBLIC_URL, [SecretStr("a-secret-of-the-fleet")])
    signature = addresses.address_of("key").rpartition(".")[2]
    assert addresses.key_at(f"/callbacks/other.{signature}") is None
    assert addresses.key_at(f"/callbacks/key.{signature}") == "key"


async def test_what_is_not_signed_waits_for_its_turn() -> None:
    async with calling_back(never) as (_, callbacks):
        started = anyio.current_time()
        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(callbacks.post, f"{PUBLIC_URL}/callbacks/key.{number}")
        assert 3 < anyio.current_time() - started < 6
        assert callbacks.statuses == [204] * 50
