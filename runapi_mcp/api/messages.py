"""What goes to RunAPI and what comes back, before it means anything."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from typing_extensions import TypeIs

from runapi_mcp.errors import Answer

Json = dict[str, object]

READ_RETRY_SECONDS = 10.0
CREATE_RETRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the contract; it may be sent several times, always the same."""

    method: Literal["GET", "POST"]
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    retry_seconds: float = READ_RETRY_SECONDS
    """How long failed attempts are repeated; 0 for one attempt only."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a 2xx or 304 status: a JSON object, empty for 304."""

    body: Json
    headers: Mapping[str, str]
    answer: Answer


Send = Callable[[Request], Awaitable[Reply]]
"""Sends a request as one caller.

Raises:
    RunapiFailure: RunAPI refused, failed or could not be reached.
    KeyMissing: the request needs a key and there is none.
"""


def is_object(value: object) -> TypeIs[Json]:
    """Whether a JSON value is an object."""
    return isinstance(value, dict)


def as_object(value: object) -> Json:
    """A JSON object, empty when the value is anything else."""
    return value if is_object(value) else {}


def as_list(value: object) -> list[object]:
    """A JSON array, empty when the value is anything else."""
    return cast("list[object]", value) if isinstance(value, list) else []


def as_text(value: object) -> str | None:
    """A string that says something, or None."""
    return value.strip() if isinstance(value, str) and value.strip() else None


def as_number(value: object) -> float | None:
    """A JSON number, or None; true and false are not numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value
