"""The turns of keys that several servers use, reserved in the database, for many keys at once.

A table without a log, because what a crash loses are the turns of a moment ago.
"""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import anyio

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.postgres.database_failures import DATABASE_FAILURES, reason_of
from runapi_mcp.postgres.pool import DatabaseSession, connect

logger = logging.getLogger(__name__)

ANSWER_SECONDS: Final = 2.0
"""How long the database may take before servers go on without it."""
RECONNECT_SECONDS: Final = 1.0

_NEW: Final = (
    "INSERT INTO runapi_mcp.turns SELECT unnest(%(callers)s::text[]) ON CONFLICT DO NOTHING"
)
# Of the paying ones a turn that comes a slot late does not slow the next.
_RESERVE: Final = """
    UPDATE runapi_mcp.turns SET
        free_at = turn + CASE WHEN pays OR reads THEN spacing ELSE 0 END,
        paying_free_at = CASE WHEN pays THEN greatest(old_paying_free_at, turn - spacing)
            + paying_spacing ELSE old_paying_free_at END
    FROM (
        SELECT *, wants_to_pay AND old_paying_free_at <= turn AS pays,
            wants_to_read AND NOT (wants_to_pay AND old_paying_free_at <= turn) AS reads
        FROM (
            SELECT asked.*, now, greatest(free_at, now + hold) AS turn,
                paying_free_at AS old_paying_free_at
            FROM runapi_mcp.turns JOIN
                unnest(%(callers)s::text[], %(spacings)s::float8[], %(paying_spacings)s::float8[],
                    %(pay)s::bool[], %(read)s::bool[], %(holds)s::float8[])
                AS asked (caller, spacing, paying_spacing, wants_to_pay, wants_to_read, hold)
                USING (caller),
                (SELECT extract(epoch FROM clock_timestamp())::float8 AS now) AS clock
            ORDER BY caller FOR UPDATE OF turns
        ) AS locked
    ) AS reserved
    WHERE turns.caller = reserved.caller
    RETURNING reserved.caller, pays, reads, now,
        CASE WHEN pays OR reads THEN turn ELSE old_paying_free_at END - now AS seconds"""
_FORGET: Final = """
    DELETE FROM runapi_mcp.turns
    WHERE free_at < extract(epoch FROM clock_timestamp()) - 86400"""


class Spacing(NamedTuple):
    """Between two requests of a key, in seconds."""

    each: float
    paying: float


class Turn(NamedTuple):
    at: float
    """When it is, by the event loop's time."""
    pays: bool
    """Whether it is of those that requests have which pay."""
    is_taken: bool
    """Whether it is reserved; else all who asked pay, and it is worth asking again then."""


class NoTurns(Exception):
    """The database cannot be asked now."""


@dataclass(slots=True)
class _Asked:
    caller: str
    spacing: Spacing
    pays: bool = False
    reads: bool = False
    hold: float = 0.0
    turn: Turn | None = None
    is_answered: anyio.Event = field(default_factory=anyio.Event)


class TurnTable:
    def __init__(self, url: SecretStr) -> None:
        self._url = url
        self._asked: list[_Asked] = []
        self._is_asked = anyio.Event()
        self.is_connected = False
        self._is_away = False
        """Whether it was said already that the database cannot be asked."""

    async def reserve(self, caller: str, spacing: Spacing, *, pays: bool, reads: bool) -> Turn:
        """The next turn of a key, for one of those that wait here: some pay, some read.

        Raises:
            NoTurns
        """
        asked = _Asked(caller, spacing, pays, reads)
        self._ask(asked)
        if self.is_connected:
            await asked.is_answered.wait()
        if asked.turn is None:
            raise NoTurns
        return asked.turn

    def hold(self, caller: str, spacing: Spacing, seconds: float) -> None:
        """Let nobody have a turn of a key for so long."""
        self._ask(_Asked(caller, spacing, hold=seconds))

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            try:
                async with self._connected() as connection:
                    while True:
                        await self._answer_all(connection)
            except DATABASE_FAILURES as error:
                if not self._is_away:
                    logger.warning("turns are not shared with other servers: %s", reason_of(error))
                self._is_away = True
            await anyio.sleep(RECONNECT_SECONDS)

    def _ask(self, asked: _Asked) -> None:
        if self.is_connected:
            self._asked.append(asked)
            self._is_asked.set()

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[DatabaseSession]:
        connection = await connect(self._url)
        try:
            with anyio.fail_after(ANSWER_SECONDS):
                await connection.execute(_FORGET)
            self.is_connected, self._is_away = True, False
            yield connection
        finally:
            # Nothing is left to say on it, least of all to a database that does not answer.
            connection.pgconn.finish()
            self.is_connected = False
            for asked in self._asked:
                asked.is_answered.set()
            self._asked.clear()

    async def _answer_all(self, connection: DatabaseSession) -> None:
        await self._is_asked.wait()
        self._is_asked = anyio.Event()
        # A key stands in one statement once.
        batch = {asked.caller: asked for asked in reversed(self._asked)}
        left = [asked for asked in self._asked if batch[asked.caller] is not asked]
        with anyio.fail_after(ANSWER_SECONDS):
            await _reserve(connection, list(batch.values()))
        self._asked = [*left, *self._asked[len(batch) + len(left) :]]
        if self._asked:
            self._is_asked.set()


async def _reserve(connection: DatabaseSession, batch: Sequence[_Asked]) -> None:
    waiting = {asked.caller: asked for asked in batch}
    while waiting:
        parameters = _parameters(list(waiting.values()))
        for row in await (await connection.execute(_RESERVE, parameters)).fetchall():
            asked, is_taken = waiting.pop(row["caller"]), row["pays"] or row["reads"]
            asked.turn = Turn(anyio.current_time() + row["seconds"], row["pays"], is_taken)
            asked.is_answered.set()
        if waiting:
            await connection.execute(_NEW, {"callers": list(waiting)})


def _parameters(batch: Sequence[_Asked]) -> dict[str, list[Any]]:  # Any: a column each
    return {
        "callers": [asked.caller for asked in batch],
        "spacings": [asked.spacing.each for asked in batch],
        "paying_spacings": [asked.spacing.paying for asked in batch],
        "pay": [asked.pays for asked in batch],
        "read": [asked.reads for asked in batch],
        "holds": [asked.hold for asked in batch],
    }
