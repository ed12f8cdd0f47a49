"""The loopback address that a browser comes back to: one right request is taken, once."""

from __future__ import annotations

import hmac
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs

import anyio
from anyio.abc import Listener, SocketAttribute, SocketStream

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.login import pages
from runapi_mcp.login.attempt import Attempt
from runapi_mcp.login.browser import BrowserRequest, receive_request, write_page
from runapi_mcp.login.pages import Page

ADDRESS: Final = "127.0.0.1"
MOST_OPEN: Final = 32
"""So many connections are read at once; then the oldest goes, as it says nothing."""
MOST_FIELDS: Final = 16
LONGEST_CODE: Final = 4096
_SHOW_SECONDS: Final = 2.0
_RECOVERY_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class LoginCallback:
    """What RunAPI sent the browser back with: a code, or why there is none."""

    code: str = field(repr=False)
    error: str = ""
    description: str = ""


class CallbackListener:
    """Waits for the browser. Whatever else knocks is answered and changes nothing."""

    def __init__(
        self, listener: Listener[SocketStream], port: int, attempt: Attempt, origin: str
    ) -> None:
        self.port = port
        self._listener = listener
        self.attempt = attempt
        self._origin = origin
        self._callback: LoginCallback | None = None
        self._came, self._ended, self._shown = anyio.Event(), anyio.Event(), anyio.Event()
        self._last_page = pages.DONE_ALREADY
        self._reading: list[anyio.CancelScope] = []

    async def serve(self) -> None:
        """Answer until cancelled."""
        async with anyio.create_task_group() as group:
            while True:
                with suppress(OSError):
                    await self._listener.serve(self._handle, group)
                # Out of descriptors, or gone before it was taken: others may come.
                await anyio.sleep(_RECOVERY_SECONDS)

    async def wait_for_callback(self) -> LoginCallback:
        while self._callback is None:
            await self._came.wait()
        return self._callback

    async def show_end(self, page: Page) -> None:
        """Show the browser that waits how it ended; nothing, when none waits."""
        self._last_page = page
        self._ended.set()
        if self._callback is not None:
            with anyio.move_on_after(_SHOW_SECONDS):
                await self._shown.wait()

    async def _handle(self, stream: SocketStream) -> None:
        gone = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream)
        async with stream:
            with suppress(*gone, OSError):
                request = await self._read(stream)
                if request is not None:
                    await self._answer(stream, request)

    async def _read(self, stream: SocketStream) -> BrowserRequest | None:
        with anyio.CancelScope() as scope:
            self._reading.append(scope)
            if len(self._reading) > MOST_OPEN:
                self._reading[0].cancel()
            try:
                return await receive_request(stream)
            finally:
                self._reading.remove(scope)
        return None

    async def _answer(self, stream: SocketStream, request: BrowserRequest) -> None:
        page = self._refusal(request) or self._take(request)
        if page is not None:
            await write_page(stream, page, self._origin)
            return
        await self._ended.wait()
        try:
            await write_page(stream, self._last_page, self._origin)
        finally:
            self._shown.set()

    def _refusal(self, request: BrowserRequest) -> Page | None:
        """The page for what cannot be the request that is waited for; None for what may be."""
        if request.host != f"{ADDRESS}:{self.port}":
            return pages.OTHER_HOST
        if request.path != "/callback":
            return pages.NOTHING_HERE
        if request.method == "OPTIONS" and request.origin == self._origin:
            return pages.PREFLIGHT
        if request.method != "GET":
            return pages.NOTHING_HERE
        return None if self._callback is None else pages.DONE_ALREADY

    def _take(self, request: BrowserRequest) -> Page | None:
        """Nothing, when that was it: from here on all others come too late."""
        self._callback = _parse_callback(request.query, self.attempt.state)
        if self._callback is None:
            return pages.NOT_OURS
        self._came.set()
        return None


@asynccontextmanager
async def open_listener(attempt: Attempt, origin: str) -> AsyncGenerator[CallbackListener]:
    """A listener on a free port, closed at the end.

    Raises:
        NotConfigured: this machine has no such address to listen on.
    """
    try:
        (listener,) = (await anyio.create_tcp_listener(local_host=ADDRESS, local_port=0)).listeners
    except OSError as error:
        raise NotConfigured(
            f"Nothing can listen on {ADDRESS} here: {error.strerror or error}.",
            "Create a key in the browser and set it as RUNAPI_API_KEY.",
        ) from error
    async with listener:
        port = int(listener.extra(SocketAttribute.local_port))  # noqa: S610 - no Django here
        yield CallbackListener(listener, port, attempt, origin)


def _parse_callback(query: str, state: str) -> LoginCallback | None:
    """What the query says; None when it is not RunAPI's answer to this very attempt."""
    try:
        fields = parse_qs(query, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return None
    # Of two values none is believed.
    given = {name: values[0] for name, values in fields.items() if len(values) == 1}
    if not hmac.compare_digest(given.get("state", "").encode(), state.encode()):
        return None
    callback = LoginCallback(
        code=given.get("code", ""),
        error=given.get("error", ""),
        description=given.get("error_description", ""),
    )
    has_code = 0 < len(callback.code) <= LONGEST_CODE
    return callback if bool(callback.error) != has_code else None
