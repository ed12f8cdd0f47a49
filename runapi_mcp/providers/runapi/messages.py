"""What goes to RunAPI and what comes back, before it means anything."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from runapi_mcp.base.errors import HttpAnswer, ProviderDown
from runapi_mcp.base.json_values import Json

Meaning = TypeVar("Meaning")


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the contract; it may be sent several times, always the same."""

    method: Literal["GET", "POST"]
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: str | None = None
    """JSON, byte for byte the same each time."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    total_seconds: float = 15.0
    """How long all attempts together may take."""
    repeated: bool = True
    """Whether a failed attempt that may succeed later is made again."""
    pays: bool = False
    """Whether an attempt, once begun, must be seen through although the caller leaves."""
    in_doubt: bool = False
    """Whether RunAPI may have carried it out already, for another caller or an earlier process."""
    before_send: Callable[[], Awaitable[None]] | None = None
    """Awaited before each attempt; what it raises ends the request."""
    reads_task: bool = False
    urgency: Callable[[], float] | None = None
    """How much it matters that this goes now, among those of the same key; None for at once."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a 2xx or 304 status: a JSON object, empty for 304."""

    body: Json
    headers: Mapping[str, str]
    answer: HttpAnswer


def encode(body: Mapping[str, object]) -> str:
    # As every release sent it: a request is asked again under its key with the very same bytes.
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def incomplete(reply: Reply, why: str) -> ProviderDown:
    return ProviderDown(f"RunAPI's answer {why}.", "Try again in a minute.", reply.answer)


class Send(Protocol):
    async def __call__(self, request: Request, understand: Callable[[Reply], Meaning]) -> Meaning:
        """What the answer means. One that `understand` raises for counts as a failed attempt.

        Raises:
            ProviderFailure: RunAPI refused, failed or could not be reached.
            KeyMissing: the request needs a key and there is none.
        """
        ...
