"""A paid task, whoever sells it: its state, its images, its money."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["pending", "processing", "completed", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Task:
    """A task as its provider last described it. Money is in US cents."""

    id: str
    status: Status
    image_urls: tuple[str, ...] = ()
    error: str | None = None
    cost_cents: float | None = None
    """The recorded charge."""
    reserved_cents: float | None = None
    """What RunAPI set aside when it took the task."""
    model: str | None = None
    retry_after_seconds: float | None = None
    request_id: str | None = None
    sandbox: bool = False

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed")
