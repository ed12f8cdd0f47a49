"""The sandbox put together: its state, its routes, its failures."""

from collections.abc import Sequence

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runapi_mcp.base.catalog import VARIANTS, Variant
from runapi_mcp.sandbox.faults import Faults
from runapi_mcp.sandbox.file_routes import FileRoutes
from runapi_mcp.sandbox.file_store import FileStore
from runapi_mcp.sandbox.http_messages import error, sign
from runapi_mcp.sandbox.login_routes import LoginRoutes
from runapi_mcp.sandbox.money_routes import MoneyRoutes
from runapi_mcp.sandbox.picture_cache import PictureCache
from runapi_mcp.sandbox.routing import Misbehaviour, signing
from runapi_mcp.sandbox.task_routes import TaskRoutes
from runapi_mcp.sandbox.task_store import Accounts


class Sandbox:
    """RunAPI in one process, as an ASGI app.

    `draw_seconds` is how long a picture takes; None is as long as life does. The clock is the event
    loop's, so that tests can move it. `faults` takes failures for the requests to come.
    """

    def __init__(
        self, draw_seconds: float | None = None, variants: Sequence[Variant] = VARIANTS
    ) -> None:
        self.faults = Faults()
        self.accounts = Accounts(anyio.current_time, draw_seconds)
        files = FileStore(anyio.current_time)
        misbehave = Misbehaviour(self.faults)
        groups = (
            TaskRoutes(variants, self.accounts, PictureCache(self.accounts, files), misbehave),
            MoneyRoutes(variants, self.accounts, misbehave),
            FileRoutes(files, misbehave),
            LoginRoutes(anyio.current_time),
        )
        self.app = Starlette(
            routes=[
                Route(path, signing(handler), methods=[method])
                for group in groups
                for method, path, handler in group.table()
            ],
            exception_handlers={HTTPException: _no_route},
        )
        # A redirect would be an answer that does not say where it comes from.
        self.app.router.redirect_slashes = False


async def _no_route(request: Request, refusal: Exception) -> Response:
    if not isinstance(refusal, HTTPException):
        raise refusal
    return sign(error(refusal.status_code, refusal.detail, refusal.headers), request)
