"""The account at Runflow on the wire: its balance."""

from typing import Final

from runapi_mcp.base.amounts import tidy
from runapi_mcp.base.catalog.balance import Balance
from runapi_mcp.base.json_values import Json, as_number
from runapi_mcp.providers.runflow.run_messages import RunReply, RunRequest, incomplete_reply
from runapi_mcp.providers.runflow.run_wire import as_dollars

CREDIT: Final = RunRequest("GET", "/v1/billing/balance")


def parse_credit(reply: RunReply) -> Balance:
    balance_cents = _cents(reply.body)
    if balance_cents is None:
        raise incomplete_reply(reply, "names no balance")
    return Balance(
        balance_cents=balance_cents,
        paid_balance_cents=None,
        bonus_balance_cents=None,
        spent_today_cents=None,
        spent_total_cents=None,
        sandbox=reply.answer.sandbox,
    )


def _cents(body: Json) -> float | None:
    """As cents, or in dollars: Runflow's sources differ."""
    if (cents := as_number(body.get("balance_cents"))) is not None:
        return cents
    dollars = as_dollars(body.get("balance"))
    return None if dollars is None else tidy(dollars * 100)
