"""What a tool found: the facts, and what is handed over with them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from runapi_mcp.images.picture import Picture
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.tools.facts import utc

RawArguments = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Link:
    """An address that only a person can use."""

    address: str
    message: str
    withdraw: Callable[[], None]
    """Called when the person does not want it."""


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    tracked: TrackedTask
    pictures: tuple[Picture, ...] = ()
    joined_at: float | None = None
    """When an earlier identical call was made, if this one only continued it."""
    preview_px: int | None = None
    """How large a preview the caller asked for, should the answer come later."""
    arguments: RawArguments | None = None
    """Those of the call that ordered the task, for a page that did not see that call."""

    @property
    def joined(self) -> str | None:
        if self.joined_at is None:
            return None
        return (
            f"This call continued the identical call of {utc(self.joined_at)}, whose image is not "
            "known to have reached anyone: one image for both, charged once at most. Once it is "
            "delivered, the same call pays for a new one."
        )


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The facts of an answer. `failed` marks those that a host must show as an error."""

    facts: BaseModel
    failed: bool = False
    task: TaskOutcome | None = None
    link: Link | None = None
