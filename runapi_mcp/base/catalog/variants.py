"""The variants: one row each. Tools, schemas, bodies, prices and docs derive from these rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from runapi_mcp.base.amounts import dollars
from runapi_mcp.base.catalog import fields
from runapi_mcp.base.catalog.fields import Params
from runapi_mcp.base.catalog.price import Schedule
from runapi_mcp.base.catalog.tiers import FLEX, KLEIN, MAX, PRO, Tier
from runapi_mcp.base.catalog.vendors import RUNAPI, Vendor
from runapi_mcp.base.errors import NotConfigured

Action = Literal["text_to_image", "remix_image", "image_to_image"]


@dataclass(frozen=True)
class Variant:
    """One Flux 2 model behind one action of its vendor."""

    tier: Tier
    action: Action
    params: type[Params]
    purpose: str
    """What it is for, in the words a model chooses by: the first sentence says when."""
    own_model: str | None = None
    """The model id, where it is not RunAPI's that tells the action."""
    own_tool_name: str | None = None
    """The tool's name, where it is not made of tier and action."""

    @cached_property
    def model(self) -> str:
        """RunAPI's model id, e.g. `flux-2-pro-text-to-image`."""
        return self.own_model or self.tool_name.replace("_", "-")

    @cached_property
    def tool_name(self) -> str:
        """The tool's name, e.g. `flux_2_pro_text_to_image`."""
        return self.own_tool_name or f"flux_2_{self.tier.name}_{self.action}"

    @property
    def vendor(self) -> Vendor:
        return self.tier.vendor

    @property
    def service(self) -> str:
        return self.tier.service

    @property
    def snapshot(self) -> Schedule:
        return self.tier.snapshot

    @cached_property
    def ids(self) -> frozenset[str]:
        """What names this variant alone: its model id and its tool's name, with hyphens."""
        return frozenset({self.model, self.tool_name.replace("_", "-")})

    @cached_property
    def title(self) -> str:
        """The tool's name for people, e.g. `Flux 2 Pro: text to image`."""
        return f"Flux 2 {self.tier.title}: {self.action.replace('_', ' ')}"

    @cached_property
    def resolutions(self) -> tuple[str, ...]:
        """The values `output_resolution` takes; none where there is no such field."""
        field = self.params.model_fields.get("output_resolution")
        arms = get_args(field.annotation) if field else ()
        return tuple(value for arm in arms for value in get_args(arm))

    @cached_property
    def price_words(self) -> str:
        """The published prices, e.g. `1k $0.05, 2k $0.07`; empty where there are none."""
        cents = [(f"{name} ", self.snapshot.cents(name)) for name in self.resolutions]
        cents = cents or [("", self.snapshot.cents(None))]
        unit = self.snapshot.unit
        known = [(name, dollars(value)) for name, value in cents if value is not None]
        return ", ".join(f"{name}{amount} {unit}".rstrip() for name, amount in known)

    @cached_property
    def field_names(self) -> tuple[str, ...]:
        return tuple(self.params.model_fields)


VARIANTS: tuple[Variant, ...] = (
    Variant(
        PRO,
        "text_to_image",
        fields.TextToImage,
        "Draw a new image from text: the default choice, fast and cheap.",
    ),
    Variant(
        FLEX,
        "text_to_image",
        fields.TextToImage,
        "Draw a new image from text when it contains lettering or fine detail.",
    ),
    Variant(
        MAX,
        "text_to_image",
        fields.MaxTextToImage,
        "Draw a new image from text at the highest quality, when that matters more than price.",
    ),
    Variant(
        KLEIN,
        "text_to_image",
        fields.PlainTextToImage,
        "Draft a new image from text when the lowest price matters most.",
        own_model="flux-2-klein",
    ),
    Variant(
        PRO,
        "remix_image",
        fields.Remix,
        "Edit, restyle or combine 1-8 images: the default choice for changes.",
    ),
    Variant(
        FLEX,
        "remix_image",
        fields.Remix,
        "Edit or combine 1-8 images when the result has lettering or fine detail.",
    ),
    Variant(
        MAX,
        "remix_image",
        fields.MaxRemix,
        "Edit one image at the highest quality, when that matters more than price.",
    ),
    Variant(PRO, "image_to_image", fields.Remix, "Same as flux_2_pro_remix_image; prefer that."),
    Variant(FLEX, "image_to_image", fields.Remix, "Same as flux_2_flex_remix_image; prefer that."),
)


def by_model(model: str, among: Sequence[Variant] = VARIANTS) -> Variant | None:
    """The variant with RunAPI's id, or with the tool's name."""
    wanted = model.replace("_", "-")
    return next((variant for variant in among if wanted in variant.ids), None)


def tiers_of(variants: Iterable[Variant]) -> tuple[Tier, ...]:
    """Their tiers, each once, in catalogue order."""
    return tuple(dict.fromkeys(variant.tier for variant in variants))


def select(names: Iterable[str], among: Sequence[Variant] = VARIANTS) -> tuple[Variant, ...]:
    """The variants of the given tiers and model ids, in catalogue order.

    Raises:
        NotConfigured: a name that is neither, or no name at all.
    """
    wanted = {name.strip().lower().replace("_", "-") for name in names} - {""}
    known = {name for variant in among for name in _names(variant)}
    if unknown := sorted(wanted - known):
        tiers = ", ".join(tier.name for tier in tiers_of(among) if tier.vendor is RUNAPI)
        raise NotConfigured(
            f"RUNAPI_VARIANTS names {', '.join(unknown)}, which is not a tier or model.",
            f"Use tiers ({tiers}) or ids: {', '.join(v.model for v in among)}.",
        )
    if not wanted:
        raise NotConfigured(
            "RUNAPI_VARIANTS is set but names nothing.",
            "Unset it for all variants, or name tiers such as pro,flex.",
        )
    return tuple(variant for variant in among if _names(variant) & wanted)


def _names(variant: Variant) -> frozenset[str]:
    """What a user selects it by: tiers are RunAPI's."""
    return variant.ids | {variant.tier.name} if variant.vendor is RUNAPI else variant.ids
