"""A tool as data: what a host sees of it, and what it does for a caller."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import anyio
from pydantic import MISSING, BaseModel

from runapi_mcp.base.catalog.fields import Capability
from runapi_mcp.base.progress import Report
from runapi_mcp.images.picture import Picture
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.login import PendingLogins
from runapi_mcp.orders.orders import Orders
from runapi_mcp.orders.tracked_task import Watch
from runapi_mcp.providers.port import Provider

RawArguments = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Handover:
    """How pictures reach a caller."""

    picture_store: PictureStore
    saves: bool
    """Whether they are saved on this machine."""
    default_preview_px: int
    """How large a preview is when the call does not say; 0 for none."""
    most_preview_px: int
    answer_by: float
    """When fetching should be over, on the event loop's clock."""

    def preview_px(self, wanted: int | MISSING) -> int:
        """How large a preview may be for a call that says so, or not."""
        px = self.default_preview_px if wanted is MISSING else wanted
        return min(px, self.most_preview_px)


@dataclass(frozen=True, slots=True)
class Link:
    """An address that only a person can use."""

    address: str
    message: str
    """What it is for, in a sentence or two."""
    withdraw: Callable[[], None]
    """Called when the person does not want it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and how: whose key, what was ordered with it, and how the caller waits."""

    runapi: Provider
    orders: Orders
    handover: Handover
    is_local: bool
    """Whether the caller's files are this machine's."""
    started: float
    """When the call came, on the event loop's clock: the host counts from there."""
    wait_seconds: float
    """How long a call waits that does not say."""
    report: Report
    logins: PendingLogins | None = None
    """Where a key is got for the server that the caller started; None for who brings one."""
    yes: str | None = None
    """What came back with a person's yes to this call."""
    as_task: bool = False
    """Whether the caller takes the task at once and follows it by itself."""

    def left_seconds(self, wait_seconds: float) -> float:
        """What is left of a wait that began with the call."""
        return wait_seconds - (anyio.current_time() - self.started)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The facts of an answer. `failed` marks those that a host must show as an error."""

    facts: BaseModel
    failed: bool = False
    watch: Watch | None = None
    """The task that the answer is about."""
    pictures: tuple[Picture, ...] = ()
    preview_px: int | None = None
    """How large a preview the caller asked for, should the answer come later."""
    joined: str | None = None
    """What it means that the call continued an earlier one, if it did."""
    link: Link | None = None
    """What a person should open now."""
    asked: RawArguments | None = None
    """The arguments of the call that ordered the task, for a page that did not see that call."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. `inputs` are the closed models its arguments are split into."""

    name: str
    title: str
    description: str
    effect: Literal["reads", "changes", "pays"]
    inputs: tuple[type[Capability], ...]
    output: type[BaseModel]
    run: Callable[[Caller, RawArguments], Awaitable[Outcome]]
    """
    Raises:
        Failure: what went wrong and what to do, in words a model can use.
    """
