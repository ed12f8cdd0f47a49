"""The sandbox on a port of this machine, in a thread or in the foreground."""

import logging
import socket
import threading
from dataclasses import dataclass
from types import FrameType

import uvicorn
from pydantic import SecretStr
from starlette.requests import ClientDisconnect

from runapi_mcp.base.sockets import listen
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.sandbox.faults import TornConnection
from runapi_mcp.sandbox.requests import KEY_PREFIX

SANDBOX_KEY = f"{KEY_PREFIX}key-without-money"


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox that answers."""

    base_url: str
    key: SecretStr
    sandbox: Sandbox


def start_in_thread(draw_seconds: float | None, port: int = 0) -> Running:
    """A sandbox beside this program, until the program ends."""
    sock = listen("127.0.0.1", port)
    sandbox = Sandbox(draw_seconds)
    thread = threading.Thread(target=_server(sandbox).run, args=([sock],), daemon=True)
    # The socket listens already: a request that comes before the thread is ready waits for it.
    thread.start()
    return Running(f"http://127.0.0.1:{sock.getsockname()[1]}", SecretStr(SANDBOX_KEY), sandbox)


def serve_forever(sock: socket.socket, draw_seconds: float | None) -> None:
    """A sandbox in the foreground, until a signal comes."""
    _server(Sandbox(draw_seconds)).run([sock])


class _Server(uvicorn.Server):
    """Uvicorn that ends on a signal as one ends a program: quietly, and with status 0."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own, which at the end would send itself the signal again.
        logging.getLogger("uvicorn.error").disabled = True
        self.should_exit = True


def _server(sandbox: Sandbox) -> uvicorn.Server:
    logging.getLogger("uvicorn.error").addFilter(_is_not_torn)
    return _Server(
        uvicorn.Config(sandbox.app, log_config=None, access_log=False, timeout_graceful_shutdown=0)
    )


def _is_not_torn(record: logging.LogRecord) -> bool:
    """A torn connection is what was asked for or the client's doing, not worth a traceback."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, TornConnection | ClientDisconnect)
