"""The pictures of RunAPI's tasks: drawn when first asked for, from the prompt and the sources."""

from functools import partial
from typing import Final
from urllib.parse import urlsplit

from anyio.to_thread import run_sync

from runapi_mcp.sandbox.accounts import Accounts
from runapi_mcp.sandbox.file_routes import FileRoutes
from runapi_mcp.sandbox.picture_cache import PictureCache
from runapi_mcp.sandbox.task_store import StoredTask

GONE: Final = "Not here any more"


class TaskPictures:
    def __init__(self, accounts: Accounts[StoredTask], files: FileRoutes) -> None:
        self._accounts = accounts
        self._files = files
        self._cache = PictureCache()

    async def png(self, task_id: str) -> bytes | None:
        """The picture of a completed task."""
        task = self._accounts.task(task_id)
        if task is None or task.status(self._accounts.clock()) != "completed":
            return None
        return await self._cache.get(task_id, partial(self._draw, task))

    async def _draw(self, task: StoredTask) -> bytes:
        urls = task.params.model_dump().get("source_image_urls", [])
        sources = tuple([await self._source(url, task) for url in urls])
        # Decoding and drawing take long: the event loop goes on answering meanwhile.
        return await run_sync(_render, task, sources)

    async def _source(self, url: str, task: StoredTask) -> bytes | str:
        """A source's bytes when the sandbox holds them, else why not: nothing is fetched."""
        parts = urlsplit(url)
        if parts.netloc != urlsplit(task.base_url).netloc:
            return f"Not fetched: {parts.hostname or url}"
        folder, _, name = parts.path.strip("/").partition("/")
        if folder == "images":
            return await self.png(name.removesuffix(".png")) or GONE
        file = self._files.find(name)
        return (file.content if file else None) or GONE


def _render(task: StoredTask, sources: tuple[bytes | str, ...]) -> bytes:
    # Imported here: Pillow is for pictures, and most of the sandbox's answers are not.
    from runapi_mcp.sandbox.pictures import Scene, draw, size, size_like

    fields = task.params.model_dump()
    resolution, ratio = task.params.resolution or "1k", fields.get("aspect_ratio", "1:1")
    first = next((source for source in sources if isinstance(source, bytes)), GONE)
    width, height = size_like(first, resolution) if ratio == "auto" else size(ratio, resolution)
    return draw(Scene(task.script.prompt, task.variant.model, task.id, width, height, sources))
