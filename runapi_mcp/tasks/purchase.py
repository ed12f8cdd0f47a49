"""What one call asks for and may pay."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import MISSING

from runapi_mcp.api.prices import Price
from runapi_mcp.catalog import Params, Variant
from runapi_mcp.tasks.ledger import Entry


@dataclass(frozen=True, slots=True)
class Purchase:
    """One image of a variant, at a price, under an idempotency key of its own."""

    variant: Variant
    params: Params
    price: Price
    key: str = field(default_factory=lambda: str(uuid.uuid4()))

    def entry(self, caller: str, begun_at: float, *, with_arguments: bool) -> Entry:
        """The intent to pay, as the ledger keeps it."""
        body = self.params.model_dump()
        return Entry(
            key=self.key,
            caller=caller,
            model=self.variant.model,
            output_resolution=resolution_of(self.params),
            fingerprint=_fingerprint(self.variant, body),
            arguments=body if with_arguments else None,
            price_cents=self.price.cents,
            begun_at=begun_at,
        )


def resolution_of(params: Params) -> str | None:
    """The resolution asked for; None where it is left to RunAPI."""
    return None if params.output_resolution is MISSING else params.output_resolution


def _fingerprint(variant: Variant, body: Mapping[str, object]) -> str:
    """The same for two calls exactly when they ask the same of the same model."""
    return hashlib.sha256(json.dumps([variant.model, body], sort_keys=True).encode()).hexdigest()
