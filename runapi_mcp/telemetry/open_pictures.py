"""What is open in the ledger, as gauges: doubts, and what was charged and not delivered."""

from collections.abc import Sequence
from typing import Final

from runapi_mcp.base.measures import DOUBT_AGE, OPEN_DOUBTS, UNDELIVERED, UNDELIVERED_AGE, Gauge
from runapi_mcp.orders.ledger import Entry, Ledger, read_or_none

MOST_READ: Final = 1_000
"""So many are looked at, the newest first: a scrape must stay cheap."""


async def tell_open_pictures(ledger: Ledger) -> None:
    now = ledger.now()
    running = await read_or_none(ledger.entries(None, "running", MOST_READ))
    undelivered = await read_or_none(ledger.entries(None, "undelivered", MOST_READ))
    if running is not None:
        sent = [entry.sent_at or entry.begun_at for entry in running if _is_doubt(entry, now)]
        _tell(sent, now, OPEN_DOUBTS, DOUBT_AGE)
    if undelivered is not None:
        ended = [entry.ended_at or now for entry in undelivered if entry.status == "completed"]
        _tell(ended, now, UNDELIVERED, UNDELIVERED_AGE)


def _is_doubt(entry: Entry, now: float) -> bool:
    """Whether its reservation still stands, and nobody waits for the answer."""
    is_open = entry.status == "intended" and entry.open_sends > 0
    return is_open and entry.is_reserved(now) and not entry.is_being_sent(now)


def _tell(moments: Sequence[float], now: float, number: Gauge, age: Gauge) -> None:
    number.set(len(moments))
    age.set(max(0.0, now - min(moments, default=now)))
