"""Whatever happens, nobody pays for what was not asked for, or loses what was paid for.

`MONEY_STORIES=5000 pytest -n 0 --timeout 0 tests/orders/test_money_properties.py` tells that many
stories, other ones each time.
"""

import logging
import math
import os
from collections.abc import Generator
from dataclasses import replace
from typing import Any, Final, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runapi_mcp.orders.limits import Limits
from runapi_mcp.sandbox.faults import Fault, FaultKind, Where
from tests.support.model_of_money import (
    MOST_WAIT_SECONDS,
    Call,
    Die,
    Drawing,
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
from tests.support.rule_of_money import check_consent, check_free, check_limits, check_requests
from tests.support.world import BASE_URL

STORIES: Final = int(os.environ.get("MONEY_STORIES", "0"))
NOON, BEFORE_MIDNIGHT = 0.0, 12 * 3600 - 60.0
HOUR_SECONDS, DAY_SECONDS = 3600.0, 86_400.0

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
    Drawing("my fox", source="file"),
    Drawing("that fox in the snow", source="task"),
)
UNANSWERED: Final = ("torn", "500", "503", "html", "broken-json", "slow")
ANSWERED: Final = ("307", "403", "408", "409", "410", "425", "429", "499")
# RunAPI does not refuse so what it has carried out.
REFUSING: Final = ("401", "402", "404", "422")
# Found by chance, and too rare to wait for: a doubt of yesterday, made and charged today.
FOUND_AFTER_MIDNIGHT: Final = Story(
    Limits(per_day_cents=5.0),
    BEFORE_MIDNIGHT,
    [Die("A", 5), Call("A", DRAWINGS[0]), Pass(61.0), Call("A", DRAWINGS[3])],
)


def faults_at(where: Where, *kinds: FaultKind) -> st.SearchStrategy[Fault]:
    """One of these kinds of faults at a place, for some time."""
    seconds, times = st.sampled_from((None, 2.0, 30.0)), st.sampled_from((1, 3, 30))
    return st.builds(Fault, st.just(where), st.sampled_from(kinds), seconds, times)


def some(*choices: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One of these; `one_of` would count each strategy once."""
    return st.integers(0, len(choices) - 1).flatmap(choices.__getitem__)


processes = st.sampled_from(get_args(ProcessName))
# What happens at a host never happens at the very moment of something else.
patience = st.one_of(
    st.just(math.inf),
    st.integers(1, 30).map(lambda tenths: tenths / 10 + 0.0037),
    st.sampled_from((5.0037, 40.0037)),
)
redraws = st.sampled_from((None, None, None, 0, 1))
calls = st.builds(
    Call,
    processes,
    st.sampled_from(DRAWINGS),
    st.sampled_from((0, MOST_WAIT_SECONDS)),
    patience,
    st.booleans(),
    redraws,
    st.integers(0, 3),
)
doubts = faults_at("created", *UNANSWERED, *ANSWERED)
refusals = faults_at("create", *UNANSWERED, *ANSWERED, *REFUSING)
faults = st.one_of(
    doubts,
    refusals,
    faults_at("poll", *UNANSWERED, "403", "409", "429"),
    faults_at("confirm", "500", "slow"),
)
passes = st.builds(
    Pass, st.sampled_from((0.1, 0.5, 1.0, 5.0, 20.0, 61.0, 880.0, 1000.0, HOUR_SECONDS))
)
long_passes = st.builds(Pass, st.sampled_from((1.1 * DAY_SECONDS, 3 * DAY_SECONDS)))
deaths = st.builds(Die, processes, st.integers(0, 20))
pauses = st.builds(
    Freeze, processes, st.integers(0, 20), st.sampled_from((70.0, 1200.0, 2 * DAY_SECONDS))
)
jumps = st.builds(
    Jump, st.sampled_from((-HOUR_SECONDS, HOUR_SECONDS, -DAY_SECONDS, 90 * DAY_SECONDS))
)
looks = st.one_of(st.builds(GetTask, processes, st.integers(0, 9)), st.builds(ListTasks, processes))
steps = some(
    calls, calls, calls, calls, passes, passes, deaths, pauses, faults, faults, looks, looks,
    st.one_of(jumps, long_passes, st.just(Rise())),
)  # fmt: skip


def turn(doubt: Fault, call: Call, pause: Pass, refusal: Fault, again: Call) -> list[Step]:
    """RunAPI leaves a call in doubt, then refuses it, and the same call is made again."""
    return [doubt, call, pause, refusal, replace(again, drawing=call.drawing)]


def repeat(call: Call, pause: Pass, between: Step, again: Call, last: Call) -> list[Step]:
    """The same call three times, with something in between."""
    same = {"drawing": call.drawing, "source": call.source}
    return [call, pause, replace(again, **same), between, replace(last, **same)]


turns = st.builds(turn, doubts, calls, passes, refusals, calls)
repeats = st.builds(repeat, calls, passes, steps, calls, calls)
chapters = some(st.lists(steps, max_size=6), turns, repeats)
limits = st.builds(
    Limits,
    per_call_cents=st.sampled_from((None, None, 5.0, 6.5)),
    per_day_cents=st.sampled_from((None, None, 5.0, 12.0, 17.0)),
    confirm_over_cents=st.sampled_from((None, None, 4.0, 9.0)),
)
stories = st.builds(
    Story,
    limits,
    st.sampled_from((NOON, BEFORE_MIDNIGHT)),
    st.tuples(*[chapters] * 5).map(
        lambda several: [step for chapter in several for step in chapter]
    ),
    st.sampled_from(((), (), ("A",), ("A", "B"))),
    st.sampled_from((2.0, 700.0)),
)


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
)
@given(stories)
@example(FOUND_AFTER_MIDNIGHT)
def test_charges_exceed_neither_requests_nor_limits_and_each_is_found_and_delivered(
    story: Story,
) -> None:
    record = told(story)
    check_requests(record.history)
    check_limits(record.history, story.limits)
    check_free(record.history)
    if story.limits.confirm_over_cents is not None:
        check_consent(record.history, story.limits.confirm_over_cents)
    check_all_is_found(record)
    check_nothing_is_sold_twice(record)
    check_what_reached_nobody_is_given_again(record)
    check_what_was_sent(record)


def check_all_is_found(record: Record) -> None:
    """Every charged task is listed, and delivers its image."""
    charged = {charge.task_id for charge in record.history.charges if not charge.fails}
    assert charged <= record.listed.keys()
    assert {task_id: record.delivered[task_id] for task_id in charged} == {
        task_id: [f"{BASE_URL}/images/{task_id}.png"] for task_id in charged
    }


def check_nothing_is_sold_twice(record: Record) -> None:
    """What one call was told is a new task, no other call is told is a new one."""
    sold = record.history.sold
    assert len(sold) == len(set(sold))


def check_what_reached_nobody_is_given_again(record: Record) -> None:
    """By the same call."""
    assert all(given <= waiting for given, waiting in record.again), record.again


def check_what_was_sent(record: Record) -> None:
    """Under one key always the same, and never twice at a time by one process."""
    assert all(len(bodies) == 1 for bodies in record.bodies.values())
    assert record.overlaps == []
    assert record.unforeseen == []
