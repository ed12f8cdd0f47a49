"""The ledger as the rest of the program uses it: each step on the disk before the next begins.

Light to import: SQLite comes with the first use, in a thread.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, cast

import anyio
import anyio.to_thread

from runapi_mcp.base.settings import KEEP_DAYS
from runapi_mcp.orders.ledger.entry import Entry, Spending
from runapi_mcp.orders.ledger.sqlite.lock_timeout import Patience

if TYPE_CHECKING:
    from runapi_mcp.orders.ledger.sqlite.store import Store


Which = Literal["recent", "running", "undelivered"]
Meaning = TypeVar("Meaning")
Run = Callable[[Callable[[], object]], Awaitable[object]]
"""Runs what blocks."""


async def in_a_thread(block: Callable[[], object]) -> object:
    """Run what blocks where the event loop does not wait for it."""
    return await anyio.to_thread.run_sync(block)


async def in_place(block: Callable[[], object]) -> object:
    """Run what does not block for long."""
    await anyio.lowlevel.checkpoint()
    return block()


class Ledger:
    """The ledger at a path; None is one in memory, for this process alone.

    Nothing is opened, or even looked for, before the first use. Every method may raise
    `LedgerUnusable`; one that cannot be written is read all the same.
    """

    def __init__(
        self,
        locate: Callable[[], Path | None],
        *,
        keep_days: float = KEEP_DAYS,
        clock: Callable[[], float] = time.time,
        run: Run = in_a_thread,
    ) -> None:
        self._locate = locate
        self._keep_days = keep_days
        self._run = run
        self._one_at_a_time = anyio.Lock()
        self._store: Store | None = None
        self._patience = Patience()
        self.now = clock

    @classmethod
    def in_memory(cls, clock: Callable[[], float] = time.time) -> Ledger:
        """A ledger that ends with this process."""
        return cls(lambda: None, clock=clock, run=in_place)

    async def begin(self, entry: Entry, allow: Callable[[Spending, bool], None]) -> Entry:
        """The call to go on with: an identical one nobody was given, else this one, written down.

        It is held from here on, until `release`. `allow` is told what today's other calls cost and
        whether the key is new, and raises for a call that may not be paid: nothing is written then.
        """
        return await self._do(lambda store: store.begin(entry, allow))

    async def update(self, entry: Entry) -> None:
        """Write down what became of a call."""
        await self._do(lambda store: store.update(entry))

    async def complete(self, entry: Entry) -> None:
        """All that is sent for a call is written down, before it is."""
        await self._do(lambda store: store.complete(entry))

    async def saved(self, key: str, files: Sequence[str]) -> None:
        """Write down where the images of a call are."""
        await self._do(lambda store: store.saved(key, files))

    async def keep_upload(self, caller: str, sha256: str, url: str, expires_at: float) -> None:
        """Write down where RunAPI has a local file until then."""
        await self._do(lambda store: store.keep_upload(caller, sha256, url, expires_at))

    async def upload(self, caller: str, sha256: str) -> str | None:
        """Where RunAPI has a local file; None when it has not, or not any more."""
        return await self._do(lambda store: store.upload(caller, sha256))

    async def deliver(self, key: str) -> None:
        """The result has reached a client."""
        await self._do(lambda store: store.deliver(key))

    async def release(self, entry: Entry) -> None:
        """This call attends to the entry no more."""
        await self._do(lambda store: store.release(entry))

    async def withdraw(self, entry: Entry) -> None:
        """Nothing came of a call, unless another one goes on with it."""
        await self._do(lambda store: store.withdraw(entry))

    async def lease(self, key: str, seconds: float) -> None:
        """Somebody attends to the call from afar: no other joins it for a while."""
        await self._do(lambda store: store.lease(key, seconds))

    async def end_lease(self, key: str) -> None:
        """Nobody attends to the call from afar any more."""
        await self._do(lambda store: store.end_lease(key))

    async def doubts(self, caller: str, limit: int) -> Sequence[Entry]:
        """Calls of which no task is known, and that nobody attends to."""
        return await self._do(lambda store: store.doubts(caller, limit))

    async def by_task(self, caller: str, task_id: str) -> Entry | None:
        """The call that made a task."""
        return await self._do(lambda store: store.by_task(caller, task_id))

    async def listed(
        self, caller: str | None, which: Which = "recent", limit: int = 20
    ) -> Sequence[Entry]:
        """Calls, the newest first; of everybody, when no caller is named."""
        return await self._do(lambda store: store.listed(caller, which, limit))

    async def spending(self, caller: str) -> Spending:
        """Today's money of a caller. Today begins at midnight by this machine's clock."""
        return await self._do(lambda store: store.spending(caller))

    async def drawn(
        self, model: str, output_resolution: str | None, limit: int
    ) -> Sequence[tuple[float, float]]:
        """Between which ages the latest images of this kind were drawn, the oldest first."""
        return await self._do(lambda store: store.drawn(model, output_resolution, limit))

    async def aclose(self) -> None:
        """Close what was opened."""
        store, self._store = self._store, None
        if store is not None:
            await self._run(store.close)

    async def _do(self, block: Callable[[Store], Meaning]) -> Meaning:
        async with self._one_at_a_time:
            return cast("Meaning", await self._run(partial(self._guarded, block)))

    def _guarded(self, block: Callable[[Store], Meaning]) -> Meaning:
        from runapi_mcp.orders.ledger.sqlite.unusable import BROKEN, is_locked, unusable

        path: Path | None = None
        try:
            path = self._locate()
            return self._done(block, path)
        # RuntimeError: a home that cannot be found.
        except (*BROKEN, RuntimeError) as error:
            if is_locked(error):
                self._patience.wear_out()
            raise unusable(path, error) from error

    def _done(self, block: Callable[[Store], Meaning], path: Path | None) -> Meaning:
        """What comes of the block; where the ledger cannot be written, at least what it reads."""
        from runapi_mcp.orders.ledger.sqlite.unusable import BROKEN

        try:
            store = self._opened(path)
        except BROKEN:
            if path is not None:
                with suppress(*BROKEN), closing(self._opened_to_read(path)) as store:
                    return block(store)
            raise
        return block(store)

    def _opened(self, path: Path | None) -> Store:
        from runapi_mcp.orders.ledger.sqlite.database import Database
        from runapi_mcp.orders.ledger.sqlite.store import Store

        if self._store is not None and not self._store.is_current:
            # Moved away or deleted: what is written there would not be found again.
            self._store.close()
            self._store = None
        if self._store is None:
            database = Database.open(path, self._patience)
            self._store = Store(database, self._keep_days, self.now)
        return self._store

    def _opened_to_read(self, path: Path) -> Store:
        from runapi_mcp.orders.ledger.sqlite.database import Database
        from runapi_mcp.orders.ledger.sqlite.store import Store

        database = Database.open_to_read(path, self._patience)
        return Store(database, self._keep_days, self.now)
