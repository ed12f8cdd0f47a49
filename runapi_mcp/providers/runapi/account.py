"""The account on the wire: its balance, and the key that a login is exchanged for."""

import re
from typing import Final

from runapi_mcp.base.catalog.balance import Balance
from runapi_mcp.base.json_values import Json, as_number, as_object, as_text
from runapi_mcp.base.redaction import Secret
from runapi_mcp.base.settings import parse_key
from runapi_mcp.providers.port import IssuedKey, LoginGrant
from runapi_mcp.providers.runapi.messages import Reply, Request, encode, incomplete

BALANCE: Final = Request("GET", "/api/v1/me/balance")
_EMAIL: Final = re.compile(r"[^\s@\"<>]{1,64}@[^\s@\"<>]{1,255}")


def parse_balance(reply: Reply) -> Balance:
    balance_cents = as_number(reply.body.get("balance_cents"))
    if balance_cents is None:
        raise incomplete(reply, "names no balance")
    return Balance(
        balance_cents=balance_cents,
        paid_balance_cents=as_number(reply.body.get("paid_balance_cents")),
        bonus_balance_cents=as_number(reply.body.get("bonus_balance_cents")),
        spent_today_cents=as_number(reply.body.get("spent_cents_today")),
        spent_total_cents=as_number(reply.body.get("spent_cents_total")),
        sandbox=reply.answer.sandbox,
    )


def exchange_request(grant: LoginGrant) -> Request:
    body = {
        "code": grant.code,
        "code_verifier": grant.verifier,
        "redirect_port": grant.redirect_port,
    }
    headers = {"X-CLI-Hostname": grant.hostname}
    return Request("POST", "/api/v1/cli/exchange", body=encode(body), headers=headers)


def parse_issued_key(reply: Reply) -> IssuedKey:
    """The key; one that cannot be a key is said to be missing."""
    given = as_text(reply.body.get("key")) or ""
    key = parse_key(given, "RunAPI's answer")
    return IssuedKey(key, _email(as_object(reply.body.get("user")), given))


def _email(user: Json, key: str) -> str | None:
    """Whose the key is; None for what is no address, or tells the key, which no request had yet."""
    text = as_text(user.get("email")) or ""
    tells = bool(key) and Secret(key).is_in(text)
    return text if _EMAIL.fullmatch(text) and not tells else None
