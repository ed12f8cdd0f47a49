"""The login that a server waits for while it goes on serving: one at a time."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
from anyio.abc import TaskGroup, TaskStatus

from runapi_mcp.base.errors import Failure, NotConfigured
from runapi_mcp.base.settings import Key
from runapi_mcp.base.settings.key_file import KeyFile
from runapi_mcp.providers.port import Upstream

if TYPE_CHECKING:
    from runapi_mcp.login.login_flow import Login

LOGIN_SECONDS: Final = 300.0

logger = logging.getLogger(__name__)


class PendingLogins:
    """Begins a login and waits for it in the background, until it ends or the server does."""

    def __init__(self, upstream: Upstream, find_key: Callable[[], Key], group: TaskGroup) -> None:
        self._upstream = upstream
        self._find_key = find_key
        self._group = group
        self._beginning = anyio.Lock()
        self._waiting: Login | None = None
        self._scope = anyio.CancelScope()
        self._closed = anyio.Event()
        self._closed.set()
        self.last_end: str | None = None
        """How the last login ended that came to nothing."""

    async def begin(self) -> Login:
        """The login that waits: the one begun earlier, or a new one.

        Raises:
            NotConfigured: a key from the environment would be used in its place, or it could not
                be saved.
        """
        async with self._beginning:
            if self._waiting is not None and not self._waiting.over:
                return self._waiting
            await self._closed.wait()
            self._require_effect()
            login: Login = await self._group.start(self._wait)
            return login

    def withdraw(self) -> None:
        if self._waiting is not None:
            self._waiting.over = True
        self._scope.cancel()

    def _require_effect(self) -> None:
        key = self._find_key()
        if key.from_environment:
            raise NotConfigured(
                f"RunAPI did not accept the API key, and it comes from {key.source} in the "
                "environment of this server, which a login does not change.",
                "Correct or remove it in the host's configuration, then restart the server.",
            )

    async def _wait(self, *, task_status: TaskStatus[Login]) -> None:
        # Imported here, because every start would pay for a login that few need.
        from runapi_mcp.login.login_flow import open_login

        try:
            async with open_login(self._upstream, KeyFile.of()) as login:
                with anyio.CancelScope() as self._scope:
                    self._waiting, self._closed = login, anyio.Event()
                    task_status.started(login)
                    self.last_end = await _complete(login)
        finally:
            self._waiting = None
            self._closed.set()


async def _complete(login: Login) -> str | None:
    try:
        await login.complete(LOGIN_SECONDS)
    except Failure as failure:
        return str(failure)
    except Exception:
        logger.exception("the login broke off")
        return "The last login broke off."
    return None


@asynccontextmanager
async def pending_logins(
    upstream: Upstream, find_key: Callable[[], Key]
) -> AsyncGenerator[PendingLogins]:
    """The logins of one server; `find_key` finds the key that it uses now."""
    async with anyio.create_task_group() as group:
        yield PendingLogins(upstream, find_key, group)
        group.cancel_scope.cancel()
