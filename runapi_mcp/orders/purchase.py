"""What one call asks for and may pay."""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from runapi_mcp.base.catalog import Params, Variant
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.orders.ledger import Entry


def new_key() -> str:
    """An idempotency key that was never used."""
    return str(uuid.uuid4())


class Sources(Protocol):
    """The images that a call starts from, some of which RunAPI may not have yet."""

    @property
    def identities(self) -> Sequence[str]:
        """What stands for each: the same whenever it is the same image, whatever its address."""
        ...

    @property
    def record(self) -> tuple[Mapping[str, str], ...]:
        """What each is, in the caller's words."""
        ...

    @property
    def ready(self) -> bool:
        """Whether RunAPI has all of them, at the addresses in the params."""
        ...

    async def urls(self) -> list[str]:
        """The address of each, once RunAPI has all of them.

        Raises:
            ProviderFailure: one could not be uploaded.
        """
        ...


@dataclass(frozen=True)
class Purchase:
    """One image of a variant, at a price, under an idempotency key of its own."""

    variant: Variant
    params: Params
    price: Price
    sources: Sources | None = None
    """Where the params do not tell it all."""
    save_as: str | None = None
    """Where to: the same name in another folder asks for something else."""
    key: str = field(default_factory=new_key)
    is_agreed: bool = False
    """Whether a person said yes to it."""

    @cached_property
    def fingerprint(self) -> str:
        """The same for two purchases exactly when they ask the same of the same model."""
        asked = self.params.model_dump()
        if self.sources is not None:
            asked["source_image_urls"] = list(self.sources.identities)
        named = [] if self.save_as is None else [self.save_as]
        text = json.dumps([self.variant.model, asked, *named], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def entry(self, caller: str, begun_at: float, *, with_prompt: bool) -> Entry:
        """The intent to pay, as the ledger keeps it."""
        return Entry(
            key=self.key,
            caller=caller,
            model=self.variant.model,
            output_resolution=resolution_of(self.params),
            fingerprint=self.fingerprint,
            arguments=self.params.model_dump(exclude=None if with_prompt else {"prompt"}),
            ready=self.sources is None or self.sources.ready,
            sources=self.sources.record if self.sources else (),
            save_as=self.save_as,
            price_cents=self.price.cents,
            begun_at=begun_at,
        )


def resolution_of(params: Params) -> str | None:
    """The resolution asked for; None where it is left to RunAPI."""
    return params.resolution
