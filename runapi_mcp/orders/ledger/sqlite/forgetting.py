"""Old calls leave the file once two openings of it agree that they are old.

One clock alone is not believed: where it was a year ahead for one call, it would forget all there
is. So the first opening only proposes, and a later one does what both of them would.
"""

from typing import Final

from runapi_mcp.orders.ledger.sqlite import queries
from runapi_mcp.orders.ledger.sqlite.database import Database

APART_SECONDS: Final = 3600.0


def forget_old(database: Database, now: float, keep_seconds: float) -> None:
    """Once for each opening: what is settled and older leaves, if an opening before found it so."""
    before = now - keep_seconds
    with database.transaction(durable=False) as connection:
        connection.execute(queries.FORGET_UPLOADS, {"now": now})
        proposals = database.rows(queries.PROPOSED, {})
        # Later ones by a clock that went backwards since count for nothing.
        if any(0 <= now - row["proposed_at"] < APART_SECONDS for row in proposals):
            return
        agreed = [row["before"] for row in proposals if row["proposed_at"] <= now]
        if agreed:
            connection.execute(queries.FORGET, {"before": min(before, *agreed)})
        connection.execute(queries.WITHDRAW_PROPOSAL)
        connection.execute(queries.PROPOSE, {"before": before, "proposed_at": now})
