"""Uvicorn as this program runs it: without its log and its way of ending on a signal."""

import logging
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp


class WebServer(uvicorn.Server):
    """Ends on a signal as one ends a program: quietly, and with status 0.

    `on_ready` is called once it answers, `on_signal` when it is told to end.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        on_ready: Callable[[], object] = bool,
        on_signal: Callable[[], object] = bool,
    ) -> None:
        super().__init__(
            uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=0)
        )
        self._on_ready = on_ready
        self._on_signal = on_signal

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own, which at the end would send itself the signal again.
        self._on_signal()
        # What is cut off from here on is cut off on purpose, and no error.
        logging.getLogger("uvicorn.error").disabled = True
        self.should_exit = True
