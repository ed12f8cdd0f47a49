"""How long a finished picture waits to be delivered, and how many polls that takes. In real time.

Every scenario sends the same errands, each a picture that takes a time of its own, to three that
deliver: our server, a process that an MCP client asks over stdio; a plain loop that polls every
5 s; and one that polls every 2 s. Each has a RunAPI to itself, and ours a home where it may keep
what it learns. A picture's lag is the time from its being finished, as RunAPI knows it, to the
client's having it; one that never comes lags infinitely.

lifelike: times lognormal around 15 s with a spread of 10 %, about a dozen under way at a time.
uniform: times from 3 to 20 s, all as likely, so that there is nothing to learn; a dozen as well.
crowd: life-like times, 200 calls at once on one key.

Our server has two rounds: one when it is new and knows nothing, then, in the same process, the one
that the pollers have too. The limits are for the second, when it has learned; the first is shown
beside it. In the crowd the three take turns, because the bursts of the pollers would be felt.
"""

import argparse
import sys
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from math import ceil, inf, log
from random import Random
from statistics import median
from time import monotonic
from typing import Final, Literal, get_args

import anyio
from figures import at_least_two
from loopback import Loopback, Request, loopback
from waiters import WAIT_SECONDS, Draw, Waiter, our_server, poller

SEED: Final = 20261121
NEW_GAP_SECONDS: Final = 0.25
"""What a new server does is not measured closely: its calls may come faster than the others'."""
LONGEST_DELIVERY_SECONDS: Final = WAIT_SECONDS + 30.0

Name = Literal["lifelike", "uniform", "crowd"]
Column = Literal["new", "learned", "every 5 s", "every 2 s"]
Measure = Literal[
    "pictures not delivered", "median lag, s", "p95 lag, s", "polls a task", "requests in a second"
]  # fmt: skip
"""`requests in a second` are those of the busiest, wherever it begins, without price schedules."""

Figures = Mapping[Measure, float]

_MEASURES: Final[tuple[Measure, ...]] = get_args(Measure)
_COUNTS: Final[tuple[Measure, ...]] = ("pictures not delivered", "requests in a second")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What comes when, how long it takes, and what may come of it."""

    name: Name
    words: str
    takes_seconds: Callable[[Random], float]
    new_tasks: int
    tasks: int
    gap_seconds: float
    """From one call to the next, on average."""
    limits: Mapping[Measure, float]
    limited: tuple[Column, ...]
    at_a_time: int
    """How many of the three work side by side."""


@dataclass(frozen=True, slots=True)
class Errand:
    """One picture to be delivered."""

    after_seconds: float
    prompt: str


@dataclass(frozen=True, slots=True)
class Round:
    """What became of some errands."""

    lags: Sequence[float]
    """In seconds, one for each errand."""
    began_at: float
    requests: Sequence[Request]
    """Also before the round: its first second may begin in the round before."""

    def figures(self) -> Figures:
        """The figures of a column."""
        return {
            "pictures not delivered": self.lags.count(inf),
            "median lag, s": median(self.lags),
            "p95 lag, s": sorted(self.lags)[ceil(len(self.lags) * 0.95) - 1],
            "polls a task": self._polls() / len(self.lags),
            "requests in a second": self._busiest_second(),
        }

    def _polls(self) -> int:
        return sum(request.is_poll for request in self.requests if request.at >= self.began_at)

    def _busiest_second(self) -> int:
        """Of the seconds that end with a request of this round, the one with most requests."""
        times = [request.at for request in self.requests if "/price_schedules" not in request.path]
        seconds = (
            last - bisect_right(times, at - 1)
            for last, at in enumerate(times, 1)
            if at >= self.began_at
        )
        return max(seconds, default=0)


Columns = dict[Column, Round]
Plan = tuple[Waiter, Mapping[Column, Sequence[Errand]]]
"""Who delivers, and its rounds, one after another."""


def _lifelike_seconds(rng: Random) -> float:
    return rng.lognormvariate(log(15), 0.1)


def _any_seconds(rng: Random) -> float:
    return rng.uniform(3, 20)


SCENARIOS: Final = (
    Scenario(
        name="lifelike",
        words="lognormal around 15 s, spread 10 %",
        takes_seconds=_lifelike_seconds,
        new_tasks=40,
        tasks=60,
        gap_seconds=1.25,
        limits={
            "pictures not delivered": 0,
            "median lag, s": 0.35,
            "p95 lag, s": 0.8,
            "polls a task": 8,
        },
        limited=("learned",),
        at_a_time=3,
    ),
    Scenario(
        name="uniform",
        words="from 3 to 20 s, all as likely",
        takes_seconds=_any_seconds,
        new_tasks=40,
        tasks=60,
        gap_seconds=1.0,
        limits={
            "pictures not delivered": 0,
            "median lag, s": 0.8,
            "p95 lag, s": 2.0,
            "polls a task": 8,
        },
        limited=("learned",),
        at_a_time=3,
    ),
    Scenario(
        name="crowd",
        words="all at once, lognormal around 15 s, spread 10 %",
        takes_seconds=_lifelike_seconds,
        new_tasks=200,
        tasks=200,
        gap_seconds=0.0,
        limits={
            "pictures not delivered": 0,
            "median lag, s": 1.5,
            "requests in a second": 20,
        },
        limited=("learned",),
        at_a_time=1,
    ),
)


def main() -> int:
    """Run the scenarios, print their tables, check the limits."""
    scenarios = _chosen_scenarios()
    print("In real time; all three scenarios take about four minutes.", file=sys.stderr)
    broken = [
        measure
        for _, group in groupby(scenarios, lambda scenario: scenario.at_a_time)
        for scenario, columns in anyio.run(_measure, list(group))
        for measure in _print_table(scenario, columns)
    ]
    return 1 if broken else 0


def _chosen_scenarios() -> list[Scenario]:
    parser = argparse.ArgumentParser(description="How late runapi-mcp delivers, beside pollers.")
    parser.add_argument("--only", choices=get_args(Name), help="run one scenario")
    explained = "pictures of each scenario (default 60, of the crowd 200)"
    parser.add_argument("--tasks", type=at_least_two, metavar="N", help=explained)
    options = parser.parse_args()
    return [
        _with_tasks(scenario, options.tasks or scenario.tasks)
        for scenario in SCENARIOS
        if options.only in (None, scenario.name)
    ]


def _with_tasks(scenario: Scenario, tasks: int) -> Scenario:
    return replace(scenario, tasks=tasks, new_tasks=min(tasks, scenario.new_tasks))


async def _measure(scenarios: Sequence[Scenario]) -> Sequence[tuple[Scenario, Columns]]:
    """What came of scenarios that run side by side."""
    measured: list[tuple[Scenario, Columns]] = [(scenario, {}) for scenario in scenarios]
    async with anyio.create_task_group() as group:
        for scenario, columns in measured:
            turns = anyio.CapacityLimiter(scenario.at_a_time)
            for plan in _plans(scenario):
                group.start_soon(_deliver_all, plan, turns, columns)
    return measured


def _plans(scenario: Scenario) -> Sequence[Plan]:
    rng = Random(f"{SEED} {scenario.name}")  # noqa: S311 - the same errands every time
    new_gap_seconds = min(NEW_GAP_SECONDS, scenario.gap_seconds)
    new = _errands(scenario, scenario.new_tasks, new_gap_seconds, rng)
    errands = _errands(scenario, scenario.tasks, scenario.gap_seconds, rng)
    return (
        (our_server, {"new": new, "learned": errands}),
        (partial(poller, 5.0), {"every 5 s": errands}),
        (partial(poller, 2.0), {"every 2 s": errands}),
    )


def _errands(scenario: Scenario, tasks: int, gap_seconds: float, rng: Random) -> Sequence[Errand]:
    return [
        Errand(
            (number + rng.random()) * gap_seconds,
            # No two alike: nobody should take one for the repetition of another.
            f"Fox {rng.getrandbits(32):08x} [[takes {scenario.takes_seconds(rng):.3f}s]]",
        )
        for number in range(tasks)
    ]


async def _deliver_all(plan: Plan, turns: anyio.CapacityLimiter, columns: Columns) -> None:
    waiter, rounds = plan
    async with turns, loopback() as runapi, waiter(runapi) as draw:
        for column, errands in rounds.items():
            columns[column] = await _round(runapi, draw, errands)


async def _round(runapi: Loopback, draw: Draw, errands: Sequence[Errand]) -> Round:
    lags: list[float] = []
    began_at = monotonic()

    async def deliver(errand: Errand) -> None:
        await anyio.sleep(errand.after_seconds)
        lags.append(await _lag_seconds(runapi, draw, errand.prompt))

    async with anyio.create_task_group() as group:
        for errand in errands:
            group.start_soon(deliver, errand)
    return Round(lags, began_at, runapi.requests[:])


async def _lag_seconds(runapi: Loopback, draw: Draw, prompt: str) -> float:
    with anyio.move_on_after(LONGEST_DELIVERY_SECONDS):
        task_id = await draw(prompt)
        delivered_at = monotonic()
        return inf if task_id is None else delivered_at - runapi.finished_at(task_id)
    return inf


def _print_table(scenario: Scenario, columns: Columns) -> Sequence[Measure]:
    """Print what was measured beside its limits; returns the measures whose limit is broken."""
    figures: dict[Column, Figures] = {name: round_.figures() for name, round_ in columns.items()}
    broken = _broken_measures(scenario, figures)
    print(f"\n{scenario.name}: {scenario.tasks} pictures, {scenario.words}")
    _print_row("", "", ("new", "learned", "limit", "every 5 s", "every 2 s"))
    for measure in _MEASURES:
        new, learned, *others = (_cell(measure, figures[name]) for name in get_args(Column))
        limit = f"{scenario.limits[measure]:g}" if measure in scenario.limits else ""
        verdict = "BROKEN" if measure in broken else "ok" if limit else ""
        _print_row(verdict, measure, (new, learned, limit, *others))
    return broken


def _print_row(verdict: str, words: str, cells: Sequence[str]) -> None:
    print(f"{verdict:<8}{words:<24}" + "".join(f"{cell:>11}" for cell in cells))


def _broken_measures(scenario: Scenario, figures: Mapping[Column, Figures]) -> Sequence[Measure]:
    return [
        measure
        for measure, most in scenario.limits.items()
        if any(figures[name][measure] > most for name in scenario.limited)
    ]


def _cell(measure: Measure, figures: Figures) -> str:
    return f"{figures[measure]:.{0 if measure in _COUNTS else 2}f}"


if __name__ == "__main__":
    sys.exit(main())
