"""The sandbox on a port of this machine, in a thread or in the foreground."""

import logging
import socket
import threading
from dataclasses import dataclass

from pydantic import SecretStr
from starlette.requests import ClientDisconnect

from runapi_mcp.base.sockets import listen
from runapi_mcp.base.web_server import WebServer
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.sandbox.faults import TornConnection
from runapi_mcp.sandbox.http_messages import KEY_PREFIX

SANDBOX_KEY = f"{KEY_PREFIX}key-without-money"


@dataclass(frozen=True, slots=True)
class Running:
    base_url: str
    key: SecretStr
    sandbox: Sandbox


def start_in_thread(draw_seconds: float | None) -> Running:
    """A sandbox beside this program, until the program ends."""
    sock = listen("127.0.0.1", 0)
    sandbox = Sandbox(draw_seconds)
    thread = threading.Thread(target=_server(sandbox).run, args=([sock],), daemon=True)
    # The socket listens already: a request that comes before the thread is ready waits for it.
    thread.start()
    return Running(f"http://127.0.0.1:{sock.getsockname()[1]}", SecretStr(SANDBOX_KEY), sandbox)


def serve_forever(sock: socket.socket, draw_seconds: float | None) -> None:
    """A sandbox in the foreground, until a signal comes."""
    _server(Sandbox(draw_seconds)).run([sock])


def _server(sandbox: Sandbox) -> WebServer:
    logging.getLogger("uvicorn.error").addFilter(_is_not_torn)
    return WebServer(sandbox.app)


def _is_not_torn(record: logging.LogRecord) -> bool:
    """A torn connection is what was asked for or the client's doing, not worth a traceback."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, TornConnection | ClientDisconnect)
