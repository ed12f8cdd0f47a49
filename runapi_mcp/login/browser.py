"""What a browser asks on a loopback address: one bounded request, one answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import anyio
from anyio.abc import SocketStream

from runapi_mcp.login.pages import Page

LARGEST_HEAD_BYTES: Final = 16_384
READ_SECONDS: Final = 5.0
WRITE_SECONDS: Final = 5.0

_HEADERS: Final = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Connection": "close",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The head of a request; nothing here needs a body."""

    method: str
    path: str
    query: str
    host: str
    origin: str


async def read(stream: SocketStream) -> Asked | None:
    """The request; None for one that is none, is too large or takes too long."""
    head = b""
    with anyio.move_on_after(READ_SECONDS):
        while b"\r\n\r\n" not in head and len(head) <= LARGEST_HEAD_BYTES:
            head += await stream.receive(4096)
        return _parsed(head)
    return None


async def write(stream: SocketStream, page: Page, origin: str) -> None:
    """The answer; who does not take it in time does not get it.

    RunAPI's own page may fetch rather than redirect: `origin` is whose scripts may read it.
    """
    content = page.html().encode()
    allowed = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    lines = [f"HTTP/1.1 {page.status.value} {page.status.phrase}"]
    headers = {**_HEADERS, **allowed, **page.headers, "Content-Length": str(len(content))}
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with anyio.move_on_after(WRITE_SECONDS):
        await stream.send("\r\n".join([*lines, "", ""]).encode() + content)
        await stream.send_eof()


def _parsed(head: bytes) -> Asked | None:
    text, ended, _ = head.decode("latin-1").partition("\r\n\r\n")
    first, *rest = text.split("\r\n")
    words = first.split(" ")
    if not ended or len(words) != 3 or not words[2].startswith("HTTP/1."):
        return None
    path, _, query = words[1].partition("?")
    headers = [
        (name.lower(), value.strip()) for name, _, value in (it.partition(":") for it in rest)
    ]
    hosts = [value for name, value in headers if name == "host"]
    origins = [value for name, value in headers if name == "origin"]
    # Of two hosts none is believed.
    return Asked(words[0], path, query, hosts[0] if len(hosts) == 1 else "", "".join(origins[:1]))
