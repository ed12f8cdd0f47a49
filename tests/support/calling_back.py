"""RunAPI's callbacks, as a test wants them: they reach our server over HTTP, in virtual time."""

import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import httpx
from anyio.abc import TaskGroup
from starlette.types import Receive, Scope, Send

from runapi_mcp.base.json_values import as_object
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import HttpCaps
from runapi_mcp.fleet.callback_addresses import CallbackAddresses
from runapi_mcp.fleet.callback_endpoint import CallbackEndpoint
from runapi_mcp.orders.shared_state import SharedState
from runapi_mcp.orders.wakeups import Wakeups
from tests.support.world import Pass, Sent, World, world

PUBLIC_URL: Final = "https://mcp.example.com"
DELAY_SECONDS: Final = 0.05
SECRET: Final = SecretStr("a-secret-of-the-fleet")

Post = Callable[[str], Coroutine[Any, Any, None]]
CallBack = Callable[[Post, str, float], Coroutine[Any, Any, None]]
"""What RunAPI does about a task, told how to post, to which address, and when the task ends."""


@dataclass(slots=True)
class Callbacks:
    """The wire between our server and RunAPI, and back."""

    addresses: CallbackAddresses
    wakeups: Wakeups
    endpoint: CallbackEndpoint
    call_back: CallBack
    group: TaskGroup
    statuses: list[int] = field(default_factory=list[int])
    urls: list[str] = field(default_factory=list[str])
    ends: dict[str, float] = field(default_factory=dict[str, float])
    """When the pictures are done, by prompt."""

    async def meddle(self, sent: Sent, go_on: Pass) -> httpx.Response:
        """Let a create pass, and call back as its body says."""
        body = as_object(json.loads(sent.body)) if "idempotency-key" in sent.headers else {}
        url, prompt = str(body.get("callback_url", "")), str(body.get("prompt", ""))
        if url.startswith(PUBLIC_URL) and url not in self.urls:
            self.urls.append(url)
            self.ends[prompt] = ends_at = anyio.current_time() + _draw_seconds(prompt)
            self.group.start_soon(self.call_back, self.post, url, ends_at)
        return await go_on()

    async def post(self, url: str, **request: Any) -> None:  # Any: as httpx has them
        transport = httpx.ASGITransport(self.endpoint)
        async with httpx.AsyncClient(transport=transport) as client:
            self.statuses.append((await client.post(url, **request)).status_code)


async def on_time(post: Post, url: str, ends_at: float) -> None:
    await anyio.sleep_until(ends_at + DELAY_SECONDS)
    await post(url)


async def never(post: Post, url: str, ends_at: float) -> None:
    """The callbacks are lost."""


@asynccontextmanager
async def calling_back(
    call_back: CallBack = on_time,
    **server: Any,  # Any: as `world` has them
) -> AsyncGenerator[tuple[World, Callbacks]]:
    """A world whose server has a public address, and a RunAPI that calls back there."""
    addresses = CallbackAddresses(PUBLIC_URL, [SECRET])
    wakeups = Wakeups(addresses.address_of)
    endpoint = CallbackEndpoint(_no_app, addresses, wakeups.hear, HttpCaps())

    def share(shared: SharedState) -> None:
        shared.wakeups = wakeups

    async with anyio.create_task_group() as group:
        async with world(shares=share, **server) as w:
            callbacks = Callbacks(addresses, wakeups, endpoint, call_back, group)
            w.wire.meddle = callbacks.meddle
            yield w, callbacks
        group.cancel_scope.cancel()


def _draw_seconds(prompt: str) -> float:
    """As it says: `[[takes 15s]]`."""
    return float(prompt.partition("[[takes ")[2].partition("s]]")[0])


async def _no_app(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("it is for callbacks alone")
