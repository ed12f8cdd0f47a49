"""Whatever happens, nobody pays for what was not asked for, or loses what was paid for.

`MONEY_STORIES=5000 pytest -n 0 --timeout 0 tests/orders/test_money_properties.py` tells that many
stories, other ones each time.
"""

import logging
import math
import os
from collections.abc import Generator, Sequence
from dataclasses import replace
from itertools import product
from random import Random, seed
from typing import Final, get_args

import pytest
from hypothesis import Phase, given, note, settings
from hypothesis import strategies as st

from runapi_mcp.orders.limits import Limits
from runapi_mcp.sandbox.faults import Fault, FaultKind, Where
from tests.support.model_of_money import (
    MOST_WAIT_SECONDS,
    Call,
    Die,
    Drawing,
    Forbid,
    Freeze,
    GetTask,
    Jump,
    ListTasks,
    Pass,
    ProcessName,
    Record,
    Rise,
    Step,
    Story,
    told,
)
from tests.support.rule_of_money import (
    check_consent,
    check_free,
    check_limits,
    check_nothing_is_paid_unbidden,
    check_requests,
    check_settled_is_not_given_again,
)
from tests.support.sellers import RUNAPI_SELLER, RUNFLOW_SELLER, SELLERS, Seller

STORIES: Final = int(os.environ.get("MONEY_STORIES", "0"))
NOON, BEFORE_MIDNIGHT = 0.0, 12 * 3600 - 60.0
HOUR_SECONDS, DAY_SECONDS = 3600.0, 86_400.0

UPLOADED: Final = Drawing("my fox", source="file")
# Few, so that identical calls are frequent: cheap and dear, quick and slow, and one that fails.
DRAWINGS: Final = (
    Drawing("a fox"),
    Drawing("a fox"),
    Drawing("a large fox", "2k"),
    Drawing("a hare [[takes 40s]]"),
    Drawing("an owl [[created torn x1]]"),
    Drawing("a cat [[fail]]"),
    Drawing("two foxes", count=2),
    Drawing("three hares", count=3),
    UPLOADED,
    Drawing("that fox in the snow", source="task"),
)
DRAWINGS_OF: Final = {
    RUNAPI_SELLER: DRAWINGS,
    RUNFLOW_SELLER: tuple(each for each in DRAWINGS if each.source is None),
}
UNANSWERED: Final = ("torn", "500", "503", "html", "broken-json", "slow")
ANSWERED: Final = ("307", "403", "408", "409", "410", "425", "429", "499")
# RunAPI does not refuse so what it has carried out.
REFUSING: Final = ("401", "402", "404", "422")
MORE_THAN_ONE_CALL_TRIES: Final = 14
ASKS: Final = (Drawing("a fox"), Drawing("two foxes", count=2), UPLOADED)
UPLOADING: Final = ("prepare", "upload", "confirm")
PLACES: Final[Sequence[Where]] = ("prices", *UPLOADING, "create", "created", "poll")
PLACES_AT_RUNFLOW: Final[Sequence[Where]] = ("models", "create", "created", "list", "poll")


def troubles(seller: Seller, places: Sequence[Where]) -> list[tuple[Seller, int, Where, FaultKind]]:
    """Every fault of every request."""
    return [
        (seller, number, where, kind)
        for number, (where, kind) in enumerate(product(places, get_args(FaultKind)))
        if where != "created" or kind not in REFUSING
    ]


# Found by chance, or by hand where chance is too rare to wait for.
FOUND: Final = {
    "a doubt of yesterday is made and charged today": Story(
        Limits(per_day_cents=5.0),
        BEFORE_MIDNIGHT,
        [Die("A", 5), Call("A", DRAWINGS[0]), Pass(61.0), Call("A", DRAWINGS[3])],
    ),
    "a call comes while what the last one ordered is being withdrawn": Story(
        Limits(),
        NOON,
        [
            Call("B", DRAWINGS[2]),
            Pass(61.0),
            Call("B", UPLOADED, MOST_WAIT_SECONDS, 5.0037),
            Fault("create", "402", times=1),
            Call("A", UPLOADED, MOST_WAIT_SECONDS),
            Call("B", UPLOADED, MOST_WAIT_SECONDS),
            Pass(1.0),
            Pass(1.0),
            Freeze("B", 1, 2 * DAY_SECONDS),
        ],
    ),
    "a caller leaves while a doubt is asked about again": Story(
        Limits(),
        NOON,
        [
            Fault("created", "torn", times=1),
            Call("A", DRAWINGS[0], MOST_WAIT_SECONDS, 1.1037),
            Pass(5.0),
            Call("B", DRAWINGS[0]),
        ],
    ),
    "two send at once, and one of them is refused": Story(
        Limits(),
        NOON,
        [
            Fault("created", "slow", 30.0, times=1),
            Fault("create", "402", times=1),
            Call("A", DRAWINGS[0]),
            Call("B", DRAWINGS[0]),
            Pass(1.5),
            Call("A", DRAWINGS[0]),
        ],
    ),
    "the price rises between the question and the yes": Story(
        Limits(confirm_over_cents=4.0),
        NOON,
        [Call("B", DRAWINGS[0]), Pass(5.0), Rise(), Pass(1000.0)],
        thinks_seconds=700.0,
    ),
    "RunAPI refuses what it has carried out, at the next try": Story(
        Limits(),
        NOON,
        [
            Fault("created", "torn", times=1),
            Call("A", DRAWINGS[0]),
            Pass(1.2),
            Fault("create", "402", times=30),
            Pass(61.0),
            Call("B", DRAWINGS[0]),
        ],
    ),
    "nothing may be spent any more while a call is in doubt": Story(
        Limits(),
        NOON,
        [
            Call("A", DRAWINGS[0], MOST_WAIT_SECONDS),
            Pass(20.0),
            Fault("create", "torn", times=MORE_THAN_ONE_CALL_TRIES),
            Call("A", DRAWINGS[3]),
            Pass(61.0),
            Forbid(),
            Pass(100.0),
            GetTask("A", 0),
            Pass(61.0),
        ],
    ),
    "a process stands still between the note of a send and the send": Story(
        Limits(),
        NOON,
        [Freeze("A", 11, 1200.0), Call("A", DRAWINGS[0]), Pass(61.0), Call("B", DRAWINGS[0])],
    ),
    "a doubt of long ago and a new call both want the last cents": Story(
        Limits(per_day_cents=5.0),
        NOON,
        [
            Die("A", 11),
            Call("A", DRAWINGS[0]),
            Pass(3 * DAY_SECONDS),
            Call("B", DRAWINGS[3]),
            Pass(0.575),
            Call("A", DRAWINGS[0]),
        ],
    ),
    "a doubt is asked about when it is over a limit, and was charged": Story(
        Limits(),
        NOON,
        [
            Fault("created", "403", times=30),
            Call("A", DRAWINGS[0]),
            Pass(61.0),
            Forbid(),
            Pass(3 * DAY_SECONDS),
            Call("A", DRAWINGS[0]),
        ],
    ),
    "others are certain that nothing was made of what a process is about to send": Story(
        Limits(),
        NOON,
        [
            Freeze("A", 12, 1200.0),
            Call("A", DRAWINGS[0]),
            Pass(25.0),
            Call("B", DRAWINGS[0]),
            Pass(600.0),
            Call("B", DRAWINGS[3]),
        ],
        seller=RUNFLOW_SELLER,
    ),
}


class Teller:
    """Makes up stories by chance: even chances, where a search would try its neighbours."""

    def __init__(self, chance: Random, seller: Seller) -> None:
        self._chance = chance
        self._one_of = chance.choice
        self._seller = seller
        self._drawings = DRAWINGS_OF[seller]

    def story(self) -> Story:
        one_of = self._one_of
        limits = Limits(
            per_call_cents=one_of((None, None, None, 6.5)),
            per_day_cents=one_of((None, None, 5.0, 12.0, 17.0)),
            confirm_over_cents=one_of((None, None, None, 4.0, 9.0)),
        )
        chapters = (
            self.mixture, self.turn, self.at_once, self.repeat, self.abandonment, self.forbidding,
        )  # fmt: skip
        steps = [step for _ in range(5) for step in one_of(chapters)()]
        known: Sequence[ProcessName] = one_of(((), (), ("A",), ("A", "B")))
        begins, thinks = one_of((NOON, BEFORE_MIDNIGHT)), one_of((2.0, 700.0))
        return Story(limits, begins, steps, known, thinks, self._seller)

    def mixture(self) -> list[Step]:
        return [self.step() for _ in range(self._chance.randrange(7))]

    def turn(self) -> list[Step]:
        """RunAPI leaves a call in doubt, and refuses it then or at the next try."""
        call, refused = (
            self.call(),
            self._one_of(([self.refusal()], [self.passing(), self.refusal()])),
        )
        return self._one_of(
            (
                [self.doubt(), call, *refused, self.like(call)],
                [self.doubt(), self.refusal(), call, self.passing(), self.like(call)],
            )
        )

    def at_once(self) -> list[Step]:
        """The same is sent twice, by one process or by both, and one may be refused."""
        uploads = [each for each in self._drawings if each is UPLOADED]
        drawing = self._one_of((*self._drawings, *uploads * 5))
        call = replace(self.call(), process="A", drawing=drawing)
        refusal = Fault("create", self._one_of(REFUSING), None, 1)
        slow = Fault("created", "slow", self._one_of((2.0, 30.0)), 1)
        faults = self._one_of(([slow], [slow, refusal]))
        pause = Pass(self._one_of((1.0, 1.5, 5.0)))
        return [*faults, call, replace(call, process=self._process()), pause, self.like(call)]

    def repeat(self) -> list[Step]:
        """The same call three times, with something in between."""
        call = self.call()
        between = [self.passing(), self.like(call), self.step(), self.passing()]
        return [self.step(), call, *between, self.like(call)]

    def abandonment(self) -> list[Step]:
        """A process dies, or stops for a while, as it orders; the other one goes on."""
        one, other = self._chance.sample(get_args(ProcessName), 2)
        touches = self._chance.randrange(4, 14)
        end = self._one_of((Die(one, touches), Freeze(one, touches, 1200.0)))
        call = replace(self.call(), process=one)
        another, again = Call(other, DRAWINGS[0]), replace(self.like(call), process=other)
        return [end, call, Pass(1000.0), another, Pass(5.0), again, Pass(HOUR_SECONDS)]

    def forbidding(self) -> list[Step]:
        """Nothing may be spent any more while a call is in doubt that was never answered."""
        known = Call(self._process(), DRAWINGS[0])
        kind = self._one_of(UNANSWERED)
        doubt = Fault("create", kind, None, MORE_THAN_ONE_CALL_TRIES)
        asking = GetTask(self._process(), 0)
        return [known, Pass(5.0), doubt, self.call(), Pass(61.0), Forbid(), Pass(100.0), asking]

    def step(self) -> Step:
        often = (self.call, self.call, self.passing, self.death, self.pause, self.fault, self.look)
        return self._one_of((*often, *often, self.rarity))()

    def call(self) -> Call:
        tenths = self._chance.randrange(1, 31)
        return Call(
            self._process(),
            self._one_of(self._drawings),
            self._one_of((0, MOST_WAIT_SECONDS)),
            # What a host does is never at the very moment of something else.
            self._one_of((math.inf, math.inf, tenths / 10 + 0.0037, 5.0037, 40.0037)),
            cancels=self._one_of((True, False)),
            redraws=self._one_of((None, None, None, 0, 1)),
            source=self._chance.randrange(4),
        )

    def like(self, call: Call) -> Call:
        return replace(self.call(), drawing=call.drawing, source=call.source)

    def passing(self) -> Pass:
        return Pass(self._one_of((0.1, 0.5, 1.0, 5.0, 20.0, 61.0, 880.0, 1000.0, HOUR_SECONDS)))

    def death(self) -> Die:
        return Die(self._process(), self._chance.randrange(21))

    def pause(self) -> Freeze:
        seconds = self._one_of((70.0, 1200.0, 2 * DAY_SECONDS))
        return Freeze(self._process(), self._chance.randrange(21), seconds)

    def look(self) -> Step:
        task = GetTask(self._process(), self._chance.randrange(10))
        return self._one_of((task, task, ListTasks(self._process())))

    def rarity(self) -> Step:
        jump = Jump(self._one_of((-HOUR_SECONDS, HOUR_SECONDS, -DAY_SECONDS, 30 * DAY_SECONDS)))
        days = Pass(self._one_of((1.1 * DAY_SECONDS, 3 * DAY_SECONDS)))
        if self._seller is RUNAPI_SELLER:
            return self._one_of((jump, days, Rise(), Forbid()))
        # How old a doubt is, only the clock tells.
        return self._one_of((days, Forbid()))

    def fault(self) -> Fault:
        poll = self._fault("poll", *UNANSWERED, "403", "409", "429")
        confirm = self._fault("confirm", "500", "slow")
        own = confirm if self._seller is RUNAPI_SELLER else self._fault("models", *UNANSWERED)
        return self._one_of((self.doubt(), self.doubt(), self.refusal(), poll, own))

    def doubt(self) -> Fault:
        return self._fault("created", *UNANSWERED, *ANSWERED)

    def refusal(self) -> Fault:
        return self._fault("create", *UNANSWERED, *ANSWERED, *REFUSING)

    def _fault(self, where: Where, *kinds: FaultKind) -> Fault:
        seconds, times = self._one_of((None, 2.0, 30.0)), self._one_of((1, 3, 30))
        return Fault(where, self._one_of(kinds), seconds, times)

    def _process(self) -> ProcessName:
        return self._one_of(get_args(ProcessName))


@pytest.fixture(autouse=True, scope="module")
def _without_logs() -> Generator[None]:
    """Nothing is logged: pytest would keep the warnings of all stories."""
    logger = logging.getLogger("runapi_mcp")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.mark.exhaustive
@settings(
    max_examples=STORIES or 80,
    derandomize=not STORIES,
    deadline=None,
    database=None,
    # What is found is shortened here, step by step: chances have no smaller ones.
    phases=(Phase.generate,),
)
@given(chance=st.randoms(use_true_random=True))
@pytest.mark.parametrize("seller", SELLERS, ids=repr)
def test_charges_exceed_neither_requests_nor_limits_and_each_is_found_and_delivered(
    seller: Seller, chance: Random
) -> None:
    story = Teller(chance, seller).story()
    try:
        check(story)
    except AssertionError:
        story = shortened(story)
        note(str(story))
        check(story)
        raise


@pytest.mark.parametrize("story", FOUND.values(), ids=FOUND)
def test_what_was_found_by_chance_stays_mended(story: Story) -> None:
    check(story)


@pytest.mark.parametrize(
    ("seller", "number", "where", "kind"),
    troubles(RUNAPI_SELLER, PLACES) + troubles(RUNFLOW_SELLER, PLACES_AT_RUNFLOW),
    ids=str,
)
def test_two_processes_that_die_while_anything_fails_are_charged_once(
    seller: Seller, number: int, where: Where, kind: FaultKind
) -> None:
    asks = ASKS if seller is RUNAPI_SELLER else ASKS[:2]
    drawing = UPLOADED if where in UPLOADING else asks[number % len(asks)]
    fault = Fault(where, kind, 30.0 if kind == "slow" else None, times=2)
    first, second = Call("A", drawing, 50), Call("B", drawing, 50)
    # Each dies somewhere else: there are some thirty touches on the way of a call.
    deaths = Die("A", 3 + number * 7 % 29), Die("B", 2 + number * 11 % 31)
    steps = [fault, deaths[0], first, Pass(5.0), deaths[1], second, Pass(61.0)]
    steps += [first, second, Pass(61.0), first]
    if not seller.vendor.repeats_safely:
        # It takes two minutes each time to be certain that nothing was made.
        steps += [Pass(61.0), second, Pass(121.0), first] * 2
    history = check(Story(Limits(), 0.0, steps, seller=seller)).history
    # Of several pictures, one that was surely not made is not ordered again.
    is_sure = kind in REFUSING or not seller.vendor.repeats_safely
    assert len(history.charges) >= (1 if is_sure else drawing.count)


def shortened(story: Story) -> Story:
    """Without the steps that it fails without."""
    for number in reversed(range(len(story.steps))):
        steps = [*story.steps[:number], *story.steps[number + 1 :]]
        shorter = replace(story, steps=steps)
        try:
            check(shorter)
        except AssertionError:
            story = shorter
    return story


def check(story: Story) -> Record:
    """The record of a story in which no promise was broken."""
    # How long is paused before a repeat is a chance as well.
    seed(0)
    record = told(story)
    history = record.history
    check_requests(history)
    check_settled_is_not_given_again(history)
    check_limits(history, story.limits)
    check_nothing_is_paid_unbidden(history)
    check_free(history)
    if story.limits.confirm_over_cents is not None:
        check_consent(history, story.limits.confirm_over_cents)
    check_all_is_found(record)
    check_nothing_is_sold_twice(record)
    check_what_reached_nobody_is_given_again(record)
    check_what_was_sent(record)
    if not story.seller.vendor.repeats_safely:
        assert all(times == 1 for times in record.sends), record.sends
    return record


def check_all_is_found(record: Record) -> None:
    """Every charged task is listed, and delivers its image."""
    charged = {charge.task_id for charge in record.history.charges if not charge.fails}
    assert charged <= record.listed.keys()
    for task_id in charged:
        [url] = record.delivered[task_id]
        assert f"/images/{task_id}." in url


def check_nothing_is_sold_twice(record: Record) -> None:
    """What one call was told is a new task, no other call is told is a new one."""
    sold = record.history.sold
    assert len(sold) == len(set(sold))


def check_what_reached_nobody_is_given_again(record: Record) -> None:
    """By the same call, with what else of it could not be made before."""
    assert not any(given.isdisjoint(waiting) for given, waiting in record.again), record.again


def check_what_was_sent(record: Record) -> None:
    """Under one key always the same, never twice at a time by one process or when all is known."""
    assert all(len(bodies) == 1 for bodies in record.bodies)
    assert not record.overlaps
    assert not record.needless
    assert not record.unforeseen
