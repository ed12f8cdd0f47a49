"""What the groups of routes share: their table, misbehaving on request, early endings."""

from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator
from typing import Protocol

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


class Misbehaviour(Protocol):
    """Fails or delays the request at hand, if that was asked for."""

    async def __call__(
        self, where: Where, scripted: Iterable[Fault] = (), identity: Hashable = None
    ) -> None:
        """
        Raises:
            Refusal: with the failing answer.
        """
        ...


def misbehaving(faults: Faults) -> Misbehaviour:

    async def misbehave(
        where: Where, scripted: Iterable[Fault] = (), identity: Hashable = None
    ) -> None:
        fault = faults.next(where, scripted, identity)
        if fault is None:
            return
        if fault.kind == "slow":
            await anyio.sleep(DEFAULT_SLOW_SECONDS if fault.seconds is None else fault.seconds)
        else:
            raise Refusal(failing(fault))

    return misbehave


def signing(handler: Handler) -> Handler:
    """The handler with early endings turned into their answers, and every answer signed."""

    async def respond(request: Request) -> Response:
        response = await _respond(handler, request)
        return sign(response, request.headers.get("x-client-request-id"))

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
