"""The body of a create: what flex takes, and what every run does. Closed and strict."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import (
    MISSING,
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)

from runapi_mcp.base.catalog.image_size import DEFAULT_PRESET, PRESETS, ImageSize
from runapi_mcp.base.urls import is_http
from runapi_mcp.sandbox.http_messages import FieldErrors, invalid

CENTS_A_MEGAPIXEL: Final = 5
SHORTEST_SIDE_PX: Final = 64
LONGEST_SIDE_PX: Final = 2048

_Preset = Literal[
    "square_hd", "square", "portrait_4_3", "portrait_16_9", "landscape_4_3", "landscape_16_9"
]
_Side = Annotated[int, Field(ge=SHORTEST_SIDE_PX, le=LONGEST_SIDE_PX)]
_FORMS: Final = ("preset", "pixels")


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class Pixels(_Closed):
    width: _Side
    height: _Side


def _form_of_size(value: object) -> str:
    return "preset" if isinstance(value, str) else "pixels"


def _require_callback_url(value: str) -> str:
    if not is_http(value):
        raise ValueError("must be a full http:// or https:// URL")
    return value


class FlexInput(_Closed):
    prompt: Annotated[str, Field(min_length=1, pattern=r"\S")]
    image_size: (
        Annotated[
            Annotated[_Preset, Tag("preset")] | Annotated[Pixels, Tag("pixels")],
            Discriminator(_form_of_size),
        ]
        | MISSING
    ) = MISSING
    guidance_scale: Annotated[float, Field(ge=1.5, le=10, allow_inf_nan=False)] | MISSING = MISSING
    num_inference_steps: Annotated[int, Field(ge=2, le=50)] | MISSING = MISSING
    seed: Annotated[int, Field(ge=0, lt=2**63)] | MISSING = MISSING
    output_format: Literal["jpeg", "png"] | MISSING = MISSING
    safety_tolerance: Literal["1", "2", "3", "4", "5"] | MISSING = MISSING
    enable_safety_checker: bool | MISSING = MISSING
    sync_mode: Annotated[Literal[False], Field(description="No data URIs here.")] | MISSING = (
        MISSING
    )

    @property
    def size(self) -> ImageSize:
        if isinstance(self.image_size, Pixels):
            return ImageSize(self.image_size.width, self.image_size.height)
        return PRESETS[self.image_size if isinstance(self.image_size, str) else DEFAULT_PRESET]

    @property
    def price_cents(self) -> int:
        return CENTS_A_MEGAPIXEL * self.size.megapixels

    @property
    def file_format(self) -> Literal["png", "jpeg"]:
        return self.output_format if isinstance(self.output_format, str) else "jpeg"


class FlexOrder(_Closed):
    input: FlexInput
    metadata: dict[str, object] | MISSING = MISSING
    callback_url: (
        Annotated[str, Field(max_length=2048), AfterValidator(_require_callback_url)] | MISSING
    ) = MISSING
    client_ref: Annotated[str, Field(min_length=1, max_length=255)] | MISSING = MISSING


def order_of(body: Mapping[str, object]) -> FlexOrder:
    """The order of a create body; refused with 422 where a field is wrong."""
    try:
        return FlexOrder.model_validate(body)
    except ValidationError as error:
        errors: FieldErrors = defaultdict(list)
        for problem in error.errors(include_url=False):
            place = [str(part) for part in problem["loc"] if part not in _FORMS]
            errors[".".join(place)].append(problem["msg"].removeprefix("Value error, "))
        raise invalid(dict(errors)) from error
