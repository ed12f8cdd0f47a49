"""What one call asks for and may pay."""

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from functools import cached_property

from pydantic import MISSING

from runapi_mcp.api.prices import Price
from runapi_mcp.catalog import Params, Variant
from runapi_mcp.tasks.ledger import Entry


def new_key() -> str:
    """An idempotency key that was never used."""
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Purchase:
    """One image of a variant, at a price, under an idempotency key of its own."""

    variant: Variant
    params: Params
    price: Price
    key: str = field(default_factory=new_key)
    is_agreed: bool = False
    """Whether a person said yes to it."""

    @cached_property
    def fingerprint(self) -> str:
        """The same for two purchases exactly when they ask the same of the same model."""
        asked = json.dumps([self.variant.model, self.params.model_dump()], sort_keys=True)
        return hashlib.sha256(asked.encode()).hexdigest()

    def entry(self, caller: str, begun_at: float, *, with_arguments: bool) -> Entry:
        """The intent to pay, as the ledger keeps it."""
        return Entry(
            key=self.key,
            caller=caller,
            model=self.variant.model,
            output_resolution=resolution_of(self.params),
            fingerprint=self.fingerprint,
            arguments=self.params.model_dump() if with_arguments else None,
            price_cents=self.price.cents,
            begun_at=begun_at,
        )


def resolution_of(params: Params) -> str | None:
    """The resolution asked for; None where it is left to RunAPI."""
    return None if params.output_resolution is MISSING else params.output_resolution
