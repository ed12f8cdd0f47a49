"""Uvicorn as this program runs it: without its log and its way of ending on a signal."""

import logging
import socket
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol


def _never(_: int) -> bool:
    return False


class WebServer(uvicorn.Server):
    """Ends on a signal as one ends a program: quietly, and with status 0.

    `on_ready` is called once it answers, `on_end` when it ends. `postpones` is asked of each signal
    whether it is to go on for now. `protocol` makes a connection; `trusted_proxies` are believed
    whom a request comes from.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        on_ready: Callable[[], object] = bool,
        on_end: Callable[[], object] = bool,
        postpones: Callable[[int], bool] = _never,
        protocol: Callable[..., H11Protocol] = H11Protocol,
        trusted_proxies: Sequence[str] = (),
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                # Any: called as a class is, and nothing else is done with it.
                http=cast("Any", protocol),
                ws="none",
                log_config=None,
                # It warns of each request that is none, which would let anybody fill a log.
                log_level="error",
                access_log=False,
                # Else it believes whatever this machine's other programs say.
                proxy_headers=bool(trusted_proxies),
                forwarded_allow_ips=[*trusted_proxies],
                timeout_graceful_shutdown=0,
            )
        )
        self._on_ready = on_ready
        self._on_end = on_end
        self._postpones = postpones

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own, which at the end would send itself the signal again.
        if not self._postpones(sig):
            self.end()

    @property
    def is_busy(self) -> bool:
        """Whether a request is in hand."""
        return bool(self.server_state.tasks)

    def stop_listening(self) -> None:
        """Take no more connections, and no more requests on those there are."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()

    def end(self) -> None:
        self._on_end()
        # What is cut off from here on is cut off on purpose, and no error.
        logging.getLogger("uvicorn.error").disabled = True
        self.should_exit = True
