"""Pictures collected from a keeper that a test makes up."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import anyio
import httpx

from runapi_mcp.base.progress import Report
from runapi_mcp.images.folders import Folders
from runapi_mcp.images.kept_pictures import KeptPictures
from runapi_mcp.images.picture import Picture, PictureRequest, Place, SavedPicture, WantedPicture
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.images.workers import Workers
from tests.support.decoding import WORKERS
from tests.support.pictures import ORIGIN, Keeper

FETCH_SECONDS: Final = 40.0
Waiting = Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]
"""A keeper that takes its time."""


def wanted(
    number: int = 1, saved: SavedPicture | None = None, **given: Any
) -> WantedPicture:  # Any: its fields
    """The picture of a task of its own, drawn just now."""
    usual: Mapping[str, Any] = {
        "url": f"{ORIGIN}/{number}.png",
        "about": {"task_id": f"task-{number}"},
        "age_seconds": 1.0,
    }
    return WantedPicture(number=number, saved=saved, **{**usual, **given})


async def collect(
    keeper: Keeper | Waiting,
    folder: Path | None,
    pictures: Sequence[WantedPicture],
    report: Report | None = None,
    workers: Workers = WORKERS,
    kept: KeptPictures | None = None,
    **given: Any,
) -> Sequence[Picture]:  # Any: the request's fields
    """The pictures of one call, which are a set, as a new server collects them."""
    fields: Mapping[str, Any] = {
        "set_id": "task-1",
        "set_size": len(pictures),
        "preview_px": 64,
        "caller": "me",
        "fetch_by": anyio.current_time() + FETCH_SECONDS,
    }
    place = None if folder is None else Place(folder, given.pop("name", "fox"))
    request = PictureRequest(tuple(pictures), place=place, **{**fields, **given})
    store = PictureStore("https://runapi.ai", Folders(), httpx.MockTransport(keeper), workers, kept)
    return await store.collect(request, report or _ignore)


async def _ignore(message: str) -> None:
    """Nobody watches."""
