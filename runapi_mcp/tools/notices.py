"""What must be said beside an answer's facts."""

from pydantic import MISSING

from runapi_mcp.tools.facts import SANDBOX_NOTICE
from runapi_mcp.tools.tool import Caller

_LEFT_UNKNOWN = (
    "What the daily budget leaves is unknown, because the ledger cannot be used; paid calls are "
    "refused meanwhile, and say why."
)


def notice(caller: Caller, left_cents: float | None, *, sandbox: bool) -> str | MISSING:
    """That an answer is for practice, and that a limit is not told though it is set."""
    has_limit = caller.orders.limits.per_day_cents is not None and caller.runapi.has_key
    sentences = [SANDBOX_NOTICE] if sandbox else []
    if has_limit and left_cents is None:
        sentences.append(_LEFT_UNKNOWN)
    return " ".join(sentences) or MISSING
