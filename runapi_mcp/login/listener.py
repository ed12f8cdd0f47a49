"""The loopback address that a browser comes back to: one right request is taken, once.

Each connection is one bounded request and one answer.
"""

import hmac
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs

import anyio
import h11
from anyio.abc import Listener, SocketAttribute, SocketStream

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.html_page import content_policy
from runapi_mcp.login import pages
from runapi_mcp.login.pages import Page

LARGEST_HEAD_BYTES: Final = 16_384
READ_SECONDS: Final = 5.0
WRITE_SECONDS: Final = 5.0
ADDRESS: Final = "127.0.0.1"
MOST_OPEN: Final = 32
"""So many connections are read at once; then the oldest goes, as it says nothing."""
MOST_FIELDS: Final = 16
LONGEST_CODE: Final = 4096
_SHOW_SECONDS: Final = 2.0
_RECOVERY_SECONDS: Final = 0.1
_HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": content_policy(),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Connection": "close",
}


@dataclass(frozen=True, slots=True)
class BrowserRequest:
    """The head of a request; nothing here needs a body."""

    method: str = ""
    path: str = ""
    query: str = ""
    host: str = ""
    origin: str = ""


async def receive_request(stream: SocketStream) -> BrowserRequest | None:
    """The request; None for one that is too large or takes too long."""
    connection = h11.Connection(h11.SERVER, LARGEST_HEAD_BYTES)
    with anyio.move_on_after(READ_SECONDS):
        try:
            while not isinstance(event := connection.next_event(), h11.Request):
                connection.receive_data(await stream.receive(4096))
        except h11.RemoteProtocolError as error:
            # Of two hosts, as of noise, nothing is believed: it is for no host of ours.
            return None if error.error_status_hint == 431 else BrowserRequest()
        path, _, query = event.target.decode("latin-1").partition("?")
        headers = {name: value.decode("latin-1") for name, value in reversed(event.headers)}
        host, origin = headers.get(b"host", ""), headers.get(b"origin", "")
        return BrowserRequest(event.method.decode(), path, query, host, origin)
    return None


async def write_page(stream: SocketStream, page: Page, origin: str) -> None:
    """The answer; who does not take it in time does not get it.

    RunAPI's own page may fetch rather than redirect: `origin` is whose scripts may read it.
    """
    content = page.html().encode()
    allowed = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    headers = {**_HEADERS, **allowed, **page.headers, "Content-Length": str(len(content))}
    head = h11.Response(
        status_code=page.status, reason=page.status.phrase, headers=list(headers.items())
    )
    connection = h11.Connection(h11.SERVER)
    with anyio.move_on_after(WRITE_SECONDS):
        for event in (head, h11.Data(content), h11.EndOfMessage()):
            await stream.send(connection.send(event) or b"")
        await stream.send_eof()


@dataclass(frozen=True, slots=True)
class LoginCallback:
    """What RunAPI sent the browser back with: a code, or why there is none."""

    code: str = field(repr=False)
    error: str = ""
    description: str = ""


class CallbackListener:
    """Waits for the browser. Whatever else knocks is answered and changes nothing."""

    def __init__(
        self, listener: Listener[SocketStream], port: int, state: str, origin: str
    ) -> None:
        self.port = port
        self._listener = listener
        self._state = state
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
        self._callback = _parse_callback(request.query, self._state)
        if self._callback is None:
            return pages.NOT_OURS
        self._came.set()
        return None


@asynccontextmanager
async def open_listener(state: str, origin: str) -> AsyncGenerator[CallbackListener]:
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
        yield CallbackListener(listener, port, state, origin)


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
