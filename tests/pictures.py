"""Pictures of every kind, and a RunAPI that a test makes up together with where it keeps them."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from io import BytesIO
from typing import Any, Final

import anyio
import httpx
from mcp import Client
from mcp_types import CallToolResult, ContentBlock, ImageContent, ResourceLink
from PIL import Image

from runapi_mcp.api import Upstream
from runapi_mcp.catalog import VARIANTS
from runapi_mcp.images.album import Album
from runapi_mcp.images.places import Places
from runapi_mcp.server import Keys, Service, create_server
from runapi_mcp.tasks.desk import Desk
from runapi_mcp.tasks.ledger import Ledger
from tests.world import MADE_UP_KEY, World, clock

DRAW: Final = "flux_2_pro_text_to_image"
TASK_ID: Final = "3f2a607a-954f-4c26-800b-9c33eb9d0255"
ORIGIN: Final = "https://93.184.215.14"
"""Somewhere on the public internet, by its number: nothing is looked up."""
URL: Final = f"{ORIGIN}/fox.png"

Keeper = Callable[[httpx.Request], httpx.Response]
"""Whoever keeps the images."""


def png(mode: str = "RGB", size: tuple[int, int] = (600, 400), **options: Any) -> bytes:
    """A PNG of one colour."""
    return encoded(Image.new(mode, size, 90), "PNG", **options)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


class Dripping(httpx.AsyncByteStream):
    """A body that comes in pieces, each after a pause."""

    def __init__(self, content: bytes, pieces: int, pause_seconds: float) -> None:
        self._content = content
        self._step = len(content) // pieces + 1
        self._pause_seconds = pause_seconds

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._content), self._step):
            await anyio.sleep(self._pause_seconds)
            yield self._content[at : at + self._step]


def dripping(content: bytes, pieces: int, pause_seconds: float) -> httpx.Response:
    """An image that takes its time."""
    length = {"Content-Length": str(len(content))}
    return httpx.Response(200, headers=length, stream=Dripping(content, pieces, pause_seconds))


def drawn(urls: Sequence[str]) -> Mapping[str, object]:
    """RunAPI's word that these images are drawn."""
    images = [{"url": url} for url in urls]
    return {"id": TASK_ID, "status": "completed", "images": images, "usage": {"cost": 0.05}}


@asynccontextmanager
async def made_up(
    keeper: Keeper | bytes, places: Places, urls: Sequence[str] = (URL,), **service: Any
) -> AsyncGenerator[Client]:
    """A client of a server whose RunAPI has drawn these images at once, and keeps them so."""

    def runapi(request: httpx.Request) -> httpx.Response:
        about_task = request.method == "POST" or "price" not in request.url.path
        return httpx.Response(200, json=drawn(urls)) if about_task else httpx.Response(404)

    def kept(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=keeper) if isinstance(keeper, bytes) else keeper(request)

    client: Mapping[str, Any] = service.pop("client", {})
    desk: Desk | None = service.pop("desk", None)
    async with (
        aclosing(Upstream("https://runapi.ai", httpx.MockTransport(runapi))) as upstream,
        aclosing(Ledger.in_memory(clock)) as ledger,
    ):
        album = Album("https://runapi.ai", places, httpx.MockTransport(kept))
        made = Service(upstream, desk or Desk(ledger), Keys(MADE_UP_KEY), album, **service)
        server = create_server(made, VARIANTS)
        async with Client(server, **client) as connected:
            yield connected


def fetches(w: World) -> list[str]:
    """The images that were fetched, in order."""
    return [path for path in w.wire.paths() if path.startswith("/images/")]


async def served(w: World, path: str) -> bytes:
    """What the sandbox serves there."""
    transport = httpx.ASGITransport(app=w.sandbox.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        return (await http.get(path)).content


def previews(result: CallToolResult) -> list[ImageContent]:
    return [block for block in result.content if isinstance(block, ImageContent)]


def links(result: CallToolResult) -> list[ResourceLink]:
    return [block for block in result.content if isinstance(block, ResourceLink)]


def kinds(blocks: Sequence[ContentBlock]) -> list[str]:
    return [block.type for block in blocks]


def matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None
