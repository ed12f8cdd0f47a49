"""The sandbox in a process of its own, for benchmarks/crowd.py: counts looks, and notes ends.

Prints its address, and serves until its stdin ends. `GET /report` tells what became of its tasks.
Looks are answered before they reach the sandbox's routes, in its own words: a server is to be
measured, and not what a web framework costs.
"""

import json
import sys
import threading
from dataclasses import dataclass, field
from time import monotonic, process_time
from typing import Final

import uvicorn
from callers import SHARED_KEY
from starlette.types import Message, Receive, Scope, Send

from runapi_mcp.base.sockets import listen
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.sandbox.task_store import StoredTask

_LOOKS: Final = "/api/v1/flux_2/", "/api/v1/tasks/"
_KEY: Final = b"Bearer "
_KEPT_SECONDS: Final = 75
_BACKLOG: Final = 4_096


@dataclass(slots=True)
class FarSandbox:
    """A sandbox that counts; its clock is the machine's, which all processes share."""

    sandbox: Sandbox = field(default_factory=Sandbox)
    looks: int = 0
    seen: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    """When a task ended, and when a look was answered that saw it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET" and scope["path"].startswith(_LOOKS):
            await self._answer_look(scope, receive, send)
        elif scope["path"] == "/report":
            await _send_json(send, self._report())
        else:
            # One key pays for a whole crowd.
            self.sandbox.accounts.of(SHARED_KEY).balance_cents = 10**9
            await self.sandbox.app(scope, receive, send)

    async def _answer_look(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.looks += 1
        task = self._task(scope)
        if task is None or task.script.faults:
            await self.sandbox.app(scope, receive, send)
            return
        now = monotonic()
        entries: dict[str, object] = {"id": task.id, "status": task.status(now), "images": []}
        if entries["status"] == "completed":
            self.seen.setdefault(task.id, (task.started + task.seconds, now))
            entries["images"] = [{"url": f"{task.base_url}/images/{task.id}.png"}]
            entries["usage"] = {"cost": task.price_cents / 100}
        await _send_json(send, {**entries, "sandbox": True})

    def _task(self, scope: Scope) -> StoredTask | None:
        sent = dict(scope["headers"]).get(b"authorization", b"").removeprefix(_KEY).decode()
        return self.sandbox.accounts.of(sent).tasks.get(scope["path"].rpartition("/")[2])

    def _report(self) -> object:
        spent_cents = self.sandbox.accounts.spent_cents
        return {
            "looks": self.looks,
            "seen": self.seen,
            "cpu_seconds": process_time(),
            "spent_cents": spent_cents,
        }


async def _send_json(send: Send, body: object) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"x-runapi-sandbox", b"1"),
        (b"x-request-id", b"req_0123456789abcdef"),
    ]
    start: Message = {"type": "http.response.start", "status": 200, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


def main() -> None:
    """Serve until whoever started this closes its stdin."""
    app = FarSandbox()
    with listen("127.0.0.1", 0) as sock:
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                loop="asyncio",  # its time is time.monotonic()
                log_config=None,
                access_log=False,
                lifespan="off",
                backlog=_BACKLOG,
                timeout_keep_alive=_KEPT_SECONDS,
                timeout_graceful_shutdown=0,
            )
        )

        def end_with_stdin() -> None:
            sys.stdin.read()
            server.should_exit = True

        threading.Thread(target=end_with_stdin, daemon=True).start()
        print(f"http://127.0.0.1:{sock.getsockname()[1]}", flush=True)
        server.run([sock])


if __name__ == "__main__":
    main()
