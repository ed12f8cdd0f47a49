"""What exists: tiers and variants, their fields and their prices. Data and types; no I/O."""

from runapi_mcp.base.catalog.fields import Params
from runapi_mcp.base.catalog.price import SNAPSHOT_AS_OF, Schedule
from runapi_mcp.base.catalog.tiers import Tier
from runapi_mcp.base.catalog.variants import VARIANTS, Action, Variant, by_model, select, tiers_of

__all__ = [
    "SNAPSHOT_AS_OF",
    "VARIANTS",
    "Action",
    "Params",
    "Schedule",
    "Tier",
    "Variant",
    "by_model",
    "select",
    "tiers_of",
]
