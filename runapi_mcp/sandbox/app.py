"""The sandbox put together: its state, its routes, its failures; and on a port of this machine."""

import logging
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
from starlette.requests import ClientDisconnect

from runapi_mcp.base.catalog import VARIANTS, Variant
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.sockets import listen
from runapi_mcp.base.web_server import WebServer
from runapi_mcp.sandbox.accounts import Accounts
from runapi_mcp.sandbox.faults import Faults, TornConnection
from runapi_mcp.sandbox.file_routes import FileRoutes
from runapi_mcp.sandbox.http_messages import app_of
from runapi_mcp.sandbox.login_routes import LoginRoutes
from runapi_mcp.sandbox.money_routes import MoneyRoutes
from runapi_mcp.sandbox.runapi_messages import KEY_PREFIX, word_as_runapi
from runapi_mcp.sandbox.runflow import RUNFLOW_PREFIX, RunflowSandbox
from runapi_mcp.sandbox.task_pictures import TaskPictures
from runapi_mcp.sandbox.task_routes import TaskRoutes
from runapi_mcp.sandbox.task_store import IdempotencyKeys, StoredTask, TaskMaker

SANDBOX_KEY: Final = f"{KEY_PREFIX}key-without-money"


class Sandbox:
    """RunAPI in one process, as an ASGI app, and Runflow under a prefix of it.

    `draw_seconds` is how long a picture takes; None is as long as life does. The clock is the event
    loop's, so that tests can move it. `faults` takes failures for the requests to come.
    """

    def __init__(
        self, draw_seconds: float | None = None, variants: Sequence[Variant] = VARIANTS
    ) -> None:
        self.faults = Faults()
        self.accounts: Accounts[StoredTask] = Accounts(anyio.current_time)
        self.idempotency_keys = IdempotencyKeys()
        self.runflow = RunflowSandbox(anyio.current_time, draw_seconds)
        files = FileRoutes(anyio.current_time, self.faults)
        tasks = TaskRoutes(
            variants,
            self.accounts,
            self.idempotency_keys,
            TaskMaker(draw_seconds),
            TaskPictures(self.accounts, files),
            self.faults,
        )
        money = MoneyRoutes(variants, self.accounts, self.faults)
        groups = (tasks, money, files, LoginRoutes(anyio.current_time))
        self.app = app_of(groups, word_as_runapi)
        self.app.mount(RUNFLOW_PREFIX, self.runflow.app)


@dataclass(frozen=True, slots=True)
class Running:
    base_url: str
    key: SecretStr


def start_in_thread(draw_seconds: float | None) -> Running:
    """A sandbox beside this program, until the program ends."""
    sock = listen("127.0.0.1", 0)
    thread = threading.Thread(target=serve_forever, args=(sock, draw_seconds), daemon=True)
    # The socket listens already: a request that comes before the thread is ready waits for it.
    thread.start()
    return Running(f"http://127.0.0.1:{sock.getsockname()[1]}", SecretStr(SANDBOX_KEY))


def serve_forever(
    sock: socket.socket, draw_seconds: float | None, on_ready: Callable[[], object] = bool
) -> None:
    """A sandbox, until a signal comes; `on_ready` says that it answers."""
    logging.getLogger("uvicorn.error").addFilter(_is_not_torn)
    WebServer(Sandbox(draw_seconds).app, on_ready=on_ready).run([sock])


def _is_not_torn(record: logging.LogRecord) -> bool:
    """A torn connection is what was asked for or the client's doing, not worth a traceback."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, TornConnection | ClientDisconnect)
