"""What a browser asks on a loopback address: one bounded request, one answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import anyio
import h11
from anyio.abc import SocketStream

from runapi_mcp.base.html_page import content_policy
from runapi_mcp.login.pages import Page

LARGEST_HEAD_BYTES: Final = 16_384
READ_SECONDS: Final = 5.0
WRITE_SECONDS: Final = 5.0

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
        return _parsed(event)
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


def _parsed(request: h11.Request) -> BrowserRequest:
    path, _, query = request.target.decode("latin-1").partition("?")
    headers = {name: value.decode("latin-1") for name, value in reversed(request.headers)}
    return BrowserRequest(
        request.method.decode(), path, query, headers.get(b"host", ""), headers.get(b"origin", "")
    )
