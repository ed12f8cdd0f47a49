"""The page, its list, its thumbnails, and two things that it has the desktop do."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from secrets import token_urlsafe
from typing import Final

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from runapi_mcp.base.catalog.task_ids import canonical
from runapi_mcp.base.errors import Failure
from runapi_mcp.images.decoding import Decoders
from runapi_mcp.orders.ledger import Entry, Ledger
from runapi_mcp.pictures_page.rows import rows_of
from runapi_mcp.pictures_page.saved_files import NotHere, require_there, require_unchanged
from runapi_mcp.pictures_page.thumbnails import Thumbnails

ROWS_AT_ONCE: Final = 48
LONGEST_SEARCH: Final = 200
_NONCE: Final = "NONCE"
"""What the page has where each answer has a word of its own, by which its policy knows it."""


@dataclass(frozen=True, slots=True)
class Desktop:
    """What shows a file to the person at this machine. Both block, and raise a Failure."""

    open_file: Callable[[Path], None]
    show_in_folder: Callable[[Path], None]


class PictureRoutes:
    """Of a client nothing is taken but words, task ids and numbers. Nothing is written."""

    def __init__(self, ledger: Ledger, decoders: Decoders, desktop: Desktop) -> None:
        self._ledger = ledger
        self._thumbnails = Thumbnails(decoders)
        self._desktop = desktop

    def app(self, place: str) -> Starlette:
        """All of it, below a path."""
        one = "/pictures/{task_id}/{index:int}"
        routes = [
            Route("/", _page),
            Route("/pictures", self._list),
            Route(one, self._thumbnail),
            Route(f"{one}/open", self._open, methods=["POST"]),
            Route(f"{one}/show", self._show, methods=["POST"]),
        ]
        app = Starlette(
            routes=[Mount(place, routes=routes)], exception_handlers={Failure: _say_failure}
        )
        app.router.redirect_slashes = False
        return app

    async def _list(self, request: Request) -> Response:
        words = request.query_params.get("words", "")[:LONGEST_SEARCH].split()
        skip = request.query_params.get("skip", "0")
        if not (skip.isascii() and skip.isdigit() and len(skip) < 10):
            raise HTTPException(HTTPStatus.BAD_REQUEST)
        # One more than is shown tells whether there are more.
        found = await self._ledger.find_pictures(words, int(skip), ROWS_AT_ONCE + 1)
        rows = [asdict(row) for entry in found[:ROWS_AT_ONCE] for row in rows_of(entry)]
        following = int(skip) + ROWS_AT_ONCE if len(found) > ROWS_AT_ONCE else None
        return JSONResponse({"pictures": rows, "next": following})

    async def _thumbnail(self, request: Request) -> Response:
        thumbnail = await self._thumbnails.thumbnail(*await self._asked(request))
        return Response(thumbnail.content, media_type=thumbnail.media_type)

    async def _open(self, request: Request) -> Response:
        path = await anyio.to_thread.run_sync(require_unchanged, *await self._asked(request))
        await anyio.to_thread.run_sync(self._desktop.open_file, path)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _show(self, request: Request) -> Response:
        path = await anyio.to_thread.run_sync(require_there, *await self._asked(request))
        await anyio.to_thread.run_sync(self._desktop.show_in_folder, path)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _asked(self, request: Request) -> tuple[Entry, int]:
        """The picture that is meant, by the number of its image; as the ledger has it now."""
        task_id = canonical(request.path_params["task_id"])
        entry = await self._ledger.by_task(None, task_id) if task_id else None
        if entry is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return entry, request.path_params["index"]


async def _page(_: Request) -> Response:
    nonce = token_urlsafe(16)
    text = files(__package__ or "").joinpath("page.html").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return HTMLResponse(text.replace(_NONCE, nonce), headers={"Content-Security-Policy": policy})


async def _say_failure(_: Request, failure: Exception) -> Response:
    is_gone = isinstance(failure, NotHere)
    status = HTTPStatus.NOT_FOUND if is_gone else HTTPStatus.CONFLICT
    return PlainTextResponse(str(failure), status)
