"""What a call costs: a schedule of cents by resolution, and the dated snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from runapi_mcp.base.catalog.vendors import RUNAPI

SNAPSHOT_AS_OF = RUNAPI.prices_as_of
"""The month the snapshot's prices were read off RunAPI's public pages."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """US cents a call. `None` means that nobody has published the price."""

    unit_cents: float | None = None
    by_resolution: Mapping[str, float] = field(default_factory=dict[str, float])
    unit: str = ""
    """What the price is for where that is no call, in words: `a megapixel`."""

    def cents(self, output_resolution: str | None) -> float | None:
        """The price at a resolution; without one, the price of a call that leaves it unset."""
        if output_resolution is None:
            return self.unit_cents
        return self.by_resolution.get(output_resolution, self.unit_cents)


@dataclass(frozen=True, slots=True)
class Price:
    """The price of one call in US cents. `cents` is None when it is unknown."""

    cents: float | None
    source: Literal["live", "sandbox", "snapshot", "unknown"]


UNKNOWN_PRICE = Price(None, "unknown")
