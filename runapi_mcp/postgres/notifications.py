"""What other servers say through a database, heard as it comes."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final

import anyio
from psycopg.sql import SQL, Identifier

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.postgres.database_failures import DATABASE_FAILURES, reason_of
from runapi_mcp.postgres.pool import DatabaseSession, connect

logger = logging.getLogger(__name__)

BEAT_SECONDS: Final = 5.0
"""How often a connection on which nothing comes is tried, and how long that may take."""
_SHORTEST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 1.0

Heard = Callable[[str], None]
"""Told the payload of each notification. It must not raise."""
Connected = Callable[[], Awaitable[object]]
"""Told that from now on all is heard; what came before may have been missed."""


class NotificationListener:
    """One connection on one channel, made again whenever it is lost."""

    def __init__(self, url: SecretStr, channel: str, heard: Heard, connected: Connected) -> None:
        self._url = url
        self._listen = SQL("LISTEN {}").format(Identifier(channel))
        self._heard = heard
        self._connected = connected
        self.is_connected = False

    async def run(self) -> None:
        """Listen until cancelled."""
        pause = _SHORTEST_PAUSE_SECONDS
        while True:
            try:
                await self._listen_once()
            except DATABASE_FAILURES as error:
                if self.is_connected:
                    pause = _SHORTEST_PAUSE_SECONDS
                logger.warning("the database cannot be listened to: %s", reason_of(error))
            self.is_connected = False
            await anyio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _listen_once(self) -> None:
        async with await connect(self._url) as connection:
            await connection.execute(self._listen)
            self.is_connected = True
            await self._connected()
            while True:
                await self._hear(connection)
                with anyio.fail_after(BEAT_SECONDS):
                    await connection.execute("SELECT 1")

    async def _hear(self, connection: DatabaseSession) -> None:
        async with aclosing(connection.notifies(timeout=BEAT_SECONDS)) as notifications:
            async for each in notifications:
                self._heard(each.payload)
