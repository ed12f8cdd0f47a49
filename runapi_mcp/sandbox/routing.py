"""What the groups of routes share: their table, misbehaving on request, early endings."""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator

import anyio
from starlette.requests import Request
from starlette.responses import Response

from runapi_mcp.sandbox.answers import error, failing, invalid, sign
from runapi_mcp.sandbox.body_validation import Invalid
from runapi_mcp.sandbox.faults import Fault, Faults, UnknownDirective, Where
from runapi_mcp.sandbox.requests import Refusal
from runapi_mcp.sandbox.task_store import InsufficientCredits, KeyReused

Handler = Callable[[Request], Awaitable[Response]]
Table = Iterator[tuple[str, str, Handler]]

DEFAULT_SLOW_SECONDS = 5.0


class Misbehaviour:
    """Fails or delays the request at hand, if that was asked for."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    async def __call__(
        self, where: Where, scripted: Iterable[Fault] = (), identity: Hashable = None
    ) -> None:
        """
        Raises:
            Refusal: with the failing answer.
        """
        fault = self._faults.next(where, scripted, identity)
        if fault is None:
            return
        if fault.kind == "slow":
            await anyio.sleep(DEFAULT_SLOW_SECONDS if fault.seconds is None else fault.seconds)
        else:
            raise Refusal(failing(fault))


def signing(handler: Handler) -> Handler:
    """The handler with early endings turned into their answers, and every answer signed."""

    async def respond(request: Request) -> Response:
        return sign(await _respond(handler, request), request)

    return respond


async def _respond(handler: Handler, request: Request) -> Response:
    try:
        return await handler(request)
    except Refusal as refusal:
        return refusal.response
    except Invalid as refusal:
        return invalid(refusal.errors)
    except UnknownDirective as unknown:
        return invalid({"prompt": [str(unknown)]})
    except InsufficientCredits:
        return error(402, "Insufficient credits")
    except KeyReused:
        return error(409, "Idempotency-Key was used with other input")
