"""What goes to Runflow and what comes back, before it means anything."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from runapi_mcp.base.errors import HttpAnswer, ProviderDown
from runapi_mcp.base.json_values import Json
from runapi_mcp.providers.runflow.run_failures import seller

Understood = TypeVar("Understood")


@dataclass(frozen=True, slots=True)
class RunRequest:
    method: Literal["GET", "POST"]
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: str | None = None
    pays: bool = False
    reads_task: bool = False
    urgency: Callable[[], float] | None = None
    """How much it matters that this goes now, among those of the same key; None for at once."""


@dataclass(frozen=True, slots=True)
class RunReply:
    """An answer with a 2xx status: a JSON object."""

    body: Json
    answer: HttpAnswer


Ask = Callable[[RunRequest, Callable[[RunReply], Understood]], Awaitable[Understood]]


def incomplete_reply(reply: RunReply, why: str) -> ProviderDown:
    who = seller(reply.answer)
    return ProviderDown(f"{who}'s answer {why}.", "Try again in a minute.", reply.answer)
