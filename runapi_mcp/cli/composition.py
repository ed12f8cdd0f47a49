"""What the settings make of the ledger and the limits."""

from runapi_mcp.settings import Settings
from runapi_mcp.tasks.desk import Desk
from runapi_mcp.tasks.ledger import Ledger
from runapi_mcp.tasks.limits import Limits


def desk_of(settings: Settings) -> Desk:
    """The ledger where the settings want it, and their limits."""
    money = settings.money
    limits = Limits(
        money.max_cost_per_call_cents, money.daily_budget_cents, money.confirm_over_cents
    )
    return Desk(ledger_of(settings), limits, keeps_arguments=settings.ledger.keep_prompts)


def ledger_of(settings: Settings) -> Ledger:
    """The ledger where the settings want it; in memory, where they want none."""
    if settings.ledger.locate is None:
        return Ledger.in_memory()
    return Ledger(settings.ledger.locate, keep_days=settings.ledger.keep_days)
