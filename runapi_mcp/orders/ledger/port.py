"""What the paid way needs of a ledger. Who attends to a call is no part of it: see `holds`."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from runapi_mcp.orders.ledger.entry import Entry, Spending

Allow = Callable[[Spending, bool], None]
"""Told what today's other calls cost and whether the key is new; raises for what may not be paid.

It runs within the transaction: two servers cannot both take the last cents.
"""

Selection = Literal["recent", "running", "undelivered"]


class Ledger(Protocol):
    """Each step of a call is on the disk before the next one begins.

    Every method may raise `LedgerUnusable`; one that cannot be written is read all the same.
    """

    def now(self) -> float:
        """Seconds since the epoch, by the clock that the ledger goes by."""
        ...

    async def intend(self, entry: Entry, allow: Allow) -> Entry:
        """The oldest identical call that is open and unattended, else this one, written down.

        Nothing is written when `allow` raises. It is not asked where a call is joined.
        """
        ...

    async def record_request(self, entry: Entry) -> None:
        """Write down all that is sent for a call, before it is."""
        ...

    async def record(self, entry: Entry) -> None:
        """Write down what became of a call. What another server has learned is not taken back."""
        ...

    async def withdraw(self, entry: Entry) -> None:
        """Write down that nothing came of an intent, unless another call goes on with it."""
        ...

    async def record_files(self, key: str, files: Sequence[str]) -> None: ...

    async def record_delivery(self, key: str) -> None: ...

    async def doubts(self, caller: str, limit: int) -> Sequence[Entry]:
        """Calls of which no task is known, that nobody attends to and that are not too old."""
        ...

    async def by_task(self, caller: str, task_id: str) -> Entry | None: ...

    async def entries(
        self, caller: str | None, selection: Selection = "recent", limit: int = 20
    ) -> Sequence[Entry]:
        """Calls, the newest first; of everybody, when no caller is named."""
        ...

    async def spending(self, caller: str) -> Spending:
        """Today's money of a caller. Today begins at midnight by this machine's clock."""
        ...

    async def intervals(
        self, model: str, output_resolution: str | None, limit: int
    ) -> Sequence[tuple[float, float]]:
        """Between which ages the latest images of this kind were drawn, the oldest first."""
        ...

    async def upload(self, caller: str, sha256: str) -> str | None:
        """Where the provider has a local file; None when it has not, or not any more."""
        ...

    async def record_upload(self, caller: str, sha256: str, url: str, expires_at: float) -> None:
        """Write down where the provider has a local file until then."""
        ...
