"""Where RunAPI calls back over HTTP. Whoever calls learns nothing, and is read nothing."""

from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp.base.measures import CALLBACKS
from runapi_mcp.base.settings import HttpCaps
from runapi_mcp.fleet.callback_addresses import CALLBACKS_PATH, CallbackAddresses
from runapi_mcp.transports.callers import caller_of
from runapi_mcp.transports.shares import NoneLeft, Pace

MOST_BODY_BYTES: Final = 65_536
"""A larger body is not waited for; a smaller one passes unread."""


class CallbackEndpoint:
    """Stands before the app, whose checks are for clients, and takes its callbacks out.

    Whatever comes is answered with 204. What is not signed waits for its turn first.
    """

    def __init__(
        self,
        app: ASGIApp,
        addresses: CallbackAddresses,
        hear: Callable[[str], bool],
        caps: HttpCaps,
    ) -> None:
        """`hear` is told the key that a callback names, and tells whether it is its first."""
        self._app = app
        self._addresses = addresses
        self._hear = hear
        self._forged_pace = Pace(caps.keyless_requests_per_second)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(CALLBACKS_PATH):
            await self._app(scope, receive, send)
            return
        key = self._addresses.key_at(scope["path"])
        if key is None:
            CALLBACKS.add(1, result="forged")
            await self._wait_turn(caller_of(scope).address)
        elif scope["method"] == "POST":
            CALLBACKS.add(1, result="first" if self._hear(key) else "again")
        await Response(status_code=204, headers=_closing(scope))(scope, receive, send)

    async def _wait_turn(self, address: str) -> None:
        try:
            await self._forged_pace.wait_turn(address)
        except NoneLeft:
            """It has waited long enough to be slow."""


def _closing(scope: Scope) -> dict[str, str]:
    """Ends the connection behind a body that is too large, or whose length nobody knows."""
    length = Headers(scope=scope).get("content-length", "")
    is_small = length.isdecimal() and int(length) <= MOST_BODY_BYTES
    return {} if is_small or scope["method"] != "POST" else {"Connection": "close"}
