"""A paid task, whoever sells it: its state, its images, its money."""

from dataclasses import dataclass
from typing import Literal

from runapi_mcp.base.catalog.vendors import RUNAPI, Vendor

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
    """What the vendor set aside when it took the task."""
    model: str | None = None
    retry_after_seconds: float | None = None
    request_id: str | None = None
    sandbox: bool = False
    vendor: Vendor = RUNAPI
    """Who sells it."""

    @property
    def seller(self) -> str:
        """Who answers for it, in words."""
        return f"{self.vendor.title}'s sandbox" if self.sandbox else self.vendor.title

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed")
