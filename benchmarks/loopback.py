"""RunAPI on a port of this machine, in a thread of its own; it remembers what it was asked, when.

Its clock is the machine's monotonic one, so its times can be set against anybody else's here.
"""

import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

import anyio
import uvicorn
from anyio.to_thread import run_sync
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from runapi_mcp.base.sockets import listen
from runapi_mcp.sandbox.app import Sandbox

KEY: Final = "sandbox-benchmark"

_KEPT_SECONDS: Final = 75
"""As nginx keeps connections. With uvicorn's 5 s, a poll every 5 s would meet a closing one."""
_CLOSING_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in."""

    at: float
    method: str
    path: str

    @property
    def is_poll(self) -> bool:
        """Whether it asked how a task goes."""
        ways = "/api/v1/flux_2/", "/api/v1/tasks/"
        return self.method == "GET" and self.path.startswith(ways)


@dataclass(slots=True)
class Loopback:
    """A sandbox that counts."""

    base_url: str
    sandbox: Sandbox
    png: bytes | None = None
    """What every picture is; the sandbox draws them, without it."""
    requests: list[Request] = field(default_factory=list[Request])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests.append(Request(monotonic(), scope["method"], scope["path"]))
        if self.png is not None and scope["path"].startswith("/images/"):
            await Response(self.png, media_type="image/png")(scope, receive, send)
            return
        await self.sandbox.app(scope, receive, send)

    def finished_at(self, task_id: str) -> float:
        """When the task's picture was, or will be, finished."""
        task = self.sandbox.accounts.task(task_id)
        assert task  # noqa: S101 - a server that makes up a task has nothing to be measured
        return task.started + task.seconds


@asynccontextmanager
async def loopback(png: bytes | None = None) -> AsyncGenerator[Loopback]:
    """A RunAPI without limits, whose one account is rich; every picture is the PNG, if there is."""
    with listen("127.0.0.1", 0) as sock:
        runapi = Loopback(f"http://127.0.0.1:{sock.getsockname()[1]}", Sandbox(), png)
        runapi.sandbox.accounts.of(KEY).balance_cents = 10**9
        server = _server(runapi)
        thread = threading.Thread(target=server.run, args=([sock],), daemon=True)
        # The socket listens already: a request that comes before the thread is ready waits for it.
        thread.start()
        try:
            yield runapi
        finally:
            server.should_exit = True
            # Also after a crash: the thread must not find its socket closed under it.
            with anyio.CancelScope(shield=True):
                await run_sync(thread.join, _CLOSING_SECONDS)


def _server(runapi: Loopback) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            runapi,
            loop="asyncio",  # its time is time.monotonic(); another loop's may not be
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_keep_alive=_KEPT_SECONDS,
            timeout_graceful_shutdown=1,
        )
    )
