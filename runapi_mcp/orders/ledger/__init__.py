"""What was paid, for whom, and what became of it: one SQLite file a user, shared by all servers."""

from runapi_mcp.orders.ledger.entry import Doubt, Entry, Progress, Spending
from runapi_mcp.orders.ledger.sqlite.ledger import Ledger, Which

__all__ = ["Doubt", "Entry", "Ledger", "Progress", "Spending", "Which"]
