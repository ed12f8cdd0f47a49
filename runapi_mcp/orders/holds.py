"""Who attends to a call: while somebody does, no identical one joins it."""

from typing import Protocol

from runapi_mcp.orders.ledger import Entry


class Holds(Protocol):
    """The holds on calls. `Ledger.intend` takes one; whoever stops attending lets go of it."""

    async def release(self, entry: Entry) -> None: ...

    async def lease(self, key: str, seconds: float) -> None:
        """Somebody attends to the call from afar: no other joins it for a while."""

    async def end_lease(self, key: str) -> None: ...
