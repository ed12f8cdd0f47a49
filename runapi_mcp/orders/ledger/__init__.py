"""What was paid, for whom, and what became of it."""

from runapi_mcp.orders.ledger.entry import Doubt, Entry, OrderStatus, Spending, Use
from runapi_mcp.orders.ledger.port import (
    Allow,
    AllowAgain,
    Call,
    DeriveKey,
    KeptLedger,
    Ledger,
    Selection,
)
from runapi_mcp.orders.ledger.tolerance import read_or_none, write_or_log

__all__ = [
    "Allow",
    "AllowAgain",
    "Call",
    "DeriveKey",
    "Doubt",
    "Entry",
    "KeptLedger",
    "Ledger",
    "OrderStatus",
    "Selection",
    "Spending",
    "Use",
    "read_or_none",
    "write_or_log",
]
