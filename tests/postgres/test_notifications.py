"""What is said through the database is heard, also after it was away."""

import anyio
import pytest

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.postgres.notifications import NotificationListener
from tests.support.fleet.postgres_server import PostgresServer, running_server

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]
LIMIT_SECONDS = 120


class Ear:
    """What was heard, and how often it listened anew."""

    def __init__(self, url: SecretStr) -> None:
        self.heard: list[str] = []
        self.connections = 0
        self._changed = anyio.Event()
        self.listener = NotificationListener(url, "hints", self._hear, self._connect)

    async def until_heard(self, *words: str) -> None:
        with anyio.fail_after(LIMIT_SECONDS):
            while self.heard != list(words):
                await self._changed.wait()

    async def until_connected(self, times: int) -> None:
        with anyio.fail_after(LIMIT_SECONDS):
            while self.connections < times:
                await self._changed.wait()

    def _hear(self, word: str) -> None:
        self.heard.append(word)
        self._change()

    async def _connect(self) -> None:
        self.connections += 1
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def say(server: PostgresServer, word: str) -> None:
    with server.connect() as connection:
        connection.execute("SELECT pg_notify('hints', %s)", [word])


async def test_what_is_said_is_heard_by_all_and_again_after_the_database_was_away() -> None:
    with running_server() as server:
        ears = [Ear(server.url()), Ear(server.url())]
        async with anyio.create_task_group() as group:
            for ear in ears:
                group.start_soon(ear.listener.run)
                await ear.until_connected(1)
            say(server, "one")
            for ear in ears:
                await ear.until_heard("one")
            server.kill()
            server.start()
            for ear in ears:
                await ear.until_connected(2)
            say(server, "two")
            for ear in ears:
                await ear.until_heard("one", "two")
            group.cancel_scope.cancel()


async def test_it_begins_as_soon_as_there_is_a_database() -> None:
    with running_server() as server:
        server.kill()
        ear = Ear(server.url())
        async with anyio.create_task_group() as group:
            group.start_soon(ear.listener.run)
            await anyio.wait_all_tasks_blocked()
            assert not ear.listener.is_connected
            server.start()
            await ear.until_connected(1)
            assert ear.listener.is_connected
            group.cancel_scope.cancel()
