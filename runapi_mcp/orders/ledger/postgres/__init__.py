"""The ledger in PostgreSQL: one for servers on any number of machines."""

from runapi_mcp.orders.ledger.postgres.postgres_ledger import PostgresLedger

__all__ = ["PostgresLedger"]
