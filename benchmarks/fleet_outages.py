"""How soon paid calls are refused while the database of three servers is away, and served again.

It is killed as by a power cut, and started again after 2, 10 and 30 seconds, while a call comes
every tenth of a second, each with a key of its own. The first is to be served within a second of
the database's first answer, and none that begins after that is to be refused. `--tenth` is a tenth
of each outage, on machines that are busy: there all of it is printed, and no more.
"""

from dataclasses import dataclass
from itertools import count
from statistics import median
from time import monotonic
from typing import Final

import anyio
from figures import Limits
from fleet_site import Site, site

OUTAGES_SECONDS: Final = (2.0, 10.0, 30.0)
CALL_EVERY_SECONDS: Final = 0.1
AFTERWARDS_SECONDS: Final = 5.0
MOST_BACK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Order:
    began: float
    ended: float
    is_served: bool


@dataclass(frozen=True, slots=True)
class Outage:
    away_at: float
    back_at: float
    orders: list[Order]

    @property
    def back_seconds(self) -> float:
        """From the database's first answer to that of the first call that was served."""
        ends = [each.ended for each in self.orders if each.is_served]
        return min(end for end in ends if end > self.back_at) - self.back_at

    @property
    def refusals(self) -> list[float]:
        """The seconds that each took, of the calls that came while it was away."""
        return [
            each.ended - each.began
            for each in self.orders
            if not each.is_served and self.away_at < each.began < self.back_at
        ]

    @property
    def refused_afterwards(self) -> int:
        return sum(each.began > self.back_at and not each.is_served for each in self.orders)


async def outages(limits: Limits, share: float) -> None:
    numbers = count()
    async with site() as there:
        for seconds in OUTAGES_SECONDS:
            outage = await _outage(there, seconds * share, numbers)
            refusals = outage.refusals or [0.0]
            print(
                f"away for {seconds * share:g} s: back after {outage.back_seconds:.2f} s, of "
                f"{len(outage.orders)} calls {len(outage.refusals)} were refused, in "
                f"{median(refusals):.2f} s, {max(refusals):.2f} at most, and "
                f"{outage.refused_afterwards} of those that came later"
            )
            if share == 1:
                what = f"outage of {seconds:g} s"
                limits.number(f"{what}: s until it is used", outage.back_seconds, MOST_BACK_SECONDS)
                limits.count(f"{what}: refused afterwards", outage.refused_afterwards, 0)


async def _outage(there: Site, seconds: float, numbers: "count[int]") -> Outage:
    orders, moments = list[Order](), list[float]()

    async def order(number: int) -> None:
        began = monotonic()
        result = await there.client(number).draw(f"a fox {number}", wait_seconds=0)
        orders.append(Order(began, monotonic(), not result.get("isError")))

    async def come() -> None:
        while True:
            group.start_soon(order, next(numbers))
            await anyio.sleep(CALL_EVERY_SECONDS)

    async with anyio.create_task_group() as group, anyio.create_task_group() as coming:
        coming.start_soon(come)
        await anyio.sleep(AFTERWARDS_SECONDS)
        await anyio.to_thread.run_sync(there.postgres.kill)
        moments.append(monotonic())
        await anyio.sleep(seconds)
        await anyio.to_thread.run_sync(there.postgres.start)
        moments.append(monotonic())
        await anyio.sleep(AFTERWARDS_SECONDS)
        coming.cancel_scope.cancel()
    return Outage(moments[0], moments[1], orders)
