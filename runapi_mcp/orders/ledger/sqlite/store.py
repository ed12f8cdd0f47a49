"""The ledger's calls: begun, held, updated, delivered, listed, forgotten. Blocks."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import Final

from runapi_mcp.base.catalog.lifetimes import DAY_SECONDS, IMAGE_SECONDS
from runapi_mcp.orders.ledger.entry import Doubt, Entry, Spending
from runapi_mcp.orders.ledger.sqlite import queries
from runapi_mcp.orders.ledger.sqlite.database import Database
from runapi_mcp.orders.ledger.sqlite.presence import Presence
from runapi_mcp.orders.ledger.sqlite.unusable import BROKEN

DOUBT_HOURS: Final = 24
"""How long RunAPI is trusted to remember an idempotency key. It does not say; a day is usual."""
TIDY_SECONDS: Final = 3600.0

Allow = Callable[[Spending, bool], None]
"""Told what today cost so far and whether the key is new; raises for what may not be paid."""

_HOUR: Final = 3600.0
_IN_MEMORY: Final = "memory"


class Store:
    """An open ledger. `clock` tells seconds since the epoch."""

    def __init__(self, database: Database, keep_days: float, clock: Callable[[], float]) -> None:
        self._database = database
        self._presence: Presence | None = None
        self._keep_seconds = keep_days * DAY_SECONDS
        self._now = clock
        self._holds: set[str | None] = set()
        self._numbers = count(1)
        self._tidy_at = 0.0

    @property
    def is_current(self) -> bool:
        """Whether its file is still where it was opened."""
        return self._database.is_current

    def close(self) -> None:
        """Close the file, and be dead to the others."""
        if self._presence is not None:
            self._presence.leave()
        self._database.close()

    def begin(self, entry: Entry, allow: Allow) -> Entry:
        """An identical call to go on with, else this one, written down unless `allow` raises."""
        self._tidy()
        with self._database.transaction() as connection:
            wanted = self._first_free(entry)
            if wanted is None:
                allow(self.spending(entry.caller), not self._has(entry.key))
                wanted = entry
                connection.execute(queries.INSERT, queries.row_of(entry))
            return self._held(connection, wanted)

    def update(self, entry: Entry) -> None:
        """Write down what became of a call."""
        self._write(queries.UPDATE, queries.row_of(entry))

    def complete(self, entry: Entry) -> None:
        """Write down all that is sent, before it is."""
        self._write(queries.COMPLETE, queries.row_of(entry))

    def saved(self, key: str, files: Sequence[str]) -> None:
        """Write down where the images are."""
        self._write(queries.SAVED, {"key": key, "files": json.dumps(files)})

    def keep_upload(self, caller: str, sha256: str, url: str, expires_at: float) -> None:
        """Write down where RunAPI has a local file until then."""
        row = {"caller": caller, "sha256": sha256, "url": url, "expires_at": expires_at}
        self._write(queries.KEEP_UPLOAD, row, durable=False)

    def upload(self, caller: str, sha256: str) -> str | None:
        """Where RunAPI has a local file; None when it has not, or not any more."""
        parameters = {"caller": caller, "sha256": sha256, "now": self._now()}
        rows = self._database.rows(queries.UPLOAD, parameters)
        return rows[0]["url"] if rows else None

    def deliver(self, key: str) -> None:
        """Write down that the result reached a client."""
        self._write(queries.DELIVER, {"key": key, "now": self._now()})

    def release(self, entry: Entry) -> None:
        """Let go of a call. Not worth a wait for the disk: whoever dies lets go too."""
        self._holds.discard(entry.hold)
        row = {"key": entry.key, "holder": entry.hold}
        self._write(queries.RELEASE, row, durable=False)

    def withdraw(self, entry: Entry) -> None:
        """Write down that nothing came of a call, unless another one goes on with it."""
        self._write(queries.WITHDRAW, {"key": entry.key, "holder": entry.hold})

    def lease(self, key: str, seconds: float) -> None:
        """Hold a call for a while."""
        until = self._now() + seconds
        with self._database.transaction(durable=False) as connection:
            row = {"key": key, "holder": self._new_hold(), "until": until}
            connection.execute(queries.LEASE, row)

    def end_lease(self, key: str) -> None:
        """Let go of a call that was held for a while."""
        self._write(queries.END_LEASE, {"key": key}, durable=False)

    def doubts(self, caller: str, limit: int) -> list[Entry]:
        """Calls of which no task is known, and that nobody attends to."""
        since = self._now() - DOUBT_HOURS * _HOUR
        parameters = {"caller": caller, "since": since, "limit": limit}
        # Who only reads shall wait for no writer.
        if not self._database.rows(queries.DOUBTS, parameters):
            return []
        with self._database.transaction(durable=False):
            rows = self._database.rows(queries.DOUBTS, parameters)
            # With the hold that was seen to be dead: whoever takes the call up has another one.
            found = [(queries.entry_of(row), row["holder"]) for row in rows if self._is_free(row)]
            return [replace(entry, hold=hold) for entry, hold in found]

    def by_task(self, caller: str, task_id: str) -> Entry | None:
        """The call that made a task."""
        rows = self._database.rows(queries.BY_TASK, {"caller": caller, "task_id": task_id})
        return next(map(queries.entry_of, rows), None)

    def listed(self, caller: str | None, which: str, limit: int) -> list[Entry]:
        """Calls, the newest first; of everybody, when no caller is named."""
        sql = queries.listed(which, of_caller=caller is not None)
        since = self._now() - self._keep_seconds
        rows = self._database.rows(sql, {"caller": caller, "since": since, "limit": limit})
        doubts = self._doubts([row for row in rows if row["status"] == "intended"])
        return [replace(queries.entry_of(row), doubt=doubts.get(row["key"])) for row in rows]

    def spending(self, caller: str) -> Spending:
        """The money of a caller since midnight by this machine's clock."""
        today = datetime.fromtimestamp(self._now())  # noqa: DTZ006 - on some days midnight has another offset than now
        midnight = today.replace(hour=0, minute=0, second=0, microsecond=0)
        since = midnight.timestamp()
        doubt_since = since - DOUBT_HOURS * _HOUR
        parameters = {"caller": caller, "since": since, "doubt_since": doubt_since}
        [row] = self._database.rows(queries.SPENDING, parameters)
        return Spending(row["spent_cents"], row["reserved_cents"])

    def drawn(
        self, model: str, output_resolution: str | None, limit: int
    ) -> list[tuple[float, float]]:
        """Between which ages the latest images of this kind were drawn, the oldest first."""
        parameters = {"model": model, "output_resolution": output_resolution, "limit": limit}
        rows = self._database.rows(queries.DRAWN, parameters)
        return [drawn for row in reversed(rows) if (drawn := queries.drawn_of(row))]

    def _doubts(self, rows: Sequence[sqlite3.Row]) -> dict[str, Doubt]:
        """What is known of calls without a task, by key; nothing, where it cannot be told now."""
        if not rows:
            return {}
        try:
            with self._database.transaction(durable=False):
                return {row["key"]: self._doubt(row) for row in rows}
        except BROKEN:
            return {}

    def _doubt(self, row: sqlite3.Row) -> Doubt:
        if not self._is_free(row):
            return "under way"
        return "open" if row["begun_at"] > self._now() - DOUBT_HOURS * _HOUR else "too old"

    def _has(self, key: str) -> bool:
        return bool(self._database.rows(queries.HAS, {"key": key}))

    def _first_free(self, entry: Entry) -> Entry | None:
        """The oldest identical call that was delivered to nobody and that nobody attends to."""
        now = self._now()
        parameters = {
            "caller": entry.caller,
            "fingerprint": entry.fingerprint,
            "made_since": now - IMAGE_SECONDS,
            "doubt_since": now - DOUBT_HOURS * _HOUR,
        }
        rows = self._database.rows(queries.UNDELIVERED, parameters)
        return next((queries.entry_of(row) for row in rows if self._is_free(row)), None)

    def _is_free(self, row: sqlite3.Row) -> bool:
        """Whether nobody attends to a call: no hold, one that ran out, or one of the dead."""
        hold, until = row["holder"], row["held_until"]
        if hold is None or (until is not None and until < self._now()):
            return True
        process = hold.partition(":")[0]
        if process == self._process:
            return until is None and hold not in self._holds
        return self._present is None or not self._present.alive(process)

    def _held(self, connection: sqlite3.Connection, entry: Entry) -> Entry:
        hold = self._new_hold()
        connection.execute(queries.HOLD, {"key": entry.key, "holder": hold})
        self._holds.add(hold)
        return replace(entry, hold=hold)

    def _new_hold(self) -> str:
        return f"{self._process}:{next(self._numbers)}"

    @property
    def _process(self) -> str:
        return self._present.id if self._present else _IN_MEMORY

    @property
    def _present(self) -> Presence | None:
        """This process among the others, from the first write on; None where there are none."""
        path = self._database.path
        if self._presence is None and path is not None:
            self._presence = Presence(path.with_name(f"{path.name}.d"))
        return self._presence

    def _tidy(self) -> None:
        """Forget what is older than the user wants kept."""
        now = self._now()
        if now >= self._tidy_at:
            self._tidy_at = now + TIDY_SECONDS
            self._write(queries.FORGET, {"before": now - self._keep_seconds}, durable=False)
            self._write(queries.FORGET_UPLOADS, {"now": now}, durable=False)

    def _write(self, sql: str, parameters: Mapping[str, object], *, durable: bool = True) -> None:
        with self._database.transaction(durable=durable) as connection:
            connection.execute(sql, parameters)
