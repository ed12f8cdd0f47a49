"""A tool as data: what a host sees of it, what it does for a caller, and what it found."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

import anyio
from pydantic import MISSING, BaseModel

from runapi_mcp.base.catalog.fields import Capability
from runapi_mcp.base.errors import Failure, ProviderFailure
from runapi_mcp.base.progress import Report
from runapi_mcp.images.picture import Picture
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.login import PendingLogins
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.orders.orders import Order, Orders
from runapi_mcp.orders.tracked_task import TrackedTask
from runapi_mcp.providers.sellers import Sellers

RawArguments = Mapping[str, object]

LEAST_SECONDS_TO_PAY: Final = 5.0
LEAST_SECONDS_TO_UPLOAD: Final = 1.0
LEAST_SECONDS_TO_FOLLOW: Final = 2.0


@dataclass(frozen=True, slots=True)
class Link:
    """An address that only a person can use."""

    address: str
    message: str
    withdraw: Callable[[], None]
    """Called when the person does not want it."""


@dataclass(frozen=True, slots=True)
class TaskOutcome:
    """What became of a call's images, or of one of them."""

    tasks: tuple[TrackedTask, ...]
    pictures: tuple[Picture, ...] = ()
    failures: Mapping[int, Failure] = field(default_factory=dict[int, Failure])
    """Why there is no task for some of the call's images, by their numbers."""
    siblings: tuple[str, ...] = ()
    """The tasks of all of the call's images, where it has several."""
    joined_at: float | None = None
    """When an earlier identical call was made, if this one only continued it."""
    doubtful: Entry | None = None
    """An identical call that may have been charged as well, in whose place this one was paid."""
    preview_px: int | None = None
    """How large a preview the caller asked for, should the answer come later."""
    arguments: RawArguments | None = None
    """Those of the call that ordered the task, for a page that did not see that call."""

    @property
    def first(self) -> TrackedTask:
        return self.tasks[0]

    @property
    def all_ended(self) -> bool:
        return all(tracked.task.ended for tracked in self.tasks)

    @property
    def is_whole(self) -> bool:
        """Whether every image of the call has ended and can be found by this answer."""
        entry, drawn = self.first.entry, [tracked.task for tracked in self.tasks]
        count = 1 if entry is None else entry.count
        some = any(task.image_urls for task in drawn)
        in_doubt = any(map(is_in_doubt, self.failures.values()))
        all_told = len(drawn) + len(self.failures) >= count
        return some and all_told and self.all_ended and not in_doubt


def is_in_doubt(failure: Failure) -> bool:
    """Whether there may be a task all the same, and a charge."""
    return isinstance(failure, ProviderFailure) and failure.in_doubt


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The facts of an answer. `failed` marks those that a host must show as an error."""

    facts: BaseModel
    failed: bool = False
    task: TaskOutcome | None = None
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    picture_store: PictureStore
    caller: str
    """Whose pictures they are."""
    is_local: bool
    """Whether the caller's files are this machine's."""
    saves: bool
    """Whether pictures are saved on this machine's disk."""
    default_preview_px: int
    """How large a preview is when the call does not say; 0 for none."""
    most_preview_px: int
    answer_by: float
    """When fetching should be over, on the event loop's clock."""

    @property
    def keeps(self) -> bool:
        """Whether pictures are kept in a bucket, as for callers on other machines."""
        return self.picture_store.kept is not None and not self.is_local

    def preview_px(self, wanted: int | MISSING) -> int:
        px = self.default_preview_px if wanted is MISSING else wanted
        return min(px, self.most_preview_px)


@dataclass(frozen=True, slots=True)
class Wait:
    """How long a call waits, and who is told meanwhile how it goes."""

    started: float
    """When the call came, on the event loop's clock: the host counts from there."""
    default_seconds: float
    """How long a call waits that does not say."""
    pay_seconds: float
    """How long after it came an answer must say at least which tasks it ordered."""
    report: Report
    came_at: float
    """When the call came, in seconds since the epoch."""

    def left_to_check(self) -> float:
        """What is left for all that comes before the payment; enough of it, though.

        A person may have been asked meanwhile, who may take the time of the host.
        """
        return max(self._left_before_paying, LEAST_SECONDS_TO_PAY)

    def left_to_upload(self) -> float:
        return max(self._left_before_paying, LEAST_SECONDS_TO_UPLOAD)

    def left_to_pay(self) -> float:
        """What is left until an answer must say what was ordered; enough to order it, though."""
        return max(self.left_seconds(self.pay_seconds), LEAST_SECONDS_TO_PAY)

    def left_to_follow(self, wait_seconds: float) -> float:
        """What is left of a wait; where paying took it, enough for a look at what is drawn."""
        look_seconds = self.left_seconds(self.pay_seconds + LEAST_SECONDS_TO_FOLLOW)
        least_seconds = min(look_seconds, LEAST_SECONDS_TO_FOLLOW, wait_seconds)
        return max(self.left_seconds(wait_seconds), least_seconds)

    @property
    def _left_before_paying(self) -> float:
        return self.left_seconds(self.pay_seconds - LEAST_SECONDS_TO_PAY)

    def left_seconds(self, wait_seconds: float) -> float:
        """What is left of a wait that began with the call."""
        return wait_seconds - (anyio.current_time() - self.started)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and how: whose key, what was ordered with it, and how the answer gets there."""

    sellers: Sellers
    orders: Orders
    delivery: DeliveryOptions
    wait: Wait
    logins: PendingLogins | None = None
    """Where a key is got for the server that the caller started; None for who brings one."""
    yes: str | None = None
    as_task: bool = False
    """Whether the caller takes the task at once and follows it by itself."""
    ordered: list[Order] = field(default_factory=list[Order])
    """What this call has ordered so far, for whoever leaves before its answer."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. `inputs` are the closed models its arguments are split into."""

    name: str
    title: str
    description: str
    effect: Literal["reads", "changes", "writes", "pays"]
    inputs: tuple[type[Capability], ...]
    output: type[BaseModel]
    run: Callable[[Caller, RawArguments], Awaitable[ToolResult]]
    """
    Raises:
        Failure: what went wrong and what to do, in words a model can use.
    """
    needs_disk: bool = False
    """Whether it is offered only where pictures are saved on the caller's own machine."""
