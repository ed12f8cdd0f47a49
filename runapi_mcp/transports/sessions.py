"""The sessions of the 2025 protocol: whose they are, what is in hand, and which go first."""

from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

import anyio
from mcp.server.streamable_http import GET_STREAM_KEY

from runapi_mcp.base.settings import HttpCaps
from runapi_mcp.transports.callers import HttpCaller
from runapi_mcp.transports.shares import NoneLeft

_KEYLESS_IDLE_SECONDS: Final = 1_800


@dataclass(eq=False, slots=True)
class Session:
    """One session, as long as the SDK keeps it."""

    caller: HttpCaller
    id: str = ""
    """Empty until it is open."""
    used_at: float = 0.0
    in_hand: int = 0
    request_ids: set[str] = field(default_factory=lambda: {GET_STREAM_KEY})
    """Of the requests in hand. The SDK keeps the standing stream among them."""


class Sessions:
    """All sessions. `end` ends one where it is served."""

    def __init__(self, caps: HttpCaps, end: Callable[[Session], Awaitable[None]]) -> None:
        self._caps = caps
        self._end = end
        self._open: OrderedDict[str, Session] = OrderedDict()
        """By their ids, the one that was used longest ago first."""
        self._count: Counter[str] = Counter()
        """Of each caller, those that are just being opened included."""
        self._total = 0

    def find(self, session_id: str, caller: HttpCaller) -> Session | None:
        session = self._open.get(session_id)
        return session if session and session.caller.id == caller.id else None

    @contextmanager
    def use(self, session: Session) -> Generator[None]:
        session.in_hand += 1
        try:
            yield
        finally:
            session.in_hand -= 1
            session.used_at = anyio.current_time()
            if session.id in self._open:
                self._open.move_to_end(session.id)

    async def reserve(self, caller: HttpCaller) -> Session:
        """Room for one more session, which is then opened or given up.

        Without a key, the caller's own oldest makes room, or that of any without a key.

        Raises:
            NoneLeft
        """
        await self._end_idle()
        if self._count[caller.id] >= self._caps.sessions_per_caller:
            await self._make_room(caller.id)
        if self._total >= self._caps.sessions:
            await self._make_room(None)
        self._count[caller.id] += 1
        self._total += 1
        return Session(caller)

    def open(self, session: Session, session_id: str) -> None:
        session.id, session.used_at = session_id, anyio.current_time()
        self._open[session_id] = session

    def forget(self, session: Session) -> None:
        """One that has ended, or that was never opened."""
        if session.id and self._open.pop(session.id, None) is None:
            return
        self._total -= 1
        self._count[session.caller.id] -= 1
        if not self._count[session.caller.id]:
            del self._count[session.caller.id]

    async def _make_room(self, caller_id: str | None) -> None:
        for session in self._open.values():
            may_go = not session.caller.has_key and not session.in_hand
            if may_go and caller_id in (None, session.caller.id):
                await self._drop(session)
                return
        raise NoneLeft

    async def _end_idle(self) -> None:
        for session in list(takewhile(_is_idle, self._open.values())):
            idle_seconds = anyio.current_time() - session.used_at
            is_kept = session.caller.has_key and idle_seconds < self._caps.session_idle_hours * 3600
            if not session.in_hand and not is_kept:
                await self._drop(session)

    async def _drop(self, session: Session) -> None:
        self.forget(session)
        with anyio.CancelScope(shield=True):
            await self._end(session)


def _is_idle(session: Session) -> bool:
    return anyio.current_time() - session.used_at >= _KEYLESS_IDLE_SECONDS
