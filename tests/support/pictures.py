"""Pictures of every kind, a RunAPI that a test makes up to keep them, and where they are saved."""

import json
import re
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any, Final

import anyio
import httpx
from mcp import Client
from mcp_types import CallToolResult, ContentBlock, ImageContent, Implementation, ResourceLink
from PIL import Image

from runapi_mcp.images.folders import Folders
from tests.support.world import BASE_URL, World, client_of, facts

DRAW: Final = "flux_2_pro_text_to_image"
FOX: Final = {"prompt": "A red fox in the snow"}
LATER: Final = {**FOX, "wait_seconds": 0}
TASK_ID: Final = "3f2a607a-954f-4c26-800b-9c33eb9d0255"
ORIGIN: Final = "https://93.184.215.14"
"""Somewhere on the public internet, by its number: nothing is looked up."""
URL: Final = f"{ORIGIN}/fox.png"

LINKED: Final = {"client_info": Implementation(name="gemini-cli-mcp-client", version="1")}
"""A client whose row says that it takes links."""

Keeper = Callable[[httpx.Request], httpx.Response]
"""Whoever keeps the images."""


def png(mode: str = "RGB", size: tuple[int, int] = (600, 400), **options: Any) -> bytes:
    """A PNG of one colour."""
    return encoded(Image.new(mode, size, 90), "PNG", **options)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """The file of an image."""
    out = BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def decoded(content: bytes) -> Image.Image:
    """The image of a file, whole."""
    image = Image.open(BytesIO(content))
    image.load()
    return image


def noise(mode: str, size: tuple[int, int]) -> Image.Image:
    """What compresses worst; the same every time."""
    content = Random(7).randbytes(size[0] * size[1] * len(mode))  # noqa: S311 - it is no secret
    return Image.frombytes(mode, size, content)


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


def made_up(
    keeper: Keeper | bytes,
    folders: Folders,
    urls: Sequence[str] = (URL,),
    **server: Any,  # Any: as `served` has them
) -> AbstractAsyncContextManager[Client]:
    """A client of a server whose RunAPI has drawn these images at once, and keeps them so."""

    def runapi(request: httpx.Request) -> httpx.Response:
        about_task = request.method == "POST" or "price" not in request.url.path
        return httpx.Response(200, json=drawn(urls)) if about_task else httpx.Response(404)

    def kept(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=keeper) if isinstance(keeper, bytes) else keeper(request)

    return client_of(runapi, folders=folders, images=httpx.MockTransport(kept), **server)


def fetches(w: World) -> list[str]:
    """The images that were fetched, in order."""
    return [path for path in w.wire.paths() if path.startswith("/images/")]


async def held(w: World, address: str) -> bytes:
    """What RunAPI holds at an address; nothing, where it holds nothing."""
    runapi = httpx.ASGITransport(w.sandbox.app)
    async with httpx.AsyncClient(transport=runapi, base_url=BASE_URL) as http:
        answer = await http.get(address)
    return answer.content if answer.is_success else b""


def path_of(result: CallToolResult) -> Path:
    """Where the only picture is saved."""
    [path] = facts(result)["image_paths"]
    return Path(path)


def story_of(path: Path | str) -> dict[str, Any]:
    """What the JSON beside a picture says."""
    return json.loads(Path(f"{path}.json").read_text())


def files_in(folder: Path) -> list[str]:
    """All files below the folder, hidden ones too."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


async def again(w: World, result: CallToolResult) -> CallToolResult:
    """The task of a result, asked for once more."""
    return await w.call("get_task", {"task_id": facts(result)["task_id"]})


def previews(result: CallToolResult) -> list[ImageContent]:
    return [block for block in result.content if isinstance(block, ImageContent)]


def links(result: CallToolResult) -> list[ResourceLink]:
    return [block for block in result.content if isinstance(block, ResourceLink)]


def kinds(blocks: Sequence[ContentBlock]) -> list[str]:
    return [block.type for block in blocks]


def matches(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None


@contextmanager
def no_more_than(byte_size: int) -> Generator[None]:
    """As on a full disk, no file grows beyond this size, temporary ones neither."""
    import resource

    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (byte_size, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)
