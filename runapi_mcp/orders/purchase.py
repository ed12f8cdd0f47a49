"""What one call asks for and may pay."""

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.price import UNKNOWN_PRICE, Price
from runapi_mcp.orders.ledger import Entry, Use

SOURCES_FIELD: Final = "source_image_urls"
CALLBACK_FIELD: Final = "callback_url"


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
    """Where the vendor finds it; None for what must be uploaded first."""


Encode = Callable[[Mapping[str, object]], str]
"""Writes the arguments of a call as the body that is sent."""

AddressOf = Callable[[str], str]
"""Where the provider may call back about the picture of a key."""


@dataclass(frozen=True, slots=True)
class RequestForm:
    """How the requests of a purchase are written down."""

    encode: Encode
    address_of: AddressOf | None = None
    """None where nobody can call back."""

    def written(self, key: str, arguments: Mapping[str, object]) -> str:
        """The body that is sent under a key, with our callback unless the caller has one."""
        if self.address_of is None or CALLBACK_FIELD in arguments:
            return self.encode(arguments)
        return self.encode({**arguments, CALLBACK_FIELD: self.address_of(key)})


@dataclass(frozen=True)
class Purchase:
    """So many images of a variant, each under an idempotency key of its own."""

    variant: Variant
    settings: Mapping[str, object]
    """What the vendor is asked, all but the sources."""
    output_resolution: str | None
    came_at: float
    """When the call came, in seconds since the epoch: what was settled before is not joined."""
    count: int = 1
    price: Price = UNKNOWN_PRICE
    """Of one image."""
    sources: tuple[Source, ...] = ()
    save_as: str | None = None
    """Where to, without a suffix: the same name in another folder asks for something else."""
    suffix: str = ""
    """Of the format that it is saved in, which anybody may have made of it for nothing."""
    redrawn: str | None = None
    """The task that another image is wanted for."""
    payer: str = ""
    """Who pays, where whose the order is does not tell that: then it is a part of what is asked."""
    in_place_of: Entry | None = None
    """An identical call in doubt that this one is paid in place of."""
    key: str = field(default_factory=new_key)
    """The first image's."""
    is_agreed: bool = False

    @property
    def total(self) -> Price:
        """What all of its images cost."""
        cents = self.price.cents
        return self.price if cents is None else replace(self.price, cents=cents * self.count)

    @cached_property
    def fingerprint(self) -> str:
        """The same for two purchases exactly when they ask the same of the same model."""
        asked = self._asked([source.identity for source in self.sources])
        more = [] if self.save_as is None else [self.save_as]
        several = [] if self.count == 1 else [self.count]
        payer = [self.payer] if self.payer else []
        text = json.dumps([self.variant.model, asked, *more, *several, *payer], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def use(self) -> Use:
        """The pictures that its caller has by now."""
        return Use(
            self.redrawn,
            task_ids=self._sources_named("task_id"),
            paths=self._sources_named("path"),
            urls=self._sources_named("url"),
            given_up=None if self.in_place_of is None else self.in_place_of.call_id,
        )

    def entries(
        self, caller: str, begun_at: float, form: RequestForm, *, with_prompt: bool
    ) -> list[Entry]:
        """What is written down of it, one entry for each image."""
        urls = [source.url for source in self.sources if source.url is not None]
        is_ready = len(urls) == len(self.sources)
        arguments = self._asked(urls if is_ready else [])
        first = Entry(
            key=self.key,
            caller=caller,
            vendor=self.variant.vendor.name,
            model=self.variant.model,
            output_resolution=self.output_resolution,
            fingerprint=self.fingerprint,
            call_id=self.key,
            count=self.count,
            arguments=_without_prompt(arguments) if not with_prompt else arguments,
            ready=is_ready,
            sources=self._named(),
            save_as=None if self.save_as is None else self.save_as + self.suffix,
            price_cents=self.price.cents,
            begun_at=begun_at,
        )
        more = range(2, self.count + 1)
        entries = [first, *(replace(first, key=new_key(), number=number) for number in more)]
        return [_with_request(entry, form) for entry in entries] if is_ready else entries

    def with_sources(
        self, entries: Sequence[Entry], urls: Sequence[str], form: RequestForm
    ) -> list[Entry]:
        """The entries of a purchase whose images are all at the provider now."""
        arguments = {**(entries[0].arguments or {}), SOURCES_FIELD: list(urls)}
        ready = [replace(entry, arguments=arguments, ready=True) for entry in entries]
        return [_with_request(entry, form) for entry in ready]

    def body(self, entry: Entry, encode: Encode) -> str:
        """What is sent under an entry's key: the very bytes that were written down, if they were.

        They are not where no prompt is kept; then the same arguments are written anew.
        """
        anew = {"prompt": self.settings["prompt"], **(entry.arguments or {})}
        return entry.request or encode(anew)

    def _asked(self, sources: list[str]) -> dict[str, object]:
        return {**self.settings, **({SOURCES_FIELD: sources} if sources else {})}

    def _named(self) -> tuple[Mapping[str, str], ...]:
        """The sources in the caller's words; none where the arguments tell it all."""
        named = tuple(source.named for source in self.sources)
        return () if all("url" in each for each in named) else named

    def _sources_named(self, word: str) -> tuple[str, ...]:
        return tuple(source.named[word] for source in self.sources if word in source.named)


def _with_request(entry: Entry, form: RequestForm) -> Entry:
    """The entry with its request; where no prompt is kept, it is not written down."""
    arguments = entry.arguments or {}
    return (
        replace(entry, request=form.written(entry.key, arguments))
        if "prompt" in arguments
        else entry
    )


def _without_prompt(arguments: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in arguments.items() if name != "prompt"}
