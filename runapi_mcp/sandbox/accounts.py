"""The money of a key: what is under way is reserved, what was drawn is charged, once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from runapi_mcp.sandbox.course import Course, phase_at
from runapi_mcp.sandbox.http_messages import Refusal

OPENING_BALANCE_CENTS: Final = 1000


class Sale(Course, Protocol):
    @property
    def id(self) -> str: ...
    @property
    def price_cents(self) -> int: ...


Bought = TypeVar("Bought", bound=Sale)


@dataclass(slots=True)
class Account(Generic[Bought]):
    """One key's money, and what it bought."""

    balance_cents: int = OPENING_BALANCE_CENTS
    spent_cents: int = 0
    tasks: dict[str, Bought] = field(default_factory=dict[str, Bought])
    _unsettled: set[str] = field(default_factory=set[str])

    def reserved_cents(self) -> int:
        return sum(self.tasks[task_id].price_cents for task_id in self._unsettled)

    def settle(self, now: float) -> None:
        """Charge what has been drawn since, and release what failed."""
        for task_id in list(self._unsettled):
            task = self.tasks[task_id]
            if (phase := phase_at(now, task)) not in ("drawn", "failed"):
                continue
            self._unsettled.remove(task_id)
            if phase == "drawn":
                self.balance_cents -= task.price_cents
                self.spent_cents += task.price_cents

    def take_on(self, task: Bought) -> None:
        """Refused with 402 where what is not reserved is below its price."""
        if self.balance_cents - self.reserved_cents() < task.price_cents:
            raise Refusal(402, "Insufficient credits")
        self.tasks[task.id] = task
        self._unsettled.add(task.id)


class Accounts(Generic[Bought]):
    """All accounts of a vendor, made when their key first appears."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._accounts: dict[str, Account[Bought]] = {}

    @property
    def spent_cents(self) -> int:
        """What all of them together were charged."""
        return sum(self.of(key).spent_cents for key in list(self._accounts))

    def of(self, key: str) -> Account[Bought]:
        account = self._accounts.setdefault(key, Account[Bought]())
        account.settle(self.clock())
        return account

    def task(self, task_id: str) -> Bought | None:
        """What anybody bought: pictures are public to whoever knows their address."""
        found = (account.tasks.get(task_id) for account in self._accounts.values())
        return next((task for task in found if task), None)
