"""HTTP as the sandbox speaks it, whosever contract it keeps: requests read, and answers.

How a refusal is worded differs from vendor to vendor; every answer says that it is the sandbox's.
"""

import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from json import dumps, loads
from typing import Final, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runapi_mcp.base.json_values import is_object

FieldErrors = dict[str, list[str]]
Handler = Callable[[Request], Awaitable[Response]]
Table = Iterator[tuple[str, str, Handler]]
"""The method, path and handler of each route of a group."""

LARGEST_BODY: Final = 1_000_000
INVALID: Final = "Validation failed"


class Group(Protocol):
    """Routes that belong together."""

    def table(self) -> Table: ...


class Refusal(Exception):
    """A request that ends early, with what its answer says. `code` is for who gives errors one."""

    def __init__(
        self,
        status: int,
        message: str,
        errors: FieldErrors | None = None,
        headers: Mapping[str, str] | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.errors = errors or {}
        self.headers = headers or {}
        self.code = code


class EarlyAnswer(Exception):
    """A request that ends early, with this very answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


Wording = Callable[[Refusal], Response]
"""How a vendor's contract puts a refusal."""


def invalid(errors: FieldErrors) -> Refusal:
    return Refusal(422, INVALID, errors)


def answer(
    body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse({**body, "sandbox": True}, status, dict(headers or {}))


def app_of(groups: Iterable[Group], wording: Wording) -> Starlette:
    """The groups' routes as an app, whose refusals are worded so, those of unknown routes too."""

    async def no_route(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        refusal = Refusal(error.status_code, error.detail, headers=error.headers, code="NOT_FOUND")
        return _sign(wording(refusal), request)

    routes = [
        Route(path, _answering(handler, wording), methods=[method])
        for group in groups
        for method, path, handler in group.table()
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: no_route})
    # A redirect would be an answer that does not say where it comes from.
    app.router.redirect_slashes = False
    return app


def _answering(handler: Handler, wording: Wording) -> Handler:
    """The handler with early endings turned into their answers, and every answer signed."""

    async def respond(request: Request) -> Response:
        try:
            response = await handler(request)
        except Refusal as refusal:
            response = wording(refusal)
        except EarlyAnswer as early:
            response = early.response
        return _sign(response, request)

    return respond


def _sign(response: Response, request: Request) -> Response:
    """Give the answer the headers that all of them carry."""
    response.headers["X-RunAPI-Sandbox"] = "1"
    response.headers["X-Request-Id"] = f"req_{uuid.uuid4().hex[:16]}"
    if client_request_id := request.headers.get("x-client-request-id"):
        response.headers["X-Client-Request-Id"] = client_request_id
    return response


def bearer_key(request: Request, prefix: str) -> str | None:
    """The key of a request, if it has one that begins as good ones do."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key if scheme == "Bearer" and key.startswith(prefix) else None


async def json_body(request: Request) -> Mapping[str, object]:
    """The JSON object a request carries; refused with 400, 413 or 415 where it carries none."""
    media_type = request.headers.get("content-type", "").partition(";")[0]
    if media_type.strip().lower() != "application/json":
        raise Refusal(415, "Content-Type must be application/json")
    raw = await request.body()
    if len(raw) > LARGEST_BODY:
        raise Refusal(413, "Payload too large")
    body = _decoded(raw)
    if not is_object(body):
        raise Refusal(400, "The body must be a JSON object")
    return body


def origin(request: Request) -> str:
    """Where the client reached this vendor of the sandbox."""
    # Not `base_url`, which is where the outermost app is.
    return str(request.url.replace(path=request.scope["root_path"], query=""))


def _decoded(raw: bytes) -> object:
    """The JSON value; None where there is none, it nests too deep, or holds half a character."""
    try:
        body = loads(raw)
        # Half a surrogate pair is a string to Python, but an answer cannot repeat it.
        dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return body
