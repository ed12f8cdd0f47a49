"""The tables that servers of one address share besides the ledger: little, and nothing to miss."""

from typing import Final

from runapi_mcp.postgres.schemas import TableSchema

FLEET_TABLES: Final = TableSchema(
    "fleet",
    (
        """
        CREATE TABLE runapi_mcp.callbacks (
            key text PRIMARY KEY,
            hinted_at timestamptz NOT NULL DEFAULT clock_timestamp()
        );
        CREATE INDEX callbacks_by_time ON runapi_mcp.callbacks (hinted_at);
        CREATE UNLOGGED TABLE runapi_mcp.turns (
            caller text PRIMARY KEY,
            free_at double precision NOT NULL DEFAULT 0,
            paying_free_at double precision NOT NULL DEFAULT 0
        ) WITH (fillfactor = 50);
        """,
    ),
)
"""Of `turns`, times are in seconds since the epoch: a crash may lose them."""
