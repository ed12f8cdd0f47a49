"""How many pictures may be charged, by the rule alone: from what hosts did and when.

A call asks for pictures anew when the identical order before it was settled as it came; else it
adds none. Nothing here knows what the program answered to whom, but for the moments at which
pictures left it. Where only the program could tell when something came to be settled, it counts as
settled from the earliest moment on at which it can have been.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from runapi_mcp.orders.limits import Limits
from tests.support.world import NOON

HANDOVER_SECONDS: Final = 15 * 60.0
PRICE_SECONDS: Final = 660.0
"""How old a price can be that is believed."""
LONGEST_CALL_SECONDS: Final = 150.0
RISE: Final = 2
"""How many times as dear all gets when prices rise."""
LONGEST_REQUEST_SECONDS: Final = 60.0
"""How long after its sender died a request can still be carried out."""
CONFIRMED_SECONDS: Final = 1.0
"""How long before its host hears it an answer can count as left."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. Two calls are identical when this is."""

    prompt: str
    source: str | None = None
    """The task whose picture it starts from."""


@dataclass(slots=True)
class Arrival:
    """A call, from the moment on at which it came."""

    at: float
    asked: Asked
    count: int
    uses: Sequence[str] = ()
    """The tasks that it names: to be drawn again, or to start from."""
    over_at: float = math.inf
    given: Sequence[str] = ()
    """The tasks that its answer names."""
    is_free: bool = False
    """Whether its answer said that it paid nothing."""
    no_charge: bool = False
    """Whether its answer said so of what it asks for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Pictures that left the program, and whether that is sure to settle their order."""

    at: float
    task_ids: frozenset[str]
    settles: bool


@dataclass(frozen=True, slots=True)
class Yes:
    """A person agreed to so much."""

    at: float
    prompt: str
    cents: float


@dataclass(frozen=True, slots=True)
class Charge:
    """A task that RunAPI has made. It is paid for, or will be, unless it fails."""

    task_id: str
    asked: Asked
    at: float
    ends_at: float
    fails: bool
    price_cents: float
    """At the beginning of the story: who orders knows no later price at once."""
    is_late: bool
    """Whether its request left a process that stood still when it was about to send it."""


@dataclass(slots=True)
class Order:
    """Pictures that were asked for anew: by its first arrival, and by none of the others."""

    arrivals: list[Arrival]
    charges: list[Charge] = field(default_factory=list[Charge])

    @property
    def began_at(self) -> float:
        return self.arrivals[0].at

    @property
    def standing(self) -> list[Charge]:
        return [charge for charge in self.charges if not charge.fails]


@dataclass(slots=True)
class History:
    """What hosts did, and what RunAPI made of it."""

    arrivals: list[Arrival] = field(default_factory=list[Arrival])
    answers: list[Answer] = field(default_factory=list[Answer])
    charges: list[Charge] = field(default_factory=list[Charge])
    yeses: list[Yes] = field(default_factory=list[Yes])
    jumps: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """When the clock was set, and how far ahead or back."""
    rises: list[float] = field(default_factory=list[float])
    """When prices rose."""
    stops: list[float] = field(default_factory=list[float])
    """When a process died or froze."""
    forbidden_from: list[float] = field(default_factory=list[float])
    """When the user forbade to spend anything until the end."""
    image_seconds: float = 7 * 86_400.0
    """How long an image can be fetched."""
    repeats_safely: bool = True
    """Whether what is sent twice under one key is charged once."""
    ends_at: float = math.inf
    sold: list[str] = field(default_factory=list[str])
    """The tasks that calls were told are new ones."""

    def clock_at(self, moment: float) -> float:
        return moment + sum(seconds for at, seconds in self.jumps if at <= moment)

    def day_of(self, charge: Charge) -> date:
        return datetime.fromtimestamp(NOON + self.clock_at(charge.at)).astimezone().date()

    def orders(self) -> Iterator[Sequence[Order]]:
        """The orders of each thing that was asked for, in their order."""
        for asked in {arrival.asked: None for arrival in self.arrivals}:
            yield self.orders_of(asked)

    def orders_of(self, asked: Asked) -> list[Order]:
        orders: list[Order] = []
        for arrival in self.arrivals:
            if arrival.asked != asked:
                continue
            if not orders or self._can_be_settled(orders[-1], arrival):
                orders.append(Order([arrival]))
            else:
                orders[-1].arrivals.append(arrival)
            self._assign(orders)
        return orders

    def _can_be_settled(self, order: Order, arrival: Arrival) -> bool:
        made, by = (
            [charge for charge in order.charges if charge.at <= arrival.at],
            self._latest(arrival),
        )
        return bool(made) and (
            all(charge.fails and charge.ends_at <= by for charge in made)
            or self._is_used(made, by)
            or self.elapsed(made[0].at, by) >= self.image_seconds
            or self._is_handed_over(made, by)
        )

    def is_over(self, order: Order) -> bool:
        """Whether nobody needs its pictures any more: they were used, or all were in an answer."""
        ids = {charge.task_id for charge in order.charges}
        is_used = any(not ids.isdisjoint(each.uses) and not each.is_free for each in self.arrivals)
        return is_used or bool(self._answers(order.charges))

    def is_named(self, order: Order) -> bool:
        """Whether a call named one of its tasks, which settles it if that call came so far."""
        return self._is_used(order.charges, math.inf)

    def was_forgotten(self, answer: Answer) -> bool:
        """Whether the process may have stopped between the answer and its note."""
        return any(answer.at <= at <= answer.at + CONFIRMED_SECONDS for at in self.stops)

    def _assign(self, orders: Sequence[Order]) -> None:
        """Each charge to the order that was open as it was made."""
        for order, after in zip(orders, [*orders[1:], None], strict=True):
            end = math.inf if after is None else after.began_at
            order.charges = [
                charge
                for charge in self.charges
                if charge.asked == order.arrivals[0].asked and order.began_at <= charge.at < end
            ]

    def _latest(self, arrival: Arrival) -> float:
        """Until when what is settled may count as settled before a call."""
        end = min(arrival.over_at, arrival.at + LONGEST_CALL_SECONDS)
        jumped = any(arrival.at <= at <= end for at, _ in self.jumps)
        # A call that a person was asked about comes again with the yes.
        return end if jumped or self.yeses else arrival.at

    def _is_used(self, made: Sequence[Charge], by: float) -> bool:
        ids = {charge.task_id for charge in made}
        return any(not ids.isdisjoint(each.uses) and each.at <= by for each in self.arrivals)

    def _is_handed_over(self, made: Sequence[Charge], by: float) -> bool:
        return any(
            (answer.settles and answer.at <= by + CONFIRMED_SECONDS)
            or self.elapsed(answer.at, by) >= HANDOVER_SECONDS
            for answer in self._answers(made)
        )

    def _answers(self, made: Sequence[Charge]) -> list[Answer]:
        """Those with all pictures that came of it."""
        ids = {charge.task_id for charge in made if not charge.fails}
        return [answer for answer in self.answers if ids and ids <= answer.task_ids]

    def elapsed(self, since: float, by: float) -> float:
        """How long that can have been by a clock that is set now and then."""
        return by - since + sum(s for at, s in self.jumps if since <= at <= by and s > 0)


def check_requests(history: History) -> None:
    """At no moment were more pictures charged than had been asked for anew."""
    for orders in history.orders():
        asked = orders[0].arrivals[0].asked
        # What leaves a process that stood still meanwhile, no list can have told of.
        made = [each for each in history.charges if history.repeats_safely or not each.is_late]
        moments = [charge.at for charge in made if charge.asked == asked]
        for number, at in enumerate(sorted(moments), start=1):
            pictures = sum(order.arrivals[0].count for order in orders if order.began_at <= at)
            assert number <= pictures, f"{number} charges for {pictures} of {asked}"


def check_free(history: History) -> None:
    """Who was told that nothing was paid has paid nothing, and could join nothing that was."""
    for order in (order for orders in history.orders() for order in orders):
        for charge in order.charges:
            came = [arrival for arrival in order.arrivals if arrival.at <= charge.at]
            assert not all(arrival.is_free and arrival.over_at <= charge.at for arrival in came)
        for arrival in order.arrivals:
            if arrival.no_charge:
                assert not any(charge.at <= arrival.at for charge in order.charges)


def check_consent(history: History, confirm_over_cents: float) -> None:
    """What costs more was agreed to, at the price that is known for as long as it is believed."""
    for orders in history.orders():
        for order in orders:
            for charge in order.charges:
                assert (
                    any(
                        _is_agreed(history, yes, charge, order.arrivals[0].count)
                        for yes in history.yeses
                    )
                    or charge.price_cents * order.arrivals[0].count <= confirm_over_cents
                )


def _is_agreed(history: History, yes: Yes, charge: Charge, count: int) -> bool:
    rises = sum(at <= yes.at - PRICE_SECONDS for at in history.rises)
    return (
        yes.prompt == charge.asked.prompt
        and yes.at <= charge.at
        and yes.cents >= count * charge.price_cents * RISE**rises - 0.01
    )


def check_limits(history: History, limits: Limits) -> None:
    """No call costs more than it may, and no day more than a day may."""
    by_day: defaultdict[date, float] = defaultdict(float)
    for orders in history.orders():
        for charge in (charge for order in orders for charge in order.charges):
            total = charge.price_cents * orders[0].arrivals[0].count
            assert total <= (limits.per_call_cents or math.inf)
            if not (charge.fails or charge.is_late):
                by_day[history.day_of(charge)] += charge.price_cents
    assert max(by_day.values(), default=0) <= (limits.per_day_cents or math.inf)


def check_nothing_is_paid_unbidden(history: History) -> None:
    """What would go over the limits of now is asked about by the same call alone."""
    for since in history.forbidden_from:
        for charge in history.charges:
            if since + LONGEST_REQUEST_SECONDS < charge.at < history.ends_at and not charge.is_late:
                assert any(
                    arrival.asked == charge.asked and since < arrival.at <= charge.at
                    for arrival in history.arrivals
                )


def check_settled_is_not_given_again(history: History) -> None:
    """Whose like is settled gets another picture."""
    for arrival in history.arrivals:
        for task_id in arrival.given if arrival.count == 1 else ():
            assert not any(
                task_id in use.uses and use.given and use.over_at < arrival.at
                for use in history.arrivals
                if not history.jumps
            )
            left = [each for each in history.answers if task_id in each.task_ids]
            assert not any(
                each.at + (CONFIRMED_SECONDS if each.settles else 2 * HANDOVER_SECONDS) < arrival.at
                for each in left
                if not (history.jumps or history.yeses or history.was_forgotten(each))
            )
