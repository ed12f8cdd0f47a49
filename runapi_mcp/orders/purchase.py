"""What one call asks for and may pay."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.orders.ledger import Entry

SOURCES_FIELD: Final = "source_image_urls"


def new_key() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Source:
    """An image that a call starts from."""

    identity: str
    """The same whenever it is the same image, whatever its address."""
    named: Mapping[str, str]
    """What it is, in the caller's words: `url`, `task_id`, or `path` and `sha256`."""
    url: str | None
    """Where RunAPI finds it; None for what must be uploaded first."""


@dataclass(frozen=True)
class Purchase:
    """One image of a variant, at a price, under an idempotency key of its own."""

    variant: Variant
    settings: Mapping[str, object]
    """What RunAPI is asked, all but the sources."""
    output_resolution: str | None
    price: Price
    sources: tuple[Source, ...] = ()
    save_as: str | None = None
    """Where to: the same name in another folder asks for something else."""
    key: str = field(default_factory=new_key)
    is_agreed: bool = False

    @cached_property
    def fingerprint(self) -> str:
        """The same for two purchases exactly when they ask the same of the same model."""
        asked = self._asked([source.identity for source in self.sources])
        named = [] if self.save_as is None else [self.save_as]
        text = json.dumps([self.variant.model, asked, *named], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def entry(self, caller: str, begun_at: float, *, with_prompt: bool) -> Entry:
        urls = [source.url for source in self.sources if source.url is not None]
        is_ready = len(urls) == len(self.sources)
        arguments = self._asked(urls if is_ready else [])
        if not with_prompt:
            del arguments["prompt"]
        return Entry(
            key=self.key,
            caller=caller,
            model=self.variant.model,
            output_resolution=self.output_resolution,
            fingerprint=self.fingerprint,
            arguments=arguments,
            ready=is_ready,
            sources=self._named(),
            save_as=self.save_as,
            price_cents=self.price.cents,
            begun_at=begun_at,
        )

    def body(self, entry: Entry) -> dict[str, object]:
        """What is sent under an entry's key: what it says; of the prompt it may not know."""
        return {"prompt": self.settings["prompt"], **(entry.arguments or {})}

    def _asked(self, sources: list[str]) -> dict[str, object]:
        return {**self.settings, **({SOURCES_FIELD: sources} if sources else {})}

    def _named(self) -> tuple[Mapping[str, str], ...]:
        """The sources in the caller's words; none where the arguments tell it all."""
        named = tuple(source.named for source in self.sources)
        return () if all("url" in each for each in named) else named
