"""The tiers: one row each, with all that is the same for every variant of a tier."""

from dataclasses import dataclass, field

from runapi_mcp.base.catalog.price import Schedule
from runapi_mcp.base.catalog.vendors import RUNAPI, Vendor


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Tier:
    """One Flux 2 model family, whatever it is asked to do."""

    name: str
    """In ids and tool names, and what a user selects it by."""
    service: str
    """What its vendor sells it under: part of its addresses, and of price look-ups."""
    usual_seconds: float
    """How long an image takes, until images were seen that tell better."""
    sandbox_seconds: float
    when: str
    """When to choose it, in a few words of a table."""
    advice: str | None = None
    """A sentence on when to choose it rather than pro, for models that have both."""
    snapshot: Schedule = field(default_factory=Schedule)
    """The published prices, as of the snapshot's month."""
    vendor: Vendor = RUNAPI

    @property
    def title(self) -> str:
        name = self.name.capitalize()
        return name if self.vendor is RUNAPI else f"{name} at {self.vendor.title}"


PRO = Tier(
    name="pro",
    service="flux_2",
    usual_seconds=12,
    sandbox_seconds=4,
    when="by default",
    snapshot=Schedule(5, {"1k": 5, "2k": 7}),
)
FLEX = Tier(
    name="flex",
    service="flux_2",
    usual_seconds=18,
    sandbox_seconds=6,
    when="lettering, fine detail",
    advice="Flex is for lettering.",
    snapshot=Schedule(14, {"1k": 14, "2k": 24}),
)
MAX = Tier(
    name="max",
    service="flux_2",
    usual_seconds=25,
    sandbox_seconds=8,
    when="highest quality",
)
KLEIN = Tier(
    name="klein",
    service="flux",
    usual_seconds=8,
    sandbox_seconds=3,
    when="cheap drafts",
    advice="Draft with klein, then pro.",
    snapshot=Schedule(3),
)
