"""The ledger in one SQLite file for each user, shared by all servers."""

from runapi_mcp.orders.ledger.sqlite.ledger import SqliteLedger

__all__ = ["SqliteLedger"]
