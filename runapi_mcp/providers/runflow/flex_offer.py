"""What Runflow's public list says of flex: whether it is sold, where, in which sizes, at what
price. Needs no key; kept for ten minutes.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import anyio

from runapi_mcp.base.amounts import tidy
from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.image_size import MOST_MEGAPIXELS, PRESETS, ImageSize, parse_size
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.errors import ProviderFailure, Refused
from runapi_mcp.base.json_values import Json, as_list, as_number, as_object, as_text
from runapi_mcp.providers.runflow.run_messages import Ask, RunReply, RunRequest

_FRESH_SECONDS: Final = 600.0
_RETRY_SECONDS: Final = 30.0
"""How long after a failed look-up the next one is made."""
_LOOKUP_SECONDS: Final = 4.0
"""The longest that anybody waits for it."""
LARGEST_PAGE: Final = 500
_LISTS: Final = ("items", "data", "models")
_LEAST: Final = ("min", "minimum", "ge")
_MOST: Final = ("max", "maximum", "le")
_NOT_SOLD: Final = frozenset(
    {"unavailable", "not_available", "coming_soon", "disabled", "deprecated", "retired", "offline"}
)
"""What it may say of a model that cannot be ordered. Of other words the create tells more."""
_PATH: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}(/[a-z0-9][a-z0-9._-]{0,63}){1,2}", re.ASCII)
_PRICE: Final = re.compile(
    r"\$\s?(\d{1,3}(?:\.\d{1,4})?)\s*(?:/|per)\s*(?:MP|megapixel)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Offer:
    """One model as the list describes it; None where it says nothing that is understood."""

    path: str | None = None
    availability: str | None = None
    megapixel_cents: float | None = None
    least_px: float | None = None
    most_px: float | None = None
    sandbox: bool = False


class Offers:
    """What the list said last. Never fails: what cannot be read is not known."""

    def __init__(self, ask: Ask[Mapping[str, Offer]]) -> None:
        self._ask = ask
        self._by_slug: Mapping[str, Offer] = {}
        self._next_lookup_at = 0.0
        self._refreshing = anyio.Lock()

    async def of(self, variant: Variant) -> Offer:
        """The offer of a model, looked up for four seconds at most where that is due."""
        if anyio.current_time() >= self._next_lookup_at:
            with anyio.move_on_after(_LOOKUP_SECONDS):
                await self._refresh()
        return self.known(variant)

    def known(self, variant: Variant) -> Offer:
        return self._by_slug.get(variant.service.rpartition("/")[2], _UNKNOWN)

    async def _refresh(self) -> None:
        async with self._refreshing:
            now = anyio.current_time()
            if now < self._next_lookup_at:
                return
            # What fails or takes too long is not begun again by the next call.
            self._next_lookup_at = now + _RETRY_SECONDS
            request = RunRequest("GET", "/v1/public/models", query={"limit": str(LARGEST_PAGE)})
            try:
                self._by_slug = await self._ask(request, _parse)
            except ProviderFailure:
                return
            self._next_lookup_at = now + _FRESH_SECONDS


_UNKNOWN: Final = Offer()


def price_of(offer: Offer, variant: Variant, resolution: str | None) -> Price:
    """The price of a resolution such as `2mp`; without one, of one megapixel."""
    megapixels = int((resolution or "1mp").removesuffix("mp"))
    if offer.megapixel_cents is not None:
        cents = tidy(offer.megapixel_cents * megapixels)
        return Price(cents, "sandbox" if offer.sandbox else "live")
    published = variant.snapshot.cents(None)
    if published is None:
        return Price(None, "unknown")
    return Price(tidy(published * megapixels), "snapshot")


def require_sold(offer: Offer, image_size: str) -> None:
    """
    Raises:
        Refused: it cannot be ordered at all, or not in this size.
    """
    if (offer.availability or "").lower() in _NOT_SOLD:
        raise Refused(
            f"Runflow's public list says that flex cannot be ordered now: {offer.availability}.",
            "This call paid nothing. Draw with a tool of RunAPI.",
        )
    if image_size in PRESETS:
        return
    size = parse_size(image_size)
    if problem := next(_problems(size, offer), None):
        raise Refused(f"image_size {size} {problem}.", "This call paid nothing; correct it.")


def _problems(size: ImageSize, offer: Offer) -> Iterator[str]:
    if offer.least_px is not None and min(size) < offer.least_px:
        yield f"has a side below {offer.least_px:g} px, which Runflow's public list gives"
    if offer.most_px is not None and max(size) > offer.most_px:
        yield f"has a side above {offer.most_px:g} px, which Runflow's public list gives"
    if offer.most_px is None and size.megapixels > MOST_MEGAPIXELS:
        yield f"is above {MOST_MEGAPIXELS} megapixels (of 1,048,576 pixels)"


def _parse(reply: RunReply) -> Mapping[str, Offer]:
    models = (as_object(model) for name in _LISTS for model in as_list(reply.body.get(name)))
    return {
        slug: _offer(model, sandbox=reply.answer.sandbox)
        for model in models
        if (slug := (as_text(model.get("slug")) or "").rpartition("/")[2])
    }


def _offer(model: Json, *, sandbox: bool) -> Offer:
    least_px, most_px = _sides(model)
    return Offer(
        path=_path(model),
        availability=as_text(model.get("availability_status")),
        megapixel_cents=_megapixel_cents(as_text(model.get("pricing_note")) or ""),
        least_px=least_px,
        most_px=most_px,
        sandbox=sandbox,
    )


def _path(model: Json) -> str | None:
    """Where a model is ordered, if the list says so: `owner/slug`, whole or in two fields."""
    slug, owner = as_text(model.get("slug")) or "", as_text(model.get("owner")) or ""
    told = (as_text(model.get("path")), slug, f"{owner}/{slug}")
    return next((path for path in told if path and _PATH.fullmatch(path)), None)


def _sides(model: Json) -> tuple[float | None, float | None]:
    """The least and the most that a side of an image may have."""
    for given in map(as_object, as_list(model.get("inputs"))):
        if as_text(given.get("name")) in ("image_size", "width", "height"):
            bounds = {**given, **as_object(given.get("validator_attrs"))}
            return _first_number(bounds, _LEAST), _first_number(bounds, _MOST)
    return None, None


def _first_number(entries: Json, names: tuple[str, ...]) -> float | None:
    return next(filter(None, (as_number(entries.get(name)) for name in names)), None)


def _megapixel_cents(note: str) -> float | None:
    found = _PRICE.search(note)
    return None if found is None else tidy(float(found[1]) * 100)
