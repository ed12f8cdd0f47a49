"""What Runflow sells: flex with its own fields. Imported only where there is a key of Runflow.

Its ranges are those of its public page; what a field means there, fal's types tell, which they are
to the letter.
"""

from typing import Annotated, Final, Literal

from pydantic import MISSING, AfterValidator, BeforeValidator, Field

from runapi_mcp.base.catalog.fields import Callback, Capability, Params, SafetyChecker
from runapi_mcp.base.catalog.image_size import DEFAULT_PRESET, as_one_text, parse_size, tidy_size
from runapi_mcp.base.catalog.price import Schedule
from runapi_mcp.base.catalog.tiers import Tier
from runapi_mcp.base.catalog.variants import Variant
from runapi_mcp.base.catalog.vendors import RUNFLOW

MOST_SEED: Final = 4_294_967_295


class Size(Capability):
    # One text, because hosts mangle what may be a text or an object.
    image_size: Annotated[
        Annotated[str, BeforeValidator(as_one_text), AfterValidator(tidy_size)] | MISSING,
        Field(
            description="square_hd, square, portrait_4_3, portrait_16_9, landscape_4_3 (default), "
            "landscape_16_9 or WIDTHxHEIGHT."
        ),
    ] = MISSING

    @property
    def resolution(self) -> str:
        """What the price goes by: the megapixels that are charged, such as `2mp`."""
        size = DEFAULT_PRESET if self.image_size is MISSING else self.image_size
        return f"{parse_size(size).megapixels}mp"


class Guidance(Capability):
    guidance_scale: Annotated[
        Annotated[float, Field(ge=1.5, le=10)] | MISSING,
        Field(description="How closely the prompt is followed, 1.5-10; unset 3.5."),
    ] = MISSING


class Steps(Capability):
    num_inference_steps: Annotated[
        Annotated[int, Field(ge=2, le=50)] | MISSING,
        Field(description="2-50; unset 28."),
    ] = MISSING


class Seed(Capability):
    seed: Annotated[
        Annotated[int, Field(ge=0, le=MOST_SEED)] | MISSING,
        Field(description="The same seed and arguments draw the same."),
    ] = MISSING

    @property
    def draws_the_same(self) -> bool:
        """Whether each picture of it is the same one."""
        return self.seed is not MISSING


class OutputFormat(Capability):
    output_format: Annotated[Literal["jpeg", "png"] | MISSING, Field(description="Unset jpeg.")] = (
        MISSING
    )


class SafetyTolerance(Capability):
    safety_tolerance: Annotated[
        Literal["1", "2", "3", "4", "5"] | MISSING, Field(description="1 is strictest; unset 2.")
    ] = MISSING


class RunflowTextToImage(
    Callback, SafetyChecker, SafetyTolerance, OutputFormat, Seed, Steps, Guidance, Size, Params
):
    """Flex at Runflow, from text."""


RUNFLOW_FLEX: Final = Tier(
    name="flex",
    service="black-forest-labs/flux-2-flex",
    usual_seconds=18,
    sandbox_seconds=6,
    when="seed, steps, guidance, sizes",
    snapshot=Schedule(5, unit="a megapixel"),
    vendor=RUNFLOW,
)
RUNFLOW_VARIANTS: Final = (
    Variant(
        RUNFLOW_FLEX,
        "text_to_image",
        RunflowTextToImage,
        "Draw a new image from text at Runflow when seed, steps, guidance or an exact size matter.",
        own_model="runflow-flux-2-flex-text-to-image",
        own_tool_name="runflow_flex_text_to_image",
    ),
)
