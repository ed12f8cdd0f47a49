"""Who sells pictures: one row each, with what stays to be known of them without their key."""

from dataclasses import dataclass
from typing import Final

from runapi_mcp.base.catalog.lifetimes import DAY_SECONDS


@dataclass(frozen=True, eq=False, kw_only=True, slots=True)
class Vendor:
    name: str
    """In the ledger, in ids and in addresses."""
    title: str
    """For people."""
    key_name: str
    """The variable that holds the key."""
    repeats_safely: bool
    """Whether a create can be sent again under its key without being charged again."""
    image_seconds: float
    """When an image's address expires, counted from its task; documentations say "about"."""
    sure_image_seconds: float
    """How long it can be relied on."""
    image_origins: tuple[str, ...]
    """From where a page in a host may show its images, as a CSP has it."""
    prices_as_of: str
    """The month in which the published prices were read."""

    @property
    def image_days(self) -> str:
        """When an image's address expires, in words."""
        return f"about {self.image_seconds // DAY_SECONDS:.0f} days"


RUNAPI: Final = Vendor(
    name="runapi",
    title="RunAPI",
    key_name="RUNAPI_API_KEY",
    repeats_safely=True,
    image_seconds=7 * DAY_SECONDS,
    sure_image_seconds=6 * DAY_SECONDS,
    image_origins=("https://runapi.ai", "https://*.runapi.ai"),
    prices_as_of="2026-07",
)
RUNFLOW: Final = Vendor(
    name="runflow",
    title="Runflow",
    key_name="RUNFLOW_API_KEY",
    repeats_safely=False,
    image_seconds=3 * DAY_SECONDS,
    sure_image_seconds=2 * DAY_SECONDS,
    image_origins=("https://runflow.io", "https://*.runflow.io"),
    prices_as_of="2026-03",
)
VENDORS: Final = (RUNAPI, RUNFLOW)


def vendor_named(name: str) -> Vendor:
    """The vendor of a ledger's entry; RunAPI for one that only a later version knows."""
    return next((vendor for vendor in VENDORS if vendor.name == name), RUNAPI)
