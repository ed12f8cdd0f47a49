"""What the user allows to be spent. Money is in US cents."""

from collections.abc import Iterable

from runapi_mcp.base.amounts import dollars, tidy
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.errors import NotAllowed
from runapi_mcp.base.settings import LimitSettings
from runapi_mcp.orders.ledger import Spending

_HALF_A_MICROCENT = 5e-7
"""Sums of float amounts differ by less; no limit is meant so exactly."""


class NotConfirmed(Exception):
    """The call is within the limits, but costs more than is spent without asking a person."""

    def __init__(self, price: Price, count: int, left_cents: float | None, question: str) -> None:
        super().__init__(price, count, left_cents)
        self.price = price
        """Of all images together."""
        self.count = count
        self.left_cents = left_cents
        self.question = question
        """What a yes has to bring back."""

    @property
    def amount(self) -> str:
        """The price as a person reads it."""
        return "an unknown amount" if self.price.cents is None else dollars(self.price.cents)


class Limits(LimitSettings):
    """What the limits mean for a call."""

    __slots__ = ()

    def remaining_cents(self, spending: Spending) -> float | None:
        """What may still be spent today; None without a daily limit."""
        if self.per_day_cents is None:
            return None
        return max(0, tidy(self.per_day_cents - spending.total_cents))

    def asks_for(self, price: Price) -> bool:
        return _is_over(price.cents, self.confirm_over_cents)

    def check(self, price: Price, spending: Spending) -> None:
        """
        Raises:
            NotAllowed: the sentence gives the sum.
        """
        if self.per_call_cents is not None:
            _check_call(price.cents, self.per_call_cents)
        if self.per_day_cents is not None:
            _check_day(price.cents, self.per_day_cents, spending)


def total_of(amounts: Iterable[float | None]) -> Price:
    """What images cost together that were priced earlier; unknown, where one's price is."""
    cents = list(amounts)
    known = [each for each in cents if each is not None]
    return Price(sum(known) if len(known) == len(cents) else None, "snapshot")


def _check_call(price_cents: float | None, limit_cents: float) -> None:
    if _is_over(price_cents, limit_cents):
        raise NotAllowed(
            f"This call would cost more than one call may: limit {dollars(limit_cents)}, "
            f"this call {dollars(price_cents)}.",
            "Nothing was paid. Ask check_pricing for a cheaper call, or let the user raise "
            "RUNAPI_MAX_COST_PER_CALL.",
        )


def _check_day(price_cents: float | None, limit_cents: float, spending: Spending) -> None:
    if price_cents is None or _is_over(spending.total_cents + price_cents, limit_cents):
        raise NotAllowed(
            f"This call would go over the day's budget: limit {dollars(limit_cents)}, "
            f"spent {dollars(spending.spent_cents)}, reserved {dollars(spending.reserved_cents)}, "
            f"this call {dollars(price_cents)}.",
            "Nothing was paid. Ask check_pricing for a cheaper call, wait until midnight, or let "
            "the user raise RUNAPI_DAILY_BUDGET.",
        )


def _is_over(cents: float | None, limit_cents: float | None) -> bool:
    """An unknown amount is above every limit that is set."""
    return limit_cents is not None and (cents is None or cents > limit_cents + _HALF_A_MICROCENT)
