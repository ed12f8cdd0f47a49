"""The caller's account: its balance."""

from runapi_mcp.base.catalog.money import Balance
from runapi_mcp.base.errors import RunapiDown
from runapi_mcp.base.json_values import as_number
from runapi_mcp.providers.runapi.messages import Reply, Request, Send


class Account:
    """The account behind one caller's key."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def balance(self) -> Balance:
        """The balance now.

        Raises:
            RunapiFailure: the key was rejected, or RunAPI could not be read.
        """
        return await self._send(Request("GET", "/api/v1/me/balance"), _balance)


def _balance(reply: Reply) -> Balance:
    balance_cents = as_number(reply.body.get("balance_cents"))
    if balance_cents is None:
        raise RunapiDown(
            "RunAPI's answer names no balance.", "Try again in a minute.", reply.answer
        )
    return Balance(
        balance_cents=balance_cents,
        paid_balance_cents=as_number(reply.body.get("paid_balance_cents")),
        bonus_balance_cents=as_number(reply.body.get("bonus_balance_cents")),
        spent_today_cents=as_number(reply.body.get("spent_cents_today")),
        spent_total_cents=as_number(reply.body.get("spent_cents_total")),
        sandbox=reply.answer.sandbox,
    )
