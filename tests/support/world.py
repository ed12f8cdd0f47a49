"""The world of a test: our server, the sandbox behind it, and a client in front, in one process."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    aclosing,
    asynccontextmanager,
    nullcontext,
)
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

import anyio
import httpx
from mcp import Client
from mcp_types import CallToolResult, TextContent

from runapi_mcp.base.catalog import VARIANTS, Variant
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key
from runapi_mcp.images.folders import Folders
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.orders.ledger import Ledger
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.orders.shared_state import SharedState
from runapi_mcp.providers.port import Upstream
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.sandbox.faults import TornConnection
from runapi_mcp.server import Keys, Service, create_server
from tests.support.decoding import WORKERS
from tests.support.sellers import RUNAPI_SELLER, Seller

BASE_URL = "http://127.0.0.1"
KEY = "sandbox-key-of-the-tests"
NOON = datetime(2026, 11, 20, 12).astimezone().timestamp()
NO_PICTURES: Final[Mapping[str, Any]] = {"saves": False, "previews": False}
"""What a server is whose pictures nobody looks at."""
ERAS = ("legacy", "auto")
"""How a client connects: with the handshake of 2025, or as of 2026-07-28."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request that reached the wire."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


Pass = Callable[[], Awaitable[httpx.Response]]
"""Lets a request through, once more each time."""


class Wire(httpx.AsyncBaseTransport):
    """The network between our server and the sandbox; remembers what went over it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._asgi = httpx.ASGITransport(app=sandbox.app)
        self.sent: list[Sent] = []
        self.down = False
        self.down_after_posts: int | None = None
        self.meddle: Callable[[Sent, Pass], Awaitable[httpx.Response]] = _let_pass
        """What becomes of each request, where a test says so."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        path, query = request.url.path, request.url.query.decode()
        sent = Sent(request.method, path, query, dict(request.headers), body)
        self.sent.append(sent)
        if self.down or len(self.paths("POST")) > (self.down_after_posts or 1_000):
            raise httpx.ConnectError("connection refused")
        try:
            return await self.meddle(sent, lambda: self._asgi.handle_async_request(request))
        except TornConnection as torn:
            raise httpx.RemoteProtocolError("peer closed the connection") from torn

    def paths(self, method: str = "GET") -> list[str]:
        return [sent.path for sent in self.sent if sent.method == method]

    @property
    def keys(self) -> list[str]:
        """The idempotency keys that were sent, each once."""
        keys = (sent.headers.get("idempotency-key") for sent in self.sent)
        return list(dict.fromkeys(filter(None, keys)))


async def _let_pass(_: Sent, go_on: Pass) -> httpx.Response:
    return await go_on()


@dataclass(frozen=True, slots=True)
class World:
    """What a test acts on and looks at."""

    client: Client
    sandbox: Sandbox
    wire: Wire
    seller: Seller = RUNAPI_SELLER
    progress: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    async def call(self, tool: str, arguments: Mapping[str, Any] | None = None) -> CallToolResult:
        """Call a tool as a host does, with progress."""

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            assert total is None  # nobody knows how long a picture takes
            self.progress.append((progress, message or ""))

        given = None if arguments is None else dict(arguments)
        return await self.client.call_tool(tool, given, progress_callback=on_progress)

    @property
    def spent_cents(self) -> int:
        """What the sandbox has charged the tests' account so far, at the seller of this world."""
        return self.seller.account(self.sandbox).spent_cents

    @property
    def task_count(self) -> int:
        return len(self.task_ids)

    @property
    def task_ids(self) -> list[str]:
        """The tasks of the tests' account, in the order in which they were made."""
        return list(self.seller.account(self.sandbox).tasks)


@asynccontextmanager
async def world(
    *,
    era: str = "auto",
    key: str | None = KEY,
    draw_seconds: float | None = None,
    sandbox: Sandbox | None = None,
    known: Sequence[Variant] = VARIANTS,
    seller: Seller = RUNAPI_SELLER,
    client: Mapping[str, Any] | None = None,
    **server: Any,  # Any: as `served` has them
) -> AsyncGenerator[World]:
    """A world of its own, or a second server on another world's sandbox or ledger.

    `known` is all that RunAPI sells and the server knows; with another `seller` it has that one's
    key too, and knows what that one sells. `client` is what the client is besides
    its era, `server` what the server is besides its key.
    """
    sandbox = sandbox or Sandbox(draw_seconds, known)
    wire = Wire(sandbox)
    keys = Keys(Key(SecretStr(key) if key else None))
    seen = {"mode": era, **(client or {})}
    upstream = RunAPI(BASE_URL, wire)
    known = known if seller is RUNAPI_SELLER else seller.variants
    server = {"variants": known, "known": known, "others": seller.others(wire, BASE_URL), **server}
    async with served(upstream, keys, client=seen, images=wire, **server) as connected:
        yield World(connected, sandbox, wire, seller)


@asynccontextmanager
async def served(
    upstream: Upstream,
    keys: Keys,
    ledger: Ledger | None = None,
    *,
    client: Mapping[str, Any] | None = None,
    variants: Sequence[Variant] = VARIANTS,
    **service: Any,  # Any: as `service_on` has them
) -> AsyncGenerator[Client]:
    """A client of a server on this RunAPI, with a ledger in memory where it is given none."""
    book = nullcontext(ledger) if ledger else aclosing(SqliteLedger.in_memory(clock))
    async with aclosing(upstream), book as opened:
        answering = service_on(upstream, keys, opened, **service)
        server = create_server(answering, variants)
        async with (
            answering.shared.background.running(),
            Client(server, **(client or {})) as connected,
        ):
            yield connected


def service_on(
    upstream: Upstream,
    keys: Keys,
    ledger: Ledger,
    *,
    limits: Limits | None = None,
    keeps_prompts: bool = True,
    known: Sequence[Variant] = VARIANTS,
    folders: Folders | None = None,
    images: httpx.AsyncBaseTransport | None = None,
    **more: Any,  # Any: as `Service` has them, and `shares`, below
) -> Service:
    """What a server answers with; `images` is the way to them.

    Without its `folders`, pictures are neither fetched nor saved. `shares` among the rest is told
    what all of its callers share.
    """
    shared = SharedState(ledger, limits or Limits(), keeps_prompts, known)
    more.pop("shares", bool)(shared)
    picture_store = PictureStore(
        upstream.base_url, folders or Folders(), images, more.pop("workers", WORKERS)
    )
    pictures = NO_PICTURES if folders is None else {}
    return Service(upstream, shared, keys, picture_store, **{**pictures, **more})


def clock() -> float:
    """Seconds since the epoch in virtual time, which begins at a noon."""
    return NOON + anyio.current_time()


def said(result: CallToolResult) -> str:
    """The text of a result."""
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def facts(result: CallToolResult) -> dict[str, Any]:
    """The structured form of a result."""
    assert result.structured_content is not None
    return cast("dict[str, Any]", result.structured_content)


async def public_name(host: str, port: int) -> Sequence[str]:
    """A resolver for whom every name is one of the public internet."""
    return ["93.184.215.14"]


Answer = Callable[[httpx.Request], httpx.Response]
"""A RunAPI that a test makes up."""
MADE_UP_KEY = Key(SecretStr("sk-0123/456789"))


async def call_answered(answer: Answer, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:
    """A tool's result when RunAPI answers so."""
    async with client_of(answer) as client:
        return await client.call_tool(tool, dict(arguments))


def client_of(
    answer: Answer | Callable[[httpx.Request], Coroutine[Any, Any, httpx.Response]],
    limits: Limits | None = None,
    base_url: str = "https://runapi.ai",
    **server: Any,  # Any: as `served` has them
) -> AbstractAsyncContextManager[Client]:
    """A client of a server whose RunAPI answers so."""
    upstream = RunAPI(base_url, httpx.MockTransport(answer), public_name)
    return served(upstream, Keys(MADE_UP_KEY), limits=limits, **server)
