"""The sandbox's price list: the snapshot, and a made-up price where RunAPI published none."""

from collections.abc import Iterable
from hashlib import sha256
from json import dumps
from typing import Final

from runapi_mcp.base.catalog import SNAPSHOT_AS_OF, Schedule, Variant

AS_OF: Final = f"{SNAPSHOT_AS_OF}-01T00:00:00Z"
PRETENDED_CENTS: Final = 30
"""For what has no published price: in the sandbox it only has to be some price."""


def schedule_of(variant: Variant) -> Schedule:
    """What the sandbox charges for a variant."""
    if variant.snapshot.unit_cents is not None:
        return variant.snapshot
    return Schedule(PRETENDED_CENTS, dict.fromkeys(variant.resolutions, PRETENDED_CENTS))


def cents_of(variant: Variant, output_resolution: str | None) -> int:
    return int(schedule_of(variant).cents(output_resolution) or 0)


def price_schedules(
    variants: Iterable[Variant], service: str | None, action: str | None, model: str | None
) -> list[dict[str, object]]:
    """The rows of `GET /api/v1/price_schedules` that the filters let through."""
    return [
        _row(variant)
        for variant in variants
        if service in (None, variant.service)
        and action in (None, variant.action)
        and model in (None, variant.model)
    ]


def etag_of(rows: list[dict[str, object]]) -> str:
    return f'"{sha256(dumps(rows, sort_keys=True).encode()).hexdigest()[:16]}"'


def _row(variant: Variant) -> dict[str, object]:
    schedule = schedule_of(variant)
    return {
        "service": variant.service,
        "action": variant.action,
        "model": variant.model,
        "pricing_status": "active",
        "catalog_status": "active",
        "currency": "USD",
        "billing_unit": "call",
        "billing_strategy": "per_call",
        "unit_price_cents": schedule.unit_cents,
        "billing_config": _overrides(schedule),
    }


def _overrides(schedule: Schedule) -> dict[str, object]:
    """What changes the unit price; nothing, where no resolution can be chosen."""
    if not schedule.by_resolution:
        return {}
    return {"key": "output_resolution", "overrides": dict(schedule.by_resolution)}
