"""Requests begin a few at a time: with a thousand at once, the loop would not come round."""

from typing import Final

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp.base.places import Places
from runapi_mcp.transports.paths import MCP_PATH

BEGUN_AT_ONCE: Final = 4


class GradualStart:
    """Lets so many requests to the server begin each time that the loop comes round."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._places = Places(BEGUN_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What a balancer or a browser asks for is answered in a moment.
        if scope["type"] == "http" and scope["path"] == MCP_PATH:
            async with self._places.hold():
                await anyio.lowlevel.checkpoint()
        await self._app(scope, receive, send)
