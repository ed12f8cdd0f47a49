"""The variants: one row each. Tools, schemas, bodies, prices and docs derive from these rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from runapi_mcp.base.catalog import fields, price
from runapi_mcp.base.catalog.fields import Params
from runapi_mcp.base.catalog.price import Schedule
from runapi_mcp.base.errors import NotConfigured

Tier = Literal["pro", "flex", "max"]
Action = Literal["text_to_image", "remix_image", "image_to_image"]

ACTIONS: tuple[Action, ...] = ("text_to_image", "remix_image", "image_to_image")


@dataclass(frozen=True)
class Variant:
    """One Flux 2 model behind one RunAPI action."""

    tier: Tier
    action: Action
    params: type[Params]
    snapshot: Schedule
    purpose: str
    """What it is for, in the words a model chooses by."""

    @cached_property
    def model(self) -> str:
        """RunAPI's model id, e.g. `flux-2-pro-text-to-image`."""
        return f"flux-2-{self.tier}-{self.action.replace('_', '-')}"

    @cached_property
    def tool_name(self) -> str:
        """The tool's name, e.g. `flux_2_pro_text_to_image`."""
        return f"flux_2_{self.tier}_{self.action}"

    @cached_property
    def title(self) -> str:
        """The tool's name for people, e.g. `Flux 2 Pro: text to image`."""
        return f"Flux 2 {self.tier.capitalize()}: {self.action.replace('_', ' ')}"

    @cached_property
    def resolutions(self) -> tuple[str, ...]:
        """The values `output_resolution` takes."""
        union = self.params.model_fields["output_resolution"].annotation
        return tuple(value for arm in get_args(union) for value in get_args(arm))

    @cached_property
    def price_words(self) -> str:
        """The published prices, e.g. `1k $0.05, 2k $0.07`; empty where there are none."""
        cents = {name: self.snapshot.cents(name) for name in self.resolutions}
        known = [f"{name} ${value / 100:.2f}" for name, value in cents.items() if value is not None]
        return ", ".join(known)

    @cached_property
    def field_names(self) -> tuple[str, ...]:
        return tuple(self.params.model_fields)


VARIANTS: tuple[Variant, ...] = (
    Variant(
        "pro",
        "text_to_image",
        fields.TextToImage,
        price.PRO,
        "Draw a new image from text. The default choice: fast and cheap.",
    ),
    Variant(
        "flex",
        "text_to_image",
        fields.TextToImage,
        price.FLEX,
        "Draw a new image from text when it contains lettering or fine detail.",
    ),
    Variant(
        "max",
        "text_to_image",
        fields.MaxTextToImage,
        price.UNPUBLISHED,
        "Draw a new image from text at the highest quality, when that matters more than price.",
    ),
    Variant(
        "pro",
        "remix_image",
        fields.Remix,
        price.PRO,
        "Edit, restyle or combine 1-8 images. The default choice for changes.",
    ),
    Variant(
        "flex",
        "remix_image",
        fields.Remix,
        price.FLEX,
        "Edit or combine 1-8 images when the result has lettering or fine detail.",
    ),
    Variant(
        "max",
        "remix_image",
        fields.MaxRemix,
        price.UNPUBLISHED,
        "Edit one image at the highest quality, when that matters more than price.",
    ),
    Variant(
        "pro",
        "image_to_image",
        fields.Remix,
        price.PRO,
        "The older name of Pro remix.",
    ),
    Variant(
        "flex",
        "image_to_image",
        fields.Remix,
        price.FLEX,
        "The older name of Flex remix.",
    ),
)


def by_model(model: str) -> Variant | None:
    """The variant with RunAPI's id, or with the tool's name."""
    wanted = model.replace("_", "-")
    return next((variant for variant in VARIANTS if variant.model == wanted), None)


def select(names: Iterable[str]) -> tuple[Variant, ...]:
    """The variants of the given tiers and model ids, in catalogue order.

    Raises:
        NotConfigured: a name that is neither, or no name at all.
    """
    wanted = {name.strip().lower().replace("_", "-") for name in names} - {""}
    known = {name for variant in VARIANTS for name in (variant.tier, variant.model)}
    if unknown := sorted(wanted - known):
        raise NotConfigured(
            f"RUNAPI_VARIANTS names {', '.join(unknown)}, which is not a tier or model.",
            f"Use tiers (pro, flex, max) or ids: {', '.join(v.model for v in VARIANTS)}.",
        )
    if not wanted:
        raise NotConfigured(
            "RUNAPI_VARIANTS is set but names nothing.",
            "Unset it for all variants, or name tiers such as pro,flex.",
        )
    return tuple(v for v in VARIANTS if {v.tier, v.model} & wanted)
