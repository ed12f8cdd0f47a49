"""Callbacks told to the other servers: one of them was called, and any of them may wait."""

import logging
from collections import deque
from contextlib import suppress
from typing import Final

import anyio

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.orders.wakeups import MOST_HEARD, Wakeups
from runapi_mcp.postgres.database_failures import DATABASE_FAILURES, CommitLost, reason_of
from runapi_mcp.postgres.notifications import NotificationListener
from runapi_mcp.postgres.pool import PostgresPool

logger = logging.getLogger(__name__)

CHANNEL: Final = "runapi_mcp_callbacks"
MOST_AT_ONCE: Final = 100
"""Keys in one notification, whose payload may have 8,000 bytes."""
MARGIN_SECONDS: Final = 30.0
"""How much further back than seems needed is looked for what was missed."""
KEPT_HOURS: Final = 24
TELL_AGAIN_SECONDS: Final = 1.0
FORGET_SECONDS: Final = 3_600.0

_TELL: Final = """
    WITH first AS (
        INSERT INTO runapi_mcp.callbacks (key) SELECT unnest(%(keys)s::text[])
        ON CONFLICT DO NOTHING RETURNING key)
    SELECT pg_notify(%(channel)s, string_agg(key, ' ')) FROM first HAVING count(*) > 0"""
_MISSED: Final = """
    SELECT key FROM runapi_mcp.callbacks
    WHERE hinted_at > clock_timestamp() - make_interval(secs => %(seconds)s)
    ORDER BY hinted_at DESC LIMIT %(limit)s"""
_FORGET: Final = """
    DELETE FROM runapi_mcp.callbacks
    WHERE hinted_at < clock_timestamp() - make_interval(hours => %(hours)s)"""


class CallbackRelay:
    """Between the endpoint of this server and the waits of all."""

    def __init__(self, pool: PostgresPool, url: SecretStr, wakeups: Wakeups) -> None:
        self._pool = pool
        self._wakeups = wakeups
        self._listener = NotificationListener(url, CHANNEL, self._take_in, self._catch_up)
        self._untold: deque[str] = deque(maxlen=MOST_HEARD)
        self._has_untold = anyio.Event()
        self._is_away = False
        """Whether it was said already that the database cannot be told."""
        self._heard_at = anyio.current_time()
        """Since when something may have been missed, once the connection is lost."""
        self._forget_at = self._heard_at + FORGET_SECONDS

    @property
    def is_listening(self) -> bool:
        """Whether what other servers are told is told here, too."""
        return self._listener.is_connected

    def hear(self, key: str) -> bool:
        """Wake who waits for a picture here, at once, and then elsewhere, if it is the first."""
        is_first = self._wakeups.hear(key)
        if is_first:
            self._untold.append(key)
            self._has_untold.set()
        return is_first

    async def run(self) -> None:
        """Tell and be told until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._listener.run)
            group.start_soon(self._tell)

    async def _tell(self) -> None:
        while True:
            await self._has_untold.wait()
            self._has_untold = anyio.Event()
            while self._untold:
                await self._tell_some()

    async def _tell_some(self) -> None:
        keys = [self._untold.popleft() for _ in range(min(MOST_AT_ONCE, len(self._untold)))]
        try:
            # A notification takes a lock until its transaction is flushed: this one is not.
            async with self._pool.transaction(durable=False) as connection:
                await connection.execute(_TELL, {"keys": keys, "channel": CHANNEL})
                if anyio.current_time() >= self._forget_at:
                    self._forget_at = anyio.current_time() + FORGET_SECONDS
                    await connection.execute(_FORGET, {"hours": KEPT_HOURS})
        except (*DATABASE_FAILURES, CommitLost) as error:
            if not self._is_away:
                logger.warning("callbacks are not told to other servers: %s", reason_of(error))
            self._is_away = True
            self._untold.extendleft(reversed(keys))
            await anyio.sleep(TELL_AGAIN_SECONDS)
        else:
            self._is_away = False

    def _take_in(self, payload: str) -> None:
        self._heard_at = anyio.current_time()
        for key in payload.split():
            self._wakeups.hear(key)

    async def _catch_up(self) -> None:
        """Look up what came while this server did not listen."""
        seconds = anyio.current_time() - self._heard_at + MARGIN_SECONDS
        parameters = {"seconds": seconds, "limit": MOST_HEARD}
        # What was read is read, however the transaction ended.
        with suppress(CommitLost):
            async with self._pool.transaction(durable=False) as connection:
                for row in await (await connection.execute(_MISSED, parameters)).fetchall():
                    self._wakeups.hear(row["key"])
        self._heard_at = anyio.current_time()
