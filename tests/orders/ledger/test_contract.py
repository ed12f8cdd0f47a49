"""What every ledger promises, through its port alone."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio
import pytest

from runapi_mcp.base.catalog.vendors import RUNFLOW
from runapi_mcp.base.errors import LedgerUnusable, NotAllowed
from runapi_mcp.orders.ledger import Call, Entry, Ledger, Spending, Use
from tests.orders.ledger.implementations import IMPLEMENTATIONS, Implementation
from tests.support.world import clock

pytestmark = pytest.mark.anyio
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
ME, FOX, PRO = "me", "a fox", "flux-2-pro-text-to-image"
NOTHING = Use()
IMAGE = ("https://cdn.example/1.png",)


@dataclass(frozen=True, slots=True)
class Book:
    """A ledger as two servers have it open."""

    one: Ledger
    other: Ledger
    kind: Implementation

    async def intend(self, key: str, count: int = 1, **more: Any) -> Entry:
        """The first picture of a call that comes now."""
        call = await self.one.intend(wanted(key, count, **more), NOTHING, clock(), allow_all)
        return call[0]

    async def again(self, use: Use = NOTHING, came_at: float | None = None) -> str | None:
        """The call that the same call goes on with, by its key."""
        now = clock() if came_at is None else came_at
        found = await self.other.find_alike(wanted("again")[0], use, now)
        return found[0].key if found else None

    async def end(self, key: str, status: Any = "completed", **more: Any) -> Entry:
        """A call of this status that asks for what no other does, with a task of the key's name."""
        facts: dict[str, Any] = {"fingerprint": key, "image_urls": IMAGE, **more}
        ended = replace(
            await self.intend(key, fingerprint=facts.pop("fingerprint")),
            status=status,
            task_id=f"task {key}",
            made_at=clock(),
            **facts,
        )
        await self.one.record(ended)
        return ended

    async def seen(self, key: str) -> Entry:
        return next(
            each for each in await self.other.entries(None, "recent", 99) if each.key == key
        )

    async def keys(self, *question: Any) -> list[str]:
        return [each.key for each in await self.other.entries(ME, *question)]


def wanted(key: str, count: int = 1, **more: Any) -> list[Entry]:
    """The entries of a call that is not written down yet."""
    known = {"caller": ME, "model": PRO, "fingerprint": FOX, "price_cents": 5, "begun_at": clock()}
    facts: dict[str, Any] = {"request": "{}", **known, **more}
    keys = [key, *(f"{key}-{number}" for number in range(2, count + 1))]
    return [
        Entry(key=each, call_id=key, number=number, count=count, **facts)
        for number, each in enumerate(keys, start=1)
    ]


def allow_all(spending: Spending, is_new: bool) -> None:  # noqa: FBT001 - as the ledger calls it
    """No limits."""


def allow_again(lapsed: Call, spending: Spending) -> None:
    """No limits."""


def allow_up_to(cents: float) -> Callable[[Spending, bool], None]:
    """A day's budget that one more call of 5 cents must not break."""

    def allow(spending: Spending, is_new: bool) -> None:  # noqa: FBT001 - as the ledger calls it
        assert is_new
        if spending.total_cents + 5 > cents:
            raise NotAllowed("The budget is spent.", "Nothing was paid.")

    return allow


@pytest.fixture(params=IMPLEMENTATIONS.values(), ids=list(IMPLEMENTATIONS))
async def book(request: pytest.FixtureRequest, anyio_backend: object) -> AsyncGenerator[Book]:
    kind: Implementation = request.param
    async with kind.opened(request) as (one, other):
        yield Book(one, other, kind)


async def test_an_intent_is_kept_whole_and_seen_by_every_server(book: Book) -> None:
    call = wanted(
        "1",
        count=3,
        output_resolution="2k",
        arguments={"prompt": FOX, "aspect_ratio": "1:1"},
        request='{"prompt": "a fox"}',
        ready=False,
        sources=({"path": "/fox.png", "sha256": "ab"}, {"task_id": "7"}),
        save_as="/pictures/./fox",
        price_cents=7.25,
        sandbox=True,
    )
    assert await book.one.intend(call, NOTHING, clock(), allow_all) == call
    assert await book.other.call("1") == call
    listed = await book.other.entries(ME)
    assert [replace(each, doubt=None) for each in listed] == call


@pytest.mark.parametrize("status", ["intended", "pending", "processing", "unknown", "completed"])
async def test_an_identical_call_that_is_not_settled_is_joined_whoever_attends_to_it(
    book: Book, status: Any
) -> None:
    oldest = await book.intend("1")
    await book.one.record(replace(oldest, status=status, image_urls=IMAGE))
    joined = await book.other.intend(wanted("3"), NOTHING, clock(), allow_up_to(0))
    assert [(each.key, each.status) for each in joined] == [("1", status)]
    assert await book.keys() == ["1"]


@pytest.mark.parametrize(
    ("status", "image_urls"),
    [("failed", ()), ("lost", ()), ("completed", ())],
)
async def test_what_came_to_nothing_is_told_to_who_came_before_and_is_settled_for_others(
    book: Book, status: Any, image_urls: tuple[str, ...]
) -> None:
    entry = await book.intend("1")
    came_at = clock()
    await anyio.sleep(1)
    await book.one.record(replace(entry, status=status, image_urls=image_urls))
    assert await book.again(came_at=came_at) == "1"
    await anyio.sleep(1)
    assert await book.again() is None
    assert (await book.intend("2")).key == "2"


async def test_what_was_refused_is_joined_by_nobody(book: Book) -> None:
    await book.intend("1")
    came_at = clock()
    await book.one.withdraw("1")
    assert await book.again(came_at=came_at) is None


async def test_another_caller_or_question_is_another_call(book: Book) -> None:
    await book.intend("another caller's", caller="you")
    await book.intend("another fingerprint", fingerprint="an owl")
    assert await book.again() is None


async def test_the_oldest_of_several_is_joined(book: Book) -> None:
    await book.intend("1")
    await anyio.sleep(1)
    await book.one.intend(wanted("2"), Use(redrawn="no such task"), -1e9, allow_all)
    assert await book.again() == "1"


@pytest.mark.parametrize("minutes_of_the_clock", [0, 60 * 24 * 90])
async def test_a_quarter_of_an_hour_after_a_handover_a_call_is_settled(
    book: Book, minutes_of_the_clock: int
) -> None:
    """A hand-over dated in the future counts as just now."""
    await book.end("1", fingerprint=FOX)
    left_at = clock() + minutes_of_the_clock * MINUTE
    await book.one.record_handover("1", left_at, surely=False)
    await anyio.sleep(1)
    assert await book.again() == "1"
    await book.one.record_handover("1", clock(), surely=False)
    came_at = clock()
    await anyio.sleep(15 * MINUTE)
    assert await book.again(came_at=came_at) == "1"
    assert await book.again() is None


async def test_a_sure_handover_settles_at_once_for_those_who_come_after_it(book: Book) -> None:
    await book.end("1", fingerprint=FOX)
    came_at = clock()
    await anyio.sleep(1)
    await book.one.record_handover("1", clock(), surely=True)
    assert await book.again(came_at=came_at) == "1"
    assert await book.again() is None


async def test_what_a_wrong_clock_settled_in_the_future_is_settled(book: Book) -> None:
    await book.end("1", fingerprint=FOX)
    await book.one.record_handover("1", clock() + 90 * DAY, surely=True)
    assert await book.again() is None


@pytest.mark.parametrize(
    "use",
    [
        Use(task_ids=("task 1",)),
        Use(redrawn="task 1"),
        Use(paths=("/pictures/1.webp", "/elsewhere.png")),
        Use(paths=("/pictures/1.png",)),
        Use(urls=IMAGE),
    ],
)
@pytest.mark.parametrize(
    "by", ["a new call", "one that joins in time", "one that joins late", "no call"]
)
async def test_a_used_picture_settles_its_call(book: Book, use: Use, by: str) -> None:
    await book.end("1", fingerprint=FOX)
    await book.one.record_files("1", ["/pictures/1.webp"], ["ab"], [("/pictures/1.png", "cd")])
    await book.end("2", image_urls=("https://cdn.example/2.png",))
    await anyio.sleep(1)
    joining = wanted("4", fingerprint="2")
    if by == "a new call":
        new = wanted("3", fingerprint="made from it")
        await book.other.intend(new, use, clock(), allow_all)
    elif by == "one that joins in time":
        await book.other.find_alike(joining[0], use, clock())
    elif by == "no call":
        await book.other.record_use(ME, use)
    else:
        await book.other.intend(joining, use, clock(), allow_up_to(0))
    assert await book.again() is None
    assert (await book.seen("1")).settled_at == clock()
    assert (await book.seen("2")).settled_at is None


async def test_another_callers_use_settles_nothing(book: Book) -> None:
    await book.end("1", fingerprint=FOX)
    use = Use("task 1", ("task 1",), urls=IMAGE)
    yours = wanted("2", caller="you", fingerprint="2")
    await book.one.intend(yours, use, clock(), allow_all)
    await book.one.record_use("you", use)
    assert await book.again() == "1"


async def test_a_redraw_is_a_new_call_that_its_own_retries_join(book: Book) -> None:
    await book.end("1", fingerprint=FOX)
    use = Use(redrawn="task 1")
    assert await book.again(use) is None
    new = await book.one.intend(wanted("2"), use, clock(), allow_all)
    assert new[0].key == "2"
    assert await book.again(use) == "2"
    assert await book.again(use, came_at=clock() - 1) == "2"


async def test_what_is_not_allowed_is_not_written_and_uses_nothing(book: Book) -> None:
    await book.end("1", fingerprint="used")
    use = Use(task_ids=("task 1",))
    with pytest.raises(NotAllowed):
        await book.one.intend(wanted("2", count=2), use, clock(), allow_up_to(4))
    assert await book.keys() == ["1"]
    assert (await book.seen("1")).settled_at is None


@pytest.mark.parametrize("late", [False, True])
async def test_a_picture_is_joined_as_long_as_the_provider_or_the_disk_has_it(
    book: Book, *, late: bool
) -> None:
    await book.end("1", fingerprint=FOX)
    await anyio.sleep(7 * DAY + (60 if late else -60))
    assert await book.again() == (None if late else "1")
    await book.one.record_files("1", ["/pictures/1.png"], ["ab"])
    assert await book.again() == "1"


async def test_a_doubt_is_joined_however_old_it_is(book: Book) -> None:
    await book.intend("1")
    await book.one.record_send("1", allow_again)
    await anyio.sleep(90 * DAY)
    assert await book.again() == "1"


async def test_another_vendor_is_another_call_of_whoever_has_its_key(book: Book) -> None:
    await book.intend("1", vendor=RUNFLOW.name)
    assert await book.again() is None
    for caller in (ME, "you"):
        [wanted_there] = wanted("again", vendor=RUNFLOW.name, caller=caller)
        found = await book.other.find_alike(wanted_there, NOTHING, clock())
        assert [(each.key, each.vendor) for each in found or ()] == [("1", RUNFLOW.name)]


async def test_of_all_who_claim_a_send_one_gets_it_once(book: Book) -> None:
    await book.intend("1", vendor=RUNFLOW.name)
    got: list[Entry | None] = []

    async def claim(ledger: Ledger) -> None:
        got.append(await ledger.claim_send("1"))

    async with anyio.create_task_group() as group:
        for ledger in (book.one, book.other) * 4:
            group.start_soon(claim, ledger)
    [claimed] = filter(None, got)
    assert (claimed.open_sends, claimed.sends_out, claimed.sent_at) == (1, 1, claimed.begun_at)
    await anyio.sleep(2 * DAY)
    await book.one.record_doubt("1", 1, answered=True)
    assert await book.other.claim_send("1") is None


async def test_what_nobody_has_sent_for_so_long_is_withdrawn_instead_of_claimed(
    book: Book,
) -> None:
    await book.intend("1", vendor=RUNFLOW.name)
    await anyio.sleep(16 * MINUTE)
    assert await book.one.claim_send("1") is None
    assert [each.status for each in await book.other.call("1")] == ["refused"]


@pytest.mark.parametrize(
    ("looks", "status"),
    [
        ((130.0,), "intended"),
        ((70.0, 129.0), "intended"),
        ((10.0, 119.0), "intended"),
        ((10.0, 121.0), "refused"),
        ((70.0, 100.0, 131.0), "refused"),
        ((10.0, 20.0, 30.0, 121.0), "refused"),
    ],
)
async def test_what_two_lists_far_enough_apart_have_not_was_not_made(
    book: Book, looks: tuple[float, ...], status: str
) -> None:
    entry = seen = await book.intend("1", vendor=RUNFLOW.name)
    await book.one.claim_send("1")
    seen = entry
    for seconds in looks:
        await book.other.record_absence("1", entry.begun_at + seconds)
    [seen] = await book.one.call("1")
    assert seen.status == status
    assert (seen.settled_at is None) == (status == "intended")


async def test_a_task_that_is_known_is_not_absent(book: Book) -> None:
    entry = await book.intend("1", vendor=RUNFLOW.name)
    await book.one.claim_send("1")
    await book.one.record(replace(entry, task_id="7", status="pending", made_at=clock()))
    for seconds in (10.0, 200.0):
        await book.other.record_absence("1", entry.begun_at + seconds)
    [seen] = await book.one.call("1")
    assert (seen.status, seen.task_id) == ("pending", "7")


async def test_a_doubt_that_is_given_up_is_settled_by_the_call_in_its_place(book: Book) -> None:
    await book.intend("1", vendor=RUNFLOW.name)
    await book.one.claim_send("1")
    [anew] = wanted("2", vendor=RUNFLOW.name)
    came_at = clock()
    for ledger in (book.one, book.other):
        [found] = await ledger.intend([anew], Use(given_up="1"), came_at, allow_all)
        assert found.key == "2"
    [old] = await book.one.call("1")
    assert (old.status, old.settled_at is None) == ("intended", False)


async def test_doubts_elsewhere_are_looked_for_although_no_prompt_is_kept(book: Book) -> None:
    await book.intend("1", vendor=RUNFLOW.name, request=None)
    assert await book.other.doubts(ME, 9) == []
    await book.one.claim_send("1")
    await book.one.record_doubt("1", 1, answered=True)
    await anyio.sleep(MINUTE)
    assert [each.key for each in await book.other.doubts(ME, 9)] == ["1"]
    [listed] = await book.other.entries(ME)
    assert listed.doubt == "looked for"
    await anyio.sleep(DAY)
    [listed] = await book.other.entries(ME)
    assert listed.doubt == "out of sight"


async def test_who_allows_is_told_whether_the_key_was_used(book: Book) -> None:
    told: list[bool] = []

    def allow(_: Spending, is_new: bool) -> None:  # noqa: FBT001 - as the ledger calls it
        told.append(is_new)
        if not is_new:
            raise NotAllowed("One yes pays once.", "Nothing was paid.")

    await book.one.intend(wanted("1"), NOTHING, clock(), allow)
    await book.one.withdraw("1")
    with pytest.raises(NotAllowed):
        await book.other.intend(wanted("1"), NOTHING, clock(), allow)
    assert told == [True, False]


async def test_of_many_intents_at_once_only_one_takes_the_last_cents(book: Book) -> None:
    kept: list[str] = []

    async def intend(ledger: Ledger, key: str) -> None:
        call, allow = wanted(key, fingerprint=key), allow_up_to(5)
        try:
            kept.append((await ledger.intend(call, NOTHING, clock(), allow))[0].key)
        except NotAllowed:
            return

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(intend, (book.one, book.other)[number % 2], str(number))
    assert await book.keys() == kept
    assert len(kept) == 1


async def test_of_identical_calls_at_once_one_pays_and_the_others_join_it(book: Book) -> None:
    keys: list[str] = []

    async def intend(ledger: Ledger, key: str) -> None:
        keys.append((await ledger.intend(wanted(key), NOTHING, clock(), allow_all))[0].key)

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(intend, (book.one, book.other)[number % 2], str(number))
    assert len(set(keys)) == 1


async def test_of_two_uploads_the_requests_of_the_first_count(book: Book) -> None:
    call = await book.one.intend(
        wanted("1", count=2, ready=False, request=None), NOTHING, clock(), allow_all
    )
    for number, ledger in enumerate((book.one, book.other)):
        urls = {"source_image_urls": [f"https://files.example/{number}"]}
        request = f"request {number}"
        mine = [
            replace(each, arguments=urls, request=f"{request} of {each.number}", ready=True)
            for each in call
        ]
        counts = await ledger.record_request(mine)
        assert [each.request for each in counts] == ["request 0 of 1", "request 0 of 2"]
        assert all(each.ready for each in counts)
        assert counts[1].arguments == {"source_image_urls": ["https://files.example/0"]}


async def test_each_send_is_counted_until_the_task_is_known(book: Book) -> None:
    await book.intend("1")
    first = await book.one.record_send("1", allow_again)
    await anyio.sleep(1)
    second = await book.other.record_send("1", allow_again)
    assert [(each.open_sends, each.sends_out) for each in (first, second)] == [(1, 1), (2, 2)]
    assert (second.sent_at, second.unanswered) == (clock(), True)
    await book.one.record(replace(second, task_id="7", status="pending"))
    late = await book.other.record_send("1", allow_again)
    assert (late.task_id, late.open_sends) == ("7", 2)


async def test_a_no_ends_a_picture_only_when_no_other_send_can_have_been_taken(book: Book) -> None:
    await book.intend("1", count=2)
    for _ in range(3):
        await book.one.record_send("1", allow_again)
    assert (await book.one.record_no("1", 2)).status == "intended"
    ended = await book.other.record_no("1", 1)
    assert (ended.status, ended.settled_at) == ("refused", None)
    assert (await book.other.record_send("1", allow_again)).open_sends == 0
    await book.one.record_send("1-2", allow_again)
    last = await book.one.record_no("1-2", 1)
    assert (last.status, last.settled_at) == ("refused", clock())


async def test_what_was_sent_is_not_withdrawn(book: Book) -> None:
    await book.intend("1", count=2)
    await book.one.record_send("1", allow_again)
    await book.other.withdraw("1")
    assert [each.status for each in await book.one.call("1")] == ["intended", "refused"]
    assert await book.again() == "1"


async def test_what_was_never_sent_is_withdrawn_after_an_hour_by_another_call(book: Book) -> None:
    await book.intend("never sent")
    await book.intend("sent", fingerprint="2")
    await book.one.record_send("sent", allow_again)
    await anyio.sleep(2 * HOUR)
    await book.intend("another", fingerprint="3")
    assert await book.keys() == ["another", "sent"]


async def test_what_was_never_sent_takes_nothing_of_its_call_along(book: Book) -> None:
    await book.intend("1", count=3)
    sent = await book.one.record_send("1-2", allow_again)
    await anyio.sleep(2 * HOUR)
    await book.intend("another", fingerprint="3")
    call = await book.one.call("1")
    assert [each.status for each in call] == ["refused", "intended", "refused"]
    assert [each.settled_at for each in call] == [None] * 3
    found = await book.other.find_alike(wanted("again")[0], NOTHING, clock())
    assert found == call
    assert await book.keys("undelivered") == ["another", "1-2"]
    await book.one.record_no(sent.key, 1)
    assert [each.settled_at for each in await book.other.call("1")] == [clock()] * 3


async def test_what_became_of_a_call_may_be_told_twice_and_late(book: Book) -> None:
    left = await book.intend("1")
    running = replace(left, status="processing", task_id="7", made_at=clock(), price_cents=6)
    done = replace(
        running,
        status="completed",
        image_urls=IMAGE,
        cost_cents=4.5,
        ended_at=clock() + 9,
        drawn=(8.0, 9.0),
    )
    for told in (running, running, done, done, running):
        await book.one.record(told)
    knows_less = replace(done, cost_cents=None, price_cents=None, made_at=None, drawn=None)
    await book.other.record(replace(knows_less, ended_at=clock() + 60))
    assert await book.other.by_task(ME, "7") == done
    assert await book.other.by_task("you", "7") is None
    assert await book.other.by_task(None, "7") == done


async def test_of_several_pictures_a_call_is_settled_with_the_last(book: Book) -> None:
    await book.intend("1", count=3)
    first, second, third = await book.one.call("1")
    await book.one.record(replace(first, status="failed"))
    await book.one.record(replace(second, status="completed", image_urls=()))
    assert await book.again() == "1"
    await book.one.record(replace(third, status="lost"))
    assert [each.settled_at for each in await book.other.call("1")] == [clock()] * 3


async def test_one_that_is_drawn_keeps_a_call_open_and_is_settled_with_its_siblings(
    book: Book,
) -> None:
    await book.intend("1", count=2)
    first, second = await book.one.call("1")
    await book.one.record(replace(first, status="failed"))
    done = replace(second, status="completed", task_id="7", image_urls=IMAGE)
    await book.one.record(done)
    assert await book.again() == "1"
    await anyio.sleep(1)
    await book.one.intend(wanted("2", fingerprint="2"), Use(task_ids=("7",)), clock(), allow_all)
    assert [each.settled_at for each in await book.other.call("1")] == [clock()] * 2


async def test_to_write_of_what_is_not_there_is_a_failure(book: Book) -> None:
    await book.intend("1")
    ledger, [gone] = book.one, wanted("gone")
    for write in (
        partial(ledger.record, gone),
        partial(ledger.record_request, [gone]),
        partial(ledger.record_send, gone.key, allow_again),
        partial(ledger.record_no, gone.key, 1),
        partial(ledger.record_doubt, gone.key, 1, answered=True),
        partial(ledger.record_files, gone.key, [], []),
        partial(ledger.record_handover, gone.key, 0.0, surely=True),
        partial(ledger.withdraw, gone.key),
    ):
        with pytest.raises(LedgerUnusable):
            await write()


async def test_files_and_a_handover_are_kept_and_the_first_handover_counts(book: Book) -> None:
    await book.end("1")
    originals = (("", ""), ("/pictures/1.webp", "cd"))
    await book.one.record_files("1", ["/pictures/1.png", ""], ["ab", ""], originals)
    first = clock()
    await book.one.record_handover("1", first, surely=False)
    await anyio.sleep(60)
    await book.other.record_handover("1", clock(), surely=False)
    seen = await book.other.by_task(ME, "task 1")
    assert seen is not None
    assert (seen.file_hashes, seen.originals) == (("ab", ""), originals)
    assert (seen.files, seen.handed_over_at) == (("/pictures/1.png", ""), first)


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
    await book.intend("another's", caller="you")
    assert await book.other.spending(ME) == Spending(spent, reserved)


async def test_at_midnight_only_what_is_in_doubt_counts_on_until_a_day_after_its_last_send(
    book: Book,
) -> None:
    await book.end("1", "pending")
    await book.intend("in doubt", fingerprint="in doubt")
    await book.one.record_send("in doubt", allow_again)
    for seconds, cents in ((12 * HOUR - 1, 10), (1, 5), (12 * HOUR - 1, 5), (1, 0)):
        await anyio.sleep(seconds)
        assert (await book.other.spending(ME)).total_cents == cents
    await anyio.sleep(30 * DAY)
    await book.other.record_send("in doubt", allow_again)
    assert (await book.other.spending(ME)).total_cents == 5
    doubtful = await book.seen("in doubt")
    await book.one.record(
        replace(doubtful, status="completed", task_id="7", image_urls=IMAGE, made_at=clock())
    )
    assert await book.other.spending(ME) == Spending(5, 0)
    await anyio.sleep(DAY)
    assert await book.other.spending(ME) == Spending()


async def test_a_call_from_the_future_counts_on_every_day(book: Book) -> None:
    await book.intend("1", begun_at=clock() + 90 * DAY)
    for _ in range(3):
        assert (await book.other.spending(ME)).total_cents == 5
        await anyio.sleep(DAY)


async def test_calls_are_listed_by_what_is_open_of_them_newest_first(book: Book) -> None:
    for key, status in (("done", "completed"), ("left", "completed"), ("no", "refused")):
        await book.end(key, status)
        await anyio.sleep(1)
    await book.one.record_handover("done", clock(), surely=False)
    for key, status in (("failed", "failed"), ("running", "processing")):
        await book.end(key, status)
        await anyio.sleep(1)
    await book.intend("your own", caller="you")
    assert await book.keys() == ["running", "failed", "left", "done"]
    assert await book.keys("recent", 2) == ["running", "failed"]
    assert await book.keys("running") == ["running"]
    assert await book.keys("undelivered") == ["running", "left"]
    assert [each.key for each in await book.other.entries(None, "recent", 1)] == ["your own"]


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ((), ["plain", "owl", "fox"]),
        (("fox",), ["fox"]),
        (("FÜCHSE", "red"), ["fox"]),
        (("Fu\u0308chse",), ["fox"]),
        (("red", "owl"), []),
        (("flex",), ["owl"]),
        (("nest.png",), ["owl"]),
        (("pictures",), []),
        (("task plain",), ["plain"]),
        (("%",), []),
    ],
    ids=str,
)
async def test_drawn_pictures_are_found_by_words_newest_first(
    words: tuple[str, ...], keys: list[str], book: Book
) -> None:
    async def draw(key: str, prompt: str, **more: Any) -> None:
        entry = await book.intend(key, fingerprint=key, arguments={"prompt": prompt}, **more)
        drawn = replace(entry, status="completed", task_id=f"task {key}", image_urls=IMAGE)
        await book.one.record(drawn)
        await anyio.sleep(1)

    await draw("fox", "Two red füchse, one fox")
    await draw("owl", "an owl", model="flux-2-flex-text-to-image", caller="you")
    await book.one.record_files("owl", ["/pictures/nest.png"], [""])
    await book.end("plain", arguments=None)
    await book.end("failed", "failed", image_urls=())
    await book.intend("not yet", fingerprint="not yet")
    for skip in range(4):
        found = await book.other.find_pictures(words, skip, 2)
        assert [each.key for each in found] == keys[skip : skip + 2]


async def test_only_requests_of_a_day_that_were_never_answered_are_asked_about_unbidden(
    book: Book,
) -> None:
    async def leave(key: str, answered: bool | None = False, **more: Any) -> None:  # noqa: FBT001, FBT002 - three answers in a row
        await book.intend(key, fingerprint=key, **more)
        await book.one.record_send(key, allow_again)
        if answered is not None:
            await book.one.record_doubt(key, 1, answered=answered)

    await leave("too old")
    await anyio.sleep(DAY)
    await leave("older", None)
    await anyio.sleep(30)
    await leave("newer")
    await leave("answered", answered=True)
    await leave("no prompt kept", request=None)
    await leave("out", None)
    await book.intend("never sent", fingerprint="never sent")
    await leave("another's", caller="you")
    assert [each.key for each in await book.other.doubts(ME, 5)] == ["older", "newer"]
    assert [each.key for each in await book.other.doubts(ME, 1)] == ["older"]
    doubts = {each.key: each.doubt for each in await book.one.entries(ME)}
    assert doubts == {
        "too old": "same call asks",
        "older": "asks itself",
        "newer": "asks itself",
        "answered": "same call asks",
        "no prompt kept": "same call asks",
        "out": "under way",
        "never sent": "under way",
    }
    await book.one.record_send("older", allow_again)
    await book.one.record_doubt("older", 1, answered=True)
    assert [each.key for each in await book.other.doubts(ME, 1)] == ["newer"]
    assert (await book.seen("older")).unanswered


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


@pytest.mark.parametrize("kind", IMPLEMENTATIONS.values(), ids=list(IMPLEMENTATIONS))
async def test_a_new_process_joins_what_an_earlier_one_left(
    kind: Implementation, request: pytest.FixtureRequest
) -> None:
    async with kind.opened(request) as (earlier, _):
        await earlier.intend(wanted("1"), NOTHING, clock(), allow_all)
        assert earlier.lasts == kind.lasts
    async with kind.opened(request) as (later, _):
        found = await later.find_alike(wanted("2")[0], NOTHING, clock())
        assert (found is not None) == kind.lasts


async def test_a_doubt_that_is_asked_about_again_sets_its_price_aside_again(book: Book) -> None:
    await book.intend("1")
    await book.one.record_send("1", allow_again)
    await anyio.sleep(26 * HOUR)
    assert await book.other.spending(ME) == Spending(0, 0)
    await book.one.record_send("1", allow_again)
    assert await book.other.spending(ME) == Spending(0, 5)


@pytest.mark.parametrize("is_allowed", [False, True])
async def test_who_asks_about_a_doubt_of_yesterday_reserves_its_whole_call_or_sends_nothing(
    book: Book, *, is_allowed: bool
) -> None:
    told: list[tuple[list[str], Spending]] = []

    def allow(lapsed: Call, spending: Spending) -> None:
        told.append(([each.key for each in lapsed], spending))
        if not is_allowed:
            raise NotAllowed("The budget is spent.", "Nothing was paid.")

    await book.intend("1", count=3)
    for key in ("1", "1-2", "1-3"):
        await book.one.record_send(key, allow)
    await book.one.record_no("1-3", 1)
    assert told == []
    await anyio.sleep(DAY)
    await book.intend("another", fingerprint="another")
    before = await book.one.call("1")
    if is_allowed:
        sent = [
            await send.record_send(key, allow)
            for send, key in ((book.one, "1"), (book.other, "1-2"))
        ]
        assert [(each.open_sends, each.sends_out, each.sent_at) for each in sent] == [
            (2, 1, clock())
        ] * 2
    else:
        with pytest.raises(NotAllowed):
            await book.one.record_send("1", allow)
        assert await book.one.call("1") == before
    assert told == [(["1", "1-2"], Spending(0, 5))]
    assert await book.other.spending(ME) == Spending(0, 15 if is_allowed else 5)


async def test_a_doubt_whose_sibling_was_used_asks_itself(book: Book) -> None:
    """The same call would draw anew."""
    first = await book.intend("1", count=2)
    await book.one.record(replace(first, status="completed", task_id="task 1", image_urls=IMAGE))
    await book.one.record_send("1-2", allow_again)
    await book.one.record_doubt("1-2", 1, answered=True)
    await anyio.sleep(MINUTE)
    assert await book.other.doubts(ME, 9) == []
    owl = wanted("2", fingerprint="an owl")
    await book.one.intend(owl, Use(redrawn="task 1"), clock(), allow_all)
    assert [each.key for each in await book.other.doubts(ME, 9)] == ["1-2"]
