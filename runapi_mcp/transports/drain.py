"""How a server among several leaves, so that no caller notices: step by step, within its time."""

import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.base.measures import DRAINING
from runapi_mcp.base.web_server import WebServer
from runapi_mcp.transports.process import LEAVE_SECONDS, leave_soon

logger = logging.getLogger(__name__)

NOTICE_SHARE: Final = 0.25
"""Of its time, how much the balancer has to notice that it is not ready any more."""
_CLOSE: Final = (b"connection", b"close")


class LastAnswers:
    """Has each connection closed with its answer once the server is not ready any more.

    A kept one would be cut off at the end, perhaps when a proxy just sends a request over it.
    """

    def __init__(self, app: ASGIApp, is_ready: Callable[[], bool]) -> None:
        self._app = app
        self._is_ready = is_ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_closing(message: Message) -> None:
            if message["type"] == "http.response.start" and not self._is_ready():
                message = {**message, "headers": [*message["headers"], _CLOSE]}
            await send(message)

        await self._app(scope, receive, send_closing)


@dataclass(slots=True, eq=False)
class Drain:
    seconds: float
    """All that leaving may take; 0 for leaving at once, where nobody else would serve."""
    end_waits: Callable[[], object]
    """Has every call answered that only waits, now and from now on."""
    is_paying: Callable[[], bool]
    _begun: anyio.Event = field(default_factory=anyio.Event)

    @property
    def is_ready(self) -> bool:
        """Whether a balancer is to send it new calls."""
        return not self._begun.is_set()

    def postpones(self, sig: int) -> bool:
        """Whether a signal only begins the leaving: the first SIGTERM does."""
        if sig != signal.SIGTERM or not self.seconds or not self.is_ready:
            return False
        self._begun.set()
        DRAINING.set(1)
        return True

    async def lead_out(self, web_server: WebServer) -> None:
        """End the server once it was told to leave and has."""
        DRAINING.set(0)
        await self._begun.wait()
        leave_soon(self.seconds)
        notice_seconds = self.seconds * NOTICE_SHARE
        logger.warning(
            "leaving: each wait is answered with its task id, new calls are served for %g s more",
            notice_seconds,
        )
        self.end_waits()
        await anyio.sleep(notice_seconds)
        web_server.stop_listening()
        with anyio.move_on_after(self.seconds - notice_seconds - LEAVE_SECONDS):
            while web_server.is_busy or self.is_paying():  # noqa: ASYNC110 - uvicorn has no event
                await anyio.sleep(0.05)
        web_server.end()
