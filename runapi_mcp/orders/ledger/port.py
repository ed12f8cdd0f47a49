"""What the paid way needs of a ledger."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from runapi_mcp.orders.ledger.entry import Entry, Spending, Use

Call = Sequence[Entry]
"""The pictures of one call, in their order."""

Allow = Callable[[Spending, bool], None]
"""Told what today's other calls cost and whether the key is new; raises for what may not be paid.

It runs within the transaction: two servers cannot both take the last cents.
"""

AllowAgain = Callable[[Call, Spending], None]
"""Told the pictures of a call whose prices are not set aside any more, and what today's other calls
cost; raises for what may not be paid. It runs within the transaction too.
"""

Selection = Literal["recent", "running", "undelivered"]


class Ledger(Protocol):
    """Each step of a call is written before the next one begins, and all of it is on the disk from
    the note of a send on: nothing leaves before that, so the intent needs no flush of its own.

    A call is *settled* when no other goes on with it: each of its pictures came to nothing, or it
    was used, or its answer surely arrived, or fifteen minutes passed since an answer left.

    Every method may raise `LedgerUnusable`; one that cannot be written is read all the same. To
    write of an entry that is not there any more is such a failure.
    """

    @property
    def lasts(self) -> bool:
        """Whether what is written outlives this process."""
        ...

    def now(self) -> float:
        """Seconds since the epoch, by the clock that the ledger goes by."""
        ...

    async def find_alike(self, wanted: Entry, use: Use, came_at: float) -> Call | None:
        """The oldest identical call that was not settled when this one came.

        It has the same vendor and fingerprint, and the same caller; the fingerprints of other
        vendors than RunAPI tell who pays, and their calls are anybody's. One that is given up is
        none. If there is one, what is used is settled; else nothing is written.
        """
        ...

    async def intend(self, wanted: Call, use: Use, came_at: float, allow: Allow) -> Call:
        """The call that `find_alike` would find, else the one that is wanted, written down.

        What is used is settled. Nothing is written when `allow` raises; it is not asked where a
        call is joined.
        """
        ...

    async def record_request(self, wanted: Call) -> Call:
        """The call of these entries; its requests are theirs, unless it has some already.

        To be written down before anything is sent.
        """
        ...

    async def record_send(self, key: str, allow: AllowAgain) -> Entry:
        """The entry under this key, and if it is still intended, that it is about to be sent.

        Where its price is not set aside any more, because it was in doubt for so long, `allow` is
        asked, and those of its call are set aside again. Nothing is written when that raises.
        """
        ...

    async def claim_send(self, key: str) -> Entry | None:
        """The entry under this key, marked as about to be sent; None where somebody sent it before,
        or it is not intended any more.

        Of all who ask, one gets it, once: for vendors that must not be asked the same again. What
        nobody has sent for fifteen minutes is withdrawn instead.
        """
        ...

    async def record_absence(self, key: str, at: float) -> Entry:
        """The entry, after a complete list, asked for at that moment, was without its task.

        It is refused once two lists say so, `LISTS_APART_SECONDS` from each other, the later
        `LISTED_BY_SECONDS` after the send.
        """
        ...

    async def record_no(self, key: str, sends: int) -> Entry:
        """The entry, after so many sends of it were surely not taken.

        It is refused if no other send can have been.
        """
        ...

    async def record_doubt(self, key: str, sends: int, *, answered: bool) -> None:
        """Write down that so many sends of an entry are over, and may have been taken.

        `answered` is whether each was answered.
        """
        ...

    async def withdraw(self, call_id: str) -> None:
        """Let nothing come of those of a call's pictures that were never sent."""
        ...

    async def record(self, entry: Entry) -> None:
        """Write down what became of a picture. What another server has learned is not taken back.

        A call of which nothing can come any more is settled with it.
        """
        ...

    async def record_files(
        self,
        key: str,
        files: Sequence[str],
        hashes: Sequence[str],
        originals: Sequence[tuple[str, str]] = (),
    ) -> None: ...

    async def record_use(self, caller: str, use: Use) -> None:
        """Settle the calls of pictures that were used without another call for one."""
        ...

    async def record_handover(self, call_id: str, at: float, *, surely: bool) -> None:
        """Write down when an answer with all pictures of a call left; for sure, it is settled.

        The first time counts.
        """
        ...

    async def doubts(self, caller: str, limit: int) -> Sequence[Entry]:
        """What to ask about unbidden: requests of a day that were never answered, none under way.

        Those that were asked about longest ago come first.
        """
        ...

    async def by_task(self, caller: str | None, task_id: str) -> Entry | None:
        """The picture of a task; of anybody, when no caller is named."""
        ...

    async def call(self, call_id: str) -> Call: ...

    async def entries(
        self, caller: str | None, selection: Selection = "recent", limit: int = 20
    ) -> Sequence[Entry]:
        """Pictures, the newest first; of everybody, when no caller is named."""
        ...

    async def find_pictures(self, words: Sequence[str], skip: int, limit: int) -> Sequence[Entry]:
        """Pictures that were drawn, the newest first, of everybody: those that have each word.

        A word may stand in the prompt, the model, the file's name or the task's id, in any case.
        """
        ...

    async def spending(self, caller: str) -> Spending:
        """Today's money of a caller."""
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


class KeptLedger(Ledger, Protocol):
    """A ledger as a program has it open."""

    async def total_cost_cents(self, since: float) -> float:
        """What everybody's pictures cost that were made since then."""
        ...

    async def aclose(self) -> None: ...
