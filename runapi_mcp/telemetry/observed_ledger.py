"""A ledger that says how long it takes, and what moves in it. It keeps the promises of another."""

from collections.abc import Awaitable, Generator, Sequence
from contextlib import contextmanager
from typing import Literal, TypeVar

import anyio

from runapi_mcp.base.amounts import tidy
from runapi_mcp.base.errors import LedgerUnusable, NotAllowed
from runapi_mcp.base.measures import CALLS, LEDGER_SECONDS, LEDGER_UP, MONEY, OUTCOMES, WAIT_LAG
from runapi_mcp.orders.ledger import (
    Allow,
    AllowAgain,
    Call,
    Entry,
    Ledger,
    Selection,
    Spending,
    Use,
    read_or_none,
)
from runapi_mcp.orders.limits import NotConfirmed
from runapi_mcp.telemetry.spans import span

_Read = TypeVar("_Read")
_Operation = Literal["read", "intend", "send", "record", "hand over"]


class ObservedLedger:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def lasts(self) -> bool:
        return self._ledger.lasts

    def now(self) -> float:
        return self._ledger.now()

    async def find_alike(self, wanted: Entry, use: Use, came_at: float) -> Call | None:
        with _timed("read"):
            found = await self._ledger.find_alike(wanted, use, came_at)
        if found is not None:
            CALLS.add(len(found), model=wanted.model, outcome="joined")
        return found

    async def intend(self, wanted: Call, use: Use, came_at: float, allow: Allow) -> Call:
        model = wanted[0].model
        try:
            with _timed("intend"):
                entries = await self._ledger.intend(wanted, use, came_at, allow)
        except (NotAllowed, NotConfirmed, LedgerUnusable) as failure:
            CALLS.add(len(wanted), model=model, outcome=_refusal(failure))
            raise
        is_new = entries[0].key == wanted[0].key
        CALLS.add(len(entries), model=model, outcome="new" if is_new else "joined")
        if is_new:
            MONEY.add(_price_cents(entries), model=model, kind="reserved")
        return entries

    async def record_request(self, wanted: Call) -> Call:
        with _timed("record"):
            return await self._ledger.record_request(wanted)

    async def record_send(self, key: str, allow: AllowAgain) -> Entry:
        with _timed("send"):
            return await self._ledger.record_send(key, allow)

    async def claim_send(self, key: str) -> Entry | None:
        with _timed("send"):
            return await self._ledger.claim_send(key)

    async def record_absence(self, key: str, at: float) -> Entry:
        with _timed("record"):
            return _told_no(await self._ledger.record_absence(key, at))

    async def record_no(self, key: str, sends: int) -> Entry:
        with _timed("record"):
            return _told_no(await self._ledger.record_no(key, sends))

    async def record_doubt(self, key: str, sends: int, *, answered: bool) -> None:
        with _timed("record"):
            await self._ledger.record_doubt(key, sends, answered=answered)

    async def withdraw(self, call_id: str) -> None:
        with _timed("record"):
            await self._ledger.withdraw(call_id)

    async def record(self, entry: Entry) -> None:
        # Who else waits for it may have written down the end already.
        before = await self._entry_before(entry) if entry.ended else None
        with _timed("record"):
            await self._ledger.record(entry)
        if before is not None:
            _tell_end(before, entry)

    async def record_files(
        self,
        key: str,
        files: Sequence[str],
        hashes: Sequence[str],
        originals: Sequence[tuple[str, str]] = (),
    ) -> None:
        with _timed("record"):
            await self._ledger.record_files(key, files, hashes, originals)

    async def record_use(self, caller: str, use: Use) -> None:
        with _timed("record"):
            await self._ledger.record_use(caller, use)

    async def record_handover(self, call_id: str, at: float, *, surely: bool) -> None:
        with _timed("hand over"):
            await self._ledger.record_handover(call_id, at, surely=surely)

    async def doubts(self, caller: str, limit: int) -> Sequence[Entry]:
        return await _read(self._ledger.doubts(caller, limit))

    async def by_task(self, caller: str | None, task_id: str) -> Entry | None:
        return await _read(self._ledger.by_task(caller, task_id))

    async def call(self, call_id: str) -> Call:
        return await _read(self._ledger.call(call_id))

    async def entries(
        self, caller: str | None, selection: Selection = "recent", limit: int = 20
    ) -> Sequence[Entry]:
        return await _read(self._ledger.entries(caller, selection, limit))

    async def find_pictures(self, words: Sequence[str], skip: int, limit: int) -> Sequence[Entry]:
        return await _read(self._ledger.find_pictures(words, skip, limit))

    async def spending(self, caller: str) -> Spending:
        return await _read(self._ledger.spending(caller))

    async def intervals(
        self, model: str, output_resolution: str | None, limit: int
    ) -> Sequence[tuple[float, float]]:
        return await _read(self._ledger.intervals(model, output_resolution, limit))

    async def upload(self, caller: str, sha256: str) -> str | None:
        return await _read(self._ledger.upload(caller, sha256))

    async def record_upload(self, caller: str, sha256: str, url: str, expires_at: float) -> None:
        with _timed("record"):
            await self._ledger.record_upload(caller, sha256, url, expires_at)

    async def _entry_before(self, entry: Entry) -> Entry | None:
        call = await read_or_none(self.call(entry.call_id)) or ()
        return next((each for each in call if each.key == entry.key), None)


def _refusal(failure: Exception) -> str:
    if isinstance(failure, NotConfirmed):
        return "not confirmed"
    return "not allowed" if isinstance(failure, NotAllowed) else "ledger unusable"


@contextmanager
def _timed(operation: _Operation) -> Generator[None]:
    began, outcome, is_up = anyio.current_time(), "ok", True
    try:
        with span(f"ledger {operation}"):
            yield
    except LedgerUnusable:
        outcome, is_up = "unusable", False
        raise
    except (NotAllowed, NotConfirmed):
        outcome = "no"
        raise
    finally:
        LEDGER_UP.set(float(is_up))
        LEDGER_SECONDS.record(anyio.current_time() - began, operation=operation, outcome=outcome)


async def _read(reading: Awaitable[_Read]) -> _Read:
    with _timed("read"):
        return await reading


def _told_no(entry: Entry) -> Entry:
    if entry.status == "refused":
        OUTCOMES.add(1, model=entry.model, outcome="refused")
        MONEY.add(_price_cents([entry]), model=entry.model, kind="returned")
    return entry


def _tell_end(before: Entry, entry: Entry) -> None:
    """What is news of a picture that has ended."""
    model = entry.model
    if not before.ended:
        OUTCOMES.add(1, model=model, outcome=entry.status)
        if entry.drawn is not None:
            running_seconds, done_seconds = entry.drawn
            WAIT_LAG.record(done_seconds - running_seconds)
        if entry.status != "completed":
            MONEY.add(_price_cents([before]), model=model, kind="returned")
    if before.cost_cents is None and entry.cost_cents is not None:
        MONEY.add(entry.cost_cents, model=model, kind="charged")


def _price_cents(entries: Call) -> float:
    return tidy(sum(entry.price_cents or 0 for entry in entries))
