"""What an account holds and has spent, in US cents."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Balance:
    balance_cents: float
    paid_balance_cents: float | None
    bonus_balance_cents: float | None
    spent_today_cents: float | None
    spent_total_cents: float | None
    sandbox: bool
