"""Past pictures found by words."""

from collections.abc import Sequence

from runapi_mcp.base.json_values import as_object
from runapi_mcp.orders.ledger.entry import Entry
from runapi_mcp.orders.ledger.matching import folded, has_each
from runapi_mcp.orders.ledger.postgres import statements
from runapi_mcp.orders.ledger.postgres.ledger_database import LedgerTransaction
from runapi_mcp.orders.ledger.postgres.statements import Row


async def search_pictures(
    words: Sequence[str], skip: int, limit: int, transaction: LedgerTransaction
) -> list[Entry]:
    """Those that have each of the words, the newest first."""
    wanted, found = [folded(word) for word in words], list[Entry]()
    async for row in transaction.stream(statements.DRAWN):
        if _has_each(row, wanted):
            found.append(statements.to_entry(row))
        if len(found) == skip + limit:
            break
    return found[skip:]


def _has_each(row: Row, wanted: Sequence[str]) -> bool:
    prompt = as_object(row["arguments"]).get("prompt", "")
    return has_each(wanted, [str(prompt), row["model"], row["task_id"] or ""], row["files"])
