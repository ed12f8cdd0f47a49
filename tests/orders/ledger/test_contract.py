"""What every ledger promises, through its port alone."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from runapi_mcp.base.errors import NotAllowed
from runapi_mcp.orders.ledger import Entry, Ledger, Spending
from tests.orders.ledger.implementations import IMPLEMENTATIONS, Implementation
from tests.support.world import clock

pytestmark = pytest.mark.anyio
HOUR, DAY = 3_600.0, 86_400.0
ME, FOX, PRO = "me", "a fox", "flux-2-pro-text-to-image"


@dataclass(frozen=True, slots=True)
class Book:
    """A ledger as two servers have it open, and how a call is left there."""

    one: Ledger
    other: Ledger
    kind: Implementation

    async def intend(self, key: str, **more: Any) -> Entry:
        return await self.one.intend(entry(key, **more), allow_all)

    async def leave(self, key: str, **more: Any) -> Entry:
        """A call that nobody attends to any more."""
        left = await self.intend(key, **more)
        await self.kind.unattend(self.one, left)
        return left

    async def end(self, key: str, status: Any = "completed", **more: Any) -> Entry:
        """A call of this status, with a task of the key's name."""
        left = await self.leave(key, fingerprint=key)
        ended = replace(left, status=status, task_id=f"task {key}", made_at=clock(), **more)
        await self.one.record(ended)
        return ended

    async def keys(self, *question: Any) -> list[str]:
        return [each.key for each in await self.other.entries(ME, *question)]


def entry(key: str, **more: Any) -> Entry:
    known = {"caller": ME, "model": PRO, "fingerprint": FOX, "price_cents": 5, "begun_at": clock()}
    facts: dict[str, Any] = {**known, **more}
    return Entry(key=key, **facts)


def allow_all(spending: Spending, is_new: bool) -> None:  # noqa: FBT001 - as the ledger calls it
    """No limits."""


def allow_up_to(cents: float) -> Callable[[Spending, bool], None]:
    """A day's budget that one more call of 5 cents must not break."""

    def allow(spending: Spending, is_new: bool) -> None:  # noqa: FBT001 - as the ledger calls it
        assert is_new
        if spending.total_cents + 5 > cents:
            raise NotAllowed("The budget is spent.", "Nothing was paid.")

    return allow


@pytest.fixture(params=IMPLEMENTATIONS.values(), ids=list(IMPLEMENTATIONS))
async def book(
    request: pytest.FixtureRequest, tmp_path: Path, anyio_backend: object
) -> AsyncGenerator[Book]:
    kind: Implementation = request.param
    async with kind.opened(tmp_path) as (one, other):
        yield Book(one, other, kind)


async def test_an_intent_is_kept_whole_and_seen_by_every_server(book: Book) -> None:
    wanted = entry(
        "1",
        output_resolution="2k",
        arguments={"prompt": FOX, "aspect_ratio": "1:1"},
        ready=False,
        sources=({"path": "/fox.png", "sha256": "ab"}, {"task_id": "7"}),
        save_as="/pictures/./fox",
        price_cents=7.25,
        sandbox=True,
    )
    kept = await book.one.intend(wanted, allow_all)
    assert replace(kept, hold=None) == wanted
    [seen] = await book.other.entries(ME)
    assert replace(seen, doubt=None) == wanted


@pytest.mark.parametrize("status", ["intended", "pending", "unknown", "completed"])
async def test_an_identical_call_that_reached_nobody_is_joined_the_oldest_first(
    book: Book, status: Any
) -> None:
    oldest = await book.intend("1")
    await anyio.sleep(1)
    later = await book.intend("2")
    for left in (later, oldest):
        await book.one.record(replace(left, status=status))
        await book.kind.unattend(book.one, left)
    joined = await book.other.intend(entry("3"), allow_up_to(0))
    assert (joined.key, joined.status) == ("1", status)
    assert await book.keys() == ["2", "1"]


@pytest.mark.parametrize("status", ["failed", "refused", "lost"])
async def test_what_came_to_nothing_is_not_joined(book: Book, status: Any) -> None:
    left = await book.leave("1")
    await book.one.record(replace(left, status=status))
    assert (await book.intend("2")).key == "2"


async def test_what_is_attended_to_was_delivered_or_differs_is_not_joined(book: Book) -> None:
    await book.intend("attended")
    assert (await book.intend("delivered")).key == "delivered"
    await book.one.record_delivery("delivered")
    await book.leave("another caller's", caller="you")
    await book.leave("another fingerprint", fingerprint="an owl")
    assert (await book.intend("new")).key == "new"


@pytest.mark.parametrize(
    ("status", "most_seconds"), [("intended", DAY), ("pending", 7 * DAY), ("completed", 7 * DAY)]
)
@pytest.mark.parametrize("late", [False, True])
async def test_a_call_is_joined_as_long_as_its_key_or_its_image_lasts(
    book: Book, status: Any, most_seconds: float, *, late: bool
) -> None:
    left = await book.leave("1")
    await book.one.record(replace(left, status=status))
    await anyio.sleep(most_seconds + (60 if late else -60))
    assert (await book.intend("2")).key == ("2" if late else "1")


async def test_what_is_not_allowed_is_not_written(book: Book) -> None:
    with pytest.raises(NotAllowed):
        await book.one.intend(entry("1"), allow_up_to(4))
    assert await book.keys() == []


async def test_who_allows_is_told_whether_the_key_was_used(book: Book) -> None:
    told: list[bool] = []

    def allow(_: Spending, is_new: bool) -> None:  # noqa: FBT001 - as the ledger calls it
        told.append(is_new)
        if not is_new:
            raise NotAllowed("One yes pays once.", "Nothing was paid.")

    await book.one.intend(entry("1"), allow)
    with pytest.raises(NotAllowed):
        await book.other.intend(entry("1"), allow)
    assert told == [True, False]


async def test_of_many_intents_at_once_only_one_takes_the_last_cents(book: Book) -> None:
    kept: list[str] = []

    async def intend(ledger: Ledger, key: str) -> None:
        try:
            kept.append((await ledger.intend(entry(key, fingerprint=key), allow_up_to(5))).key)
        except NotAllowed:
            return

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(intend, (book.one, book.other)[number % 2], str(number))
    assert await book.keys() == kept
    assert len(kept) == 1


async def test_of_two_identical_calls_at_once_one_joins_what_was_left(book: Book) -> None:
    await book.leave("left")
    keys: list[str] = []

    async def intend(ledger: Ledger, key: str) -> None:
        keys.append((await ledger.intend(entry(key), allow_all)).key)

    async with anyio.create_task_group() as group:
        group.start_soon(intend, book.one, "1")
        group.start_soon(intend, book.other, "2")
    assert "left" in keys
    assert len(set(keys)) == 2


async def test_a_request_is_written_down_whole_before_it_is_sent(book: Book) -> None:
    intent = await book.intend("1", ready=False, arguments={"prompt": FOX})
    whole = {"prompt": FOX, "source_image_urls": ["https://files.example/1"]}
    await book.one.record_request(replace(intent, arguments=whole, ready=True))
    [seen] = await book.other.entries(ME)
    assert (seen.ready, seen.arguments) == (True, whole)


async def test_what_became_of_a_call_may_be_told_twice_and_late(book: Book) -> None:
    left = await book.leave("1")
    running = replace(left, status="processing", task_id="7", made_at=clock(), price_cents=6)
    done = replace(
        running,
        status="completed",
        image_urls=("https://cdn.example/1.png",),
        cost_cents=4.5,
        ended_at=clock() + 9,
        drawn=(8.0, 9.0),
    )
    for told in (running, running, done, done, running):
        await book.one.record(told)
    knows_less = replace(done, cost_cents=None, price_cents=None, made_at=None, drawn=None)
    await book.other.record(replace(knows_less, ended_at=clock() + 60))
    seen = await book.other.by_task(ME, "7")
    assert seen == replace(done, hold=None)
    assert await book.other.by_task("you", "7") is None


async def test_only_an_intent_is_withdrawn_and_only_by_who_holds_it(book: Book) -> None:
    held_by_another = await book.intend("1")
    await book.one.withdraw(replace(held_by_another, hold="of nobody"))
    made = await book.end("2", "pending")
    await book.one.withdraw(made)
    assert set(await book.keys()) == {"1", "2"}
    await book.one.withdraw(held_by_another)
    assert await book.keys() == ["2"]
    assert (await book.one.spending(ME)).total_cents == 5


async def test_files_and_a_delivery_are_kept_and_the_first_delivery_counts(book: Book) -> None:
    await book.end("1")
    await book.one.record_files("1", ["/pictures/1.png", ""])
    first = clock()
    await book.one.record_delivery("1")
    await anyio.sleep(60)
    await book.other.record_delivery("1")
    seen = await book.other.by_task(ME, "task 1")
    assert seen is not None
    assert (seen.files, seen.delivered_at) == (("/pictures/1.png", ""), first)


@pytest.mark.parametrize(
    ("status", "more", "spent", "reserved"),
    [
        ("intended", {}, 0, 5),
        ("unknown", {}, 0, 5),
        ("pending", {"price_cents": 7}, 0, 7),
        ("completed", {}, 5, 0),
        ("completed", {"cost_cents": 3.25}, 3.25, 0),
        ("failed", {}, 0, 0),
        ("failed", {"cost_cents": 2}, 2, 0),
        ("refused", {}, 0, 0),
        ("lost", {}, 0, 5),
    ],
)
async def test_a_day_costs_what_was_charged_and_what_may_be(
    book: Book, status: Any, more: dict[str, Any], spent: float, reserved: float
) -> None:
    await book.end("1", status, **more)
    await book.leave("another's", caller="you")
    assert await book.other.spending(ME) == Spending(spent, reserved)


async def test_at_midnight_only_what_is_in_doubt_counts_on(book: Book) -> None:
    await book.end("1", "pending")
    await book.leave("in doubt", fingerprint="in doubt")
    await anyio.sleep(12 * HOUR - 1)
    assert (await book.other.spending(ME)).total_cents == 10
    await anyio.sleep(1)
    assert (await book.other.spending(ME)).total_cents == 5


async def test_calls_are_listed_by_what_is_open_of_them_newest_first(book: Book) -> None:
    for key, status in (("done", "completed"), ("left", "completed"), ("no", "refused")):
        await book.end(key, status)
        await anyio.sleep(1)
    await book.one.record_delivery("done")
    for key, status in (("failed", "failed"), ("running", "processing")):
        await book.end(key, status)
        await anyio.sleep(1)
    await book.leave("your own", caller="you")
    assert await book.keys() == ["running", "failed", "left", "done"]
    assert await book.keys("recent", 2) == ["running", "failed"]
    assert await book.keys("running") == ["running"]
    assert await book.keys("undelivered") == ["running", "left"]
    assert [each.key for each in await book.other.entries(None, "recent", 1)] == ["your own"]


async def test_doubts_are_intents_that_nobody_attends_to_for_a_day(book: Book) -> None:
    await book.leave("too old", fingerprint="1")
    await anyio.sleep(DAY)
    await book.leave("older", fingerprint="2")
    await anyio.sleep(1)
    await book.leave("newer", fingerprint="3")
    await book.intend("attended", fingerprint="4")
    await book.end("known", "pending")
    await book.leave("another's", caller="you")
    assert [each.key for each in await book.other.doubts(ME, 5)] == ["newer", "older"]
    assert [each.key for each in await book.other.doubts(ME, 1)] == ["newer"]
    doubts = {each.key: each.doubt for each in await book.one.entries(ME)}
    assert doubts == {
        "known": None,
        "attended": "under way",
        "newer": "open",
        "older": "open",
        "too old": "too old",
    }


async def test_the_latest_durations_of_a_kind_are_told_the_oldest_first(book: Book) -> None:
    for number in range(4):
        drawn = (number + 0.5, number + 1.0)
        await book.end(str(number), ended_at=clock(), drawn=drawn)
        await anyio.sleep(1)
    await book.end("not watched", ended_at=clock())
    assert await book.other.intervals(PRO, None, 2) == [(2.5, 3.0), (3.5, 4.0)]
    assert await book.other.intervals(PRO, "2k", 2) == []
    assert await book.other.intervals("flux-2-max-text-to-image", None, 2) == []


async def test_an_upload_is_known_to_its_caller_until_it_ends(book: Book) -> None:
    assert await book.one.upload(ME, "ab") is None
    await book.one.record_upload(ME, "ab", "https://files.example/1", clock() + 60)
    await book.one.record_upload(ME, "ab", "https://files.example/2", clock() + HOUR)
    assert await book.other.upload(ME, "ab") == "https://files.example/2"
    assert await book.other.upload("you", "ab") is None
    await anyio.sleep(HOUR)
    assert await book.other.upload(ME, "ab") is None


@pytest.mark.parametrize("kind", [kind for kind in IMPLEMENTATIONS.values() if kind.lasts])
async def test_a_new_process_joins_what_an_earlier_one_attended_to(
    kind: Implementation, tmp_path: Path
) -> None:
    async with kind.opened(tmp_path) as (earlier, _):
        await earlier.intend(entry("1"), allow_all)
    async with kind.opened(tmp_path) as (later, _):
        assert (await later.intend(entry("2"), allow_up_to(0))).key == "1"
