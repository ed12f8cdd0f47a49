"""Where links to kept pictures lead: to an address of the bucket that is new each time."""

from typing import Final

import anyio.to_thread
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from runapi_mcp.base.settings import HttpCaps
from runapi_mcp.images.bucket import BucketUnusable
from runapi_mcp.images.kept_pictures import KeptPictures
from runapi_mcp.transports.callers import caller_of
from runapi_mcp.transports.shares import NoneLeft, Pace

_HEADERS: Final = {"Cache-Control": "private, max-age=60", "Referrer-Policy": "no-referrer"}
"""An address works for longer than it may be remembered."""


class PictureEndpoint:
    """Stands before the app, whose checks are for clients: a page anywhere may show a picture.

    Who has a link may see what it leads to. What we did not sign is not there.
    """

    def __init__(self, app: ASGIApp, kept: KeptPictures, caps: HttpCaps) -> None:
        self._app = app
        self._kept = kept
        self._pace = Pace(caps.requests_per_second)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._kept.links.is_one(scope["path"]):
            await self._app(scope, receive, send)
            return
        try:
            await self._pace.wait_turn(caller_of(scope).address)
            answer = await self._answer(scope)
        except NoneLeft:
            answer = PlainTextResponse("Too many requests.\n", 429, headers={"Retry-After": "5"})
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        folder = self._kept.links.folder_at(scope["path"])
        if folder is None:
            return PlainTextResponse("There is no such picture.\n", 404)
        if scope["method"] != "GET":
            # What the bucket signs is for one method.
            return PlainTextResponse("GET it.\n", 405, headers={"Allow": "GET"})
        try:
            address = await anyio.to_thread.run_sync(self._address_in, folder)
        except BucketUnusable as failure:
            return PlainTextResponse(f"{failure.happened}\n", 503)
        if address is None:
            return PlainTextResponse("The picture is not there any more.\n", 410)
        return RedirectResponse(address, 302, headers=_HEADERS)

    def _address_in(self, folder: str) -> str | None:
        key = self._kept.key_in(folder)
        return None if key is None else self._kept.bucket.address(key)
