"""What exists: variants, their fields and their prices. Data and types; no I/O."""

from runapi_mcp.base.catalog.fields import Params
from runapi_mcp.base.catalog.price import SNAPSHOT_AS_OF, Schedule
from runapi_mcp.base.catalog.variants import ACTIONS, VARIANTS, Action, Variant, by_model, select

__all__ = [
    "ACTIONS",
    "SNAPSHOT_AS_OF",
    "VARIANTS",
    "Action",
    "Params",
    "Schedule",
    "Variant",
    "by_model",
    "select",
]
