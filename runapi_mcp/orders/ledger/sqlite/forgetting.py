"""Old calls leave the file once two openings of it agree that they are old."""

from runapi_mcp.orders.ledger.rules import forget_before
from runapi_mcp.orders.ledger.sqlite import queries
from runapi_mcp.orders.ledger.sqlite.database import Database


def forget_old(database: Database, now: float, keep_seconds: float) -> None:
    """Once for each opening: what is settled and older leaves, if an opening before found it so."""
    before = now - keep_seconds
    with database.transaction(durable=False) as connection:
        connection.execute(queries.FORGET_UPLOADS, {"now": now})
        proposals = [
            (row["before"], row["proposed_at"]) for row in database.rows(queries.PROPOSED, {})
        ]
        agreed = forget_before(proposals, before, now)
        if agreed is None:
            return
        connection.execute(queries.FORGET, {"before": agreed})
        connection.execute(queries.WITHDRAW_PROPOSAL)
        connection.execute(queries.PROPOSE, {"before": before, "proposed_at": now})
