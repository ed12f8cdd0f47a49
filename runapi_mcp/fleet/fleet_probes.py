"""The fleet's probes, asked from outside: through whatever stands before its servers."""

import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Self

import anyio
import httpx

from runapi_mcp.base.json_values import as_number, as_object, as_text
from runapi_mcp.fleet.probe_endpoint import (
    BEAT,
    BEAT_GAP_SECONDS,
    BEATS,
    BEATS_PATH,
    DEPARTURE_PATH,
    PROBE_PATH,
    SILENCE_PATH,
    STAY_PATH,
)
from runapi_mcp.fleet.probe_pass import PASS_HEADER, ProbePass

PROBE_SECONDS: Final = 10.0
VISIT_SECONDS: Final = 2.0
"""After which a visitor leaves."""
HEARD_SECONDS: Final = 15.0
"""Within which a server must hear of it."""
_LOOK_SECONDS: Final = 0.25


class ProbeFailed(Exception):
    """No probe answered; its text says what came instead."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """One answer of one server."""

    server: str
    version: str
    database: str
    """Empty where it can be used, else why it cannot."""
    has_database: bool
    is_sandbox: bool
    clock_ahead_seconds: float
    """Of this machine's."""

    @classmethod
    def read(cls, told: Mapping[str, object], asked_at: float, answered_at: float) -> Self:
        return cls(
            server=as_text(told.get("server")) or "",
            version=as_text(told.get("version")) or "",
            database=as_text(told.get("database")) or "",
            has_database=told.get("has_database") is True,
            is_sandbox=told.get("is_sandbox") is True,
            clock_ahead_seconds=(as_number(told.get("time")) or 0.0) - (asked_at + answered_at) / 2,
        )


class FleetProbes:
    """Each asked over a connection of its own, so that the balancer chooses anew."""

    def __init__(self, http: httpx.AsyncClient, opener: ProbePass) -> None:
        self._http = http
        self._opener = opener

    async def facts(self) -> ServerFacts:
        """
        Raises:
            ProbeFailed
        """
        asked_at = time.time()
        told = await self._told(PROBE_PATH)
        return ServerFacts.read(told, asked_at, time.time())

    async def silence(self, seconds: float) -> float | None:
        """After how long an answer was cut off that is silent for so long; None if it was not.

        Raises:
            ProbeFailed
        """
        began_at = anyio.current_time()
        try:
            moments = await self._moments(SILENCE_PATH, seconds + PROBE_SECONDS, seconds=seconds)
        except httpx.TransportError:
            return anyio.current_time() - began_at
        # A proxy may also end it in order.
        return None if moments and moments[-1] >= seconds - 1 else anyio.current_time() - began_at

    async def beats(self) -> float:
        """How many seconds lie between the first beat of an answer and the last.

        Raises:
            ProbeFailed
        """
        try:
            moments = await self._moments(BEATS_PATH, BEATS * BEAT_GAP_SECONDS + PROBE_SECONDS)
        except httpx.TransportError as error:
            raise ProbeFailed(str(error) or type(error).__name__) from error
        return moments[-1] - moments[0] if moments else 0.0

    async def departure(self) -> float | None:
        """How long after a visitor left a server has heard of it; None where none did in time.

        Raises:
            ProbeFailed
        """
        visit = secrets.token_hex(8)
        with anyio.move_on_after(VISIT_SECONDS):
            await self._moments(STAY_PATH, VISIT_SECONDS + PROBE_SECONDS, visit=visit)
        with anyio.move_on_after(HEARD_SECONDS):
            while True:
                told = await self._told(DEPARTURE_PATH, visit=visit)
                left_after = as_number(told.get("left_after"))
                if left_after is not None:
                    return max(left_after - VISIT_SECONDS, 0.0)
                await anyio.sleep(_LOOK_SECONDS)
        return None

    async def _told(self, path: str, **query: str) -> Mapping[str, object]:
        try:
            answer = await self._http.get(path, params=query, headers=self._headers())
        except httpx.HTTPError as error:
            raise ProbeFailed(str(error) or type(error).__name__) from error
        _require_opened(answer)
        try:
            return as_object(answer.json())
        except ValueError as error:
            raise ProbeFailed("the answer is no JSON") from error

    async def _moments(self, path: str, limit_seconds: float, **query: str | float) -> list[float]:
        """When each piece of an answer came, in seconds since it was asked for."""
        began_at, moments = anyio.current_time(), list[float]()
        timeout = httpx.Timeout(PROBE_SECONDS, read=limit_seconds)
        asking = self._http.stream(
            "GET", path, params=query, headers=self._headers(), timeout=timeout
        )
        async with asking as answer:
            _require_opened(answer)
            async for piece in answer.aiter_text():
                came_at = anyio.current_time() - began_at
                moments += [came_at] * piece.count(BEAT)
        return moments

    def _headers(self) -> Mapping[str, str]:
        return {PASS_HEADER: self._opener.issue(), "Connection": "close"}


@asynccontextmanager
async def open_probes(base_url: str, opener: ProbePass) -> AsyncGenerator[FleetProbes]:
    """The probes of the servers at this address."""
    async with httpx.AsyncClient(base_url=base_url) as http:
        yield FleetProbes(http, opener)


def _require_opened(answer: httpx.Response) -> None:
    if answer.status_code != 200:
        raise ProbeFailed(f"the answer is {answer.status_code}")
