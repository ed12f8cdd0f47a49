"""Whatever happens, nobody pays for what was not asked for, or loses what was paid for.

`MONEY_STORIES=5000 pytest -n 0 --timeout 0 tests/test_money_properties.py` tells that many
stories, other ones each time.
"""

import logging
import math
import os
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import replace
from datetime import date
from typing import Final, get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runapi_mcp.orders.limits import Limits
from runapi_mcp.sandbox.faults import Fault, FaultKind
from tests.support.model_of_money import (
    MOST_WAIT_SECONDS,
    Call,
    Charge,
    Die,
    Drawing,
    GetTask,
    ListTasks,
    Moment,
    Pass,
    ProcessName,
    Record,
    Step,
    Story,
    told,
)
from tests.support.world import BASE_URL

STORIES: Final = int(os.environ.get("MONEY_STORIES", "0"))
NOON, BEFORE_MIDNIGHT = 0.0, 12 * 3600 - 60.0

# Few, so that identical calls are frequent: cheap and dear, quick and slow, and one that fails.
DRAWINGS: Final = (
    Drawing("a fox"),
    Drawing("a fox", "2k"),
    Drawing("a hare [[takes 40s]]"),
    Drawing("an owl [[created torn x1]]"),
    Drawing("a cat [[fail]]"),
)
# RunAPI does not refuse what it has carried out: no status 4xx comes after a task is stored.
DOUBTFUL: Final = ("torn", "500", "503", "html", "broken-json")
REFUSING: Final = ("429", "402")
# Found by chance, and too rare to wait for: a doubt of yesterday, made and charged today.
FOUND_AFTER_MIDNIGHT: Final = Story(
    Limits(per_day_cents=5.0),
    BEFORE_MIDNIGHT,
    [Die("A", 5), Call("A", DRAWINGS[0]), Pass(61.0), Call("A", DRAWINGS[2])],
)


def kinds(*names: FaultKind) -> st.SearchStrategy[FaultKind]:
    """One of these kinds of faults."""
    return st.sampled_from(names)


processes = st.sampled_from(get_args(ProcessName))
counts = st.sampled_from((1, 3, 30))
seconds = st.sampled_from((None, 2.0, 30.0))
patience = st.one_of(
    st.just(math.inf), st.integers(1, 30).map(lambda tenths: tenths / 10), st.just(40.0)
)
calls = st.builds(
    Call, processes, st.sampled_from(DRAWINGS), st.sampled_from((0, MOST_WAIT_SECONDS)), patience
)
doubts = st.builds(Fault, st.just("created"), kinds(*DOUBTFUL, "slow"), seconds, counts)
refusals = st.builds(Fault, st.just("create"), kinds(*DOUBTFUL, *REFUSING, "slow"), seconds, counts)
faults = st.one_of(
    doubts,
    refusals,
    st.builds(Fault, st.just("poll"), kinds(*DOUBTFUL, "429", "slow"), seconds, counts),
)
passes = st.builds(Pass, st.sampled_from((0.1, 0.5, 1.0, 5.0, 20.0, 61.0, 3600.0)))
deaths = st.builds(Die, processes, st.integers(0, 20))
looks = st.one_of(st.builds(GetTask, processes, st.integers(0, 9)), st.builds(ListTasks, processes))
mixture = (calls, passes, deaths, faults, looks, calls, calls, passes)
# `one_of` would count each strategy once.
steps = st.integers(0, len(mixture) - 1).flatmap(mixture.__getitem__)


def turn(doubt: Fault, call: Call, pause: Pass, refusal: Fault, again: Call) -> list[Step]:
    """RunAPI leaves a call in doubt, then refuses it, and the same call is made again."""
    return [doubt, call, pause, refusal, replace(again, drawing=call.drawing)]


turns = st.builds(turn, doubts, calls, passes, refusals, calls)
chapters = st.one_of(st.lists(steps, max_size=6), turns)
limits = st.builds(
    Limits,
    per_call_cents=st.sampled_from((None, None, 5.0, 6.5)),
    per_day_cents=st.sampled_from((None, None, 5.0, 12.0, 17.0)),
)
stories = st.builds(
    Story,
    limits,
    st.sampled_from((NOON, BEFORE_MIDNIGHT)),
    st.tuples(*[chapters] * 5).map(
        lambda several: [step for chapter in several for step in chapter]
    ),
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
    for moment in record.moments:
        check_requests(moment)
        check_limits(moment.charges, story.limits)
    check_all_is_found(record)
    check_nothing_is_sold_twice(record)
    check_what_reached_nobody_is_not_drawn_again(record)


def check_requests(moment: Moment) -> None:
    """No drawing is made oftener than it was called for by those who were not told it is free."""
    made = Counter(charge.drawing for charge in moment.charges)
    assert made <= moment.calls - moment.free


def check_limits(charges: Sequence[Charge], limits: Limits) -> None:
    """No image costs more than a call may, and no day more than a day may."""
    by_day: Counter[date] = Counter()
    for charge in charges:
        by_day[charge.day] += charge.price_cents * charge.stands
    dearest_cents = max((charge.price_cents for charge in charges), default=0)
    assert dearest_cents <= (limits.per_call_cents or math.inf)
    assert max(by_day.values(), default=0) <= (limits.per_day_cents or math.inf)


def check_all_is_found(record: Record) -> None:
    """Every charged task is listed, and delivers its image; nothing is left in doubt."""
    charged = {charge.task_id for charge in record.moments[-1].charges if charge.stands}
    assert charged <= record.statuses.keys()
    assert "intended" not in record.statuses.values()
    assert {task_id: record.delivered[task_id] for task_id in charged} == {
        task_id: [f"{BASE_URL}/images/{task_id}.png"] for task_id in charged
    }


def check_nothing_is_sold_twice(record: Record) -> None:
    """What one call was told is a new task, no other call is told is a new one."""
    assert len(record.sold) == len(set(record.sold))


def check_what_reached_nobody_is_not_drawn_again(record: Record) -> None:
    """The same call gets it."""
    assert all(given in waiting for given, waiting in record.again)
