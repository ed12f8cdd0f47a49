"""What the groups of routes share: their table, misbehaving on request, early endings."""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator

import anyio
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from runapi_mcp.sandbox.faults import Fault, Faults, TornConnection, Where
from runapi_mcp.sandbox.http_messages import Refusal, error, invalid, sign

Handler = Callable[[Request], Awaitable[Response]]
Table = Iterator[tuple[str, str, Handler]]

DEFAULT_SLOW_SECONDS = 5.0
_FAULT_MESSAGES = {
    "401": "Invalid API key",
    "402": "Insufficient credits",
    "404": "Not found",
    "409": "Conflict",
    "429": "Too many requests",
    "500": "Internal server error",
    "503": "Service unavailable",
}


class Misbehaviour:
    """Delays the request at hand, or refuses it with a failing answer, if that was asked for."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def __call__(
        self, where: Where, scripted: Iterable[Fault] = (), identity: Hashable = None
    ) -> None:
        fault = self._faults.next(where, scripted, identity)
        if fault is None:
            return
        if fault.kind == "slow":
            await anyio.sleep(DEFAULT_SLOW_SECONDS if fault.seconds is None else fault.seconds)
        else:
            raise Refusal(_failing(fault))


def signing(handler: Handler) -> Handler:
    """The handler with early endings turned into their answers, and every answer signed."""

    async def respond(request: Request) -> Response:
        try:
            response = await handler(request)
        except Refusal as refusal:
            response = refusal.response
        return sign(response, request)

    return respond


def _failing(fault: Fault) -> Response:
    match fault.kind:
        case "torn":
            return _Torn()
        case "html":
            page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
            return HTMLResponse(page, 502)
        case "broken-json":
            return Response('{"id": "3f2', 200, media_type="application/json")
        case "422":
            return invalid({"prompt": ["was refused, as the sandbox was asked"]})
        case kind:
            pause = {} if fault.seconds is None else {"Retry-After": f"{fault.seconds:g}"}
            return error(int(kind), _FAULT_MESSAGES[kind], pause)


class _Torn(Response):
    """An answer that breaks off in the middle."""

    def __init__(self) -> None:
        super().__init__(headers={"Content-Length": "1000"}, media_type="application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        await send({"type": "http.response.body", "body": b'{"id": "', "more_body": True})
        # The server closes the connection of an answer it cannot finish.
        raise TornConnection
