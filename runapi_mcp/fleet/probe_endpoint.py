"""What a server tells of itself to whoever has the fleet's secret, and does on the way there.

None of it costs anything, or needs a key of RunAPI's.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Final

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from runapi_mcp import __version__
from runapi_mcp.fleet.probe_pass import PASS_HEADER, ProbePass

PROBE_PATH: Final = "/fleet/probe"
SILENCE_PATH: Final = f"{PROBE_PATH}/silence"
BEATS_PATH: Final = f"{PROBE_PATH}/beats"
STAY_PATH: Final = f"{PROBE_PATH}/stay"
DEPARTURE_PATH: Final = f"{PROBE_PATH}/departure"
BEATS: Final = 4
BEAT_GAP_SECONDS: Final = 0.5
STAY_SECONDS: Final = 30.0
"""How long a visitor who does not leave is waited for."""
LONGEST_SILENCE_SECONDS: Final = 600.0
_MOST_VISITS: Final = 100
BEAT: Final = "data: here"
_EVENT: Final = f"{BEAT}\r\n\r\n".encode()

ServerState = Callable[[], Awaitable[Mapping[str, object]]]
"""What is to be told besides what every server knows of itself."""


class ProbeEndpoint:
    def __init__(self, opener: ProbePass, facts: ServerState) -> None:
        self._opener = opener
        self._facts = facts
        self._name = secrets.token_hex(4)
        self._visits: OrderedDict[str, float | None] = OrderedDict()
        """After how many seconds each visitor left; None for one who has not."""

    def routes(self) -> Sequence[Route]:
        answers = {
            PROBE_PATH: self._tell,
            SILENCE_PATH: self._be_silent,
            BEATS_PATH: self._beat,
            DEPARTURE_PATH: self._tell_departure,
        }
        plain = [Route(path, self._guarded(answer)) for path, answer in answers.items()]
        return [*plain, Route(STAY_PATH, _Stay(self._opener, self._visits))]

    def _guarded(
        self, answer: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer_if_opened(request: Request) -> Response:
            if not self._opener.opens(request.headers.get(PASS_HEADER, "")):
                return _not_found()
            return await answer(request)

        return answer_if_opened

    async def _tell(self, request: Request) -> Response:
        told = {"server": self._name, "version": __version__, "time": time.time()}
        return JSONResponse({**told, **await self._facts()})

    async def _be_silent(self, request: Request) -> Response:
        seconds = _seconds(request.query_params.get("seconds", ""))

        async def events() -> AsyncGenerator[bytes]:
            yield _EVENT
            await anyio.sleep(seconds)
            yield _EVENT

        return _stream(events())

    async def _beat(self, request: Request) -> Response:
        async def events() -> AsyncGenerator[bytes]:
            for _ in range(BEATS):
                yield _EVENT
                await anyio.sleep(BEAT_GAP_SECONDS)

        return _stream(events())

    async def _tell_departure(self, request: Request) -> Response:
        visit = request.query_params.get("visit", "")
        told = {"server": self._name, "came": visit in self._visits}
        return JSONResponse({**told, "left_after": self._visits.get(visit)})


class _Stay:
    """Waits as a call does that nobody answers yet, and notes when its visitor has left."""

    def __init__(self, opener: ProbePass, visits: OrderedDict[str, float | None]) -> None:
        self._opener = opener
        self._visits = visits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if not self._opener.opens(request.headers.get(PASS_HEADER, "")):
            await _not_found()(scope, receive, send)
            return
        visit, came_at = request.query_params.get("visit", "")[:64], anyio.current_time()
        self._visits[visit] = None
        if len(self._visits) > _MOST_VISITS:
            self._visits.popitem(last=False)
        with anyio.move_on_after(STAY_SECONDS):
            while (await receive())["type"] != "http.disconnect":
                pass
            self._visits[visit] = anyio.current_time() - came_at
            return
        await PlainTextResponse("stayed")(scope, receive, send)


def _stream(events: AsyncGenerator[bytes]) -> Response:
    # As the SDK writes its own.
    headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


def _not_found() -> Response:
    """As of any path that there is not."""
    return PlainTextResponse("Not Found", 404)


def _seconds(text: str) -> float:
    try:
        return min(max(float(text), 0.0), LONGEST_SILENCE_SECONDS)
    except ValueError:
        return 0.0
