"""The arguments that belong to tools rather than to RunAPI."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Annotated, Final, Literal, cast

from pydantic import MISSING, AfterValidator, Field, ValidationInfo, WithJsonSchema

from runapi_mcp.base.catalog import VARIANTS, Variant, by_model
from runapi_mcp.base.catalog.fields import MOST_PICTURES, Capability
from runapi_mcp.base.catalog.task_ids import canonical
from runapi_mcp.base.settings import LONGEST_WAIT_SECONDS
from runapi_mcp.images.naming import normalise_name, split_suffix
from runapi_mcp.tools.source_names import Address, parse_name

NAMES_FILE: Final = frozenset({"save_as"})
"""What is of use only where pictures are saved."""
DEFAULT_LISTED: Final = 10
MOST_LISTED: Final = 50
LARGEST_PREVIEW_PX: Final = 512

# Every drawing tool has these: the range is told once, in the description that no host drops.
_RANGE_IN_WORDS: Final = WithJsonSchema({"type": "integer"})


def _canonical_uuid(value: str) -> str:
    # The Tasks extension's ids begin with it.
    if task_id := canonical(value.partition(".")[0]):
        return task_id
    raise ValueError("must be a UUID, the task_id of an earlier answer")


def _known_variant(value: str, info: ValidationInfo) -> str:
    # The context is whatever the caller of `accept` gives: the variants it knows.
    known = cast("Sequence[Variant]", info.context or VARIANTS)
    if variant := by_model(value.strip().lower(), known):
        return variant.model
    models = [variant.model for variant in known]
    close = get_close_matches(value.strip().lower().replace("_", "-"), models, n=1)
    meant = f" (did you mean {close[0]}?)" if close else ""
    raise ValueError(f"must be one of {', '.join(models)}{meant}")


def _path_or_task_id(value: str) -> str:
    try:
        is_address = isinstance(parse_name(value), Address)
    except ValueError:
        is_address = True
    if is_address:
        raise ValueError("must be the path of an image, or the task_id of an earlier answer")
    return value


def _name_of_a_format(value: str) -> str:
    if not split_suffix(value.strip())[1]:
        raise ValueError("must end in .png, .jpg, .jpeg or .webp")
    return normalise_name(value)


_Side = Annotated[int, Field(ge=16, le=16_384), _RANGE_IN_WORDS]


class Waiting(Capability):
    wait_seconds: Annotated[
        Annotated[int, Field(ge=0, le=LONGEST_WAIT_SECONDS), _RANGE_IN_WORDS] | MISSING,
        Field(description="0-600 s."),
    ] = MISSING

    def or_else(self, seconds: float) -> float:
        """How long to wait, when that is the wait of a call that does not say."""
        return seconds if self.wait_seconds is MISSING else self.wait_seconds


class SaveAs(Capability):
    save_as: Annotated[
        Annotated[str, AfterValidator(normalise_name)] | MISSING,
        Field(description="File path; .png, .jpg or .webp sets the format."),
    ] = MISSING


class ConversionOptions(Capability):
    """What another file of an image is to be."""

    source: Annotated[str, AfterValidator(_path_or_task_id), Field(description="Path or task_id.")]

    save_as: Annotated[
        str, AfterValidator(_name_of_a_format), Field(description="Path with suffix.")
    ]

    width: Annotated[_Side | MISSING, Field(description="16-16384 px.")] = MISSING

    height: Annotated[_Side | MISSING, Field(description="16-16384 px.")] = MISSING

    fit: Annotated[
        Literal["cover", "contain"], Field(description="cover crops to width x height.")
    ] = "cover"

    quality: Annotated[
        Annotated[int, Field(ge=1, le=100), _RANGE_IN_WORDS] | MISSING,
        Field(description="1-100, of JPEG and WebP."),
    ] = MISSING

    def is_met_by(self, width: int, height: int) -> bool:
        """Whether a picture of this size is as large as asked."""
        asked = [
            (wanted, made)
            for wanted, made in ((self.width, width), (self.height, height))
            if wanted is not MISSING
        ]
        alike = [wanted == made for wanted, made in asked]
        return all(alike) if self.fit == "cover" else not asked or any(alike)


class PreviewSize(Capability):
    preview_px: Annotated[
        Annotated[int, Field(ge=0, le=LARGEST_PREVIEW_PX), _RANGE_IN_WORDS] | MISSING,
        Field(description="0-512."),
    ] = MISSING

    def preview(self) -> int | None:
        """How large a preview is to be; None where the call does not say."""
        return None if self.preview_px is MISSING else self.preview_px


class Count(Capability):
    count: Annotated[
        Annotated[int, Field(ge=1, le=MOST_PICTURES), _RANGE_IN_WORDS],
        Field(description="1-8 new images."),
    ] = 1


class Redraw(Capability):
    redraw: Annotated[
        Annotated[str, AfterValidator(_canonical_uuid)] | MISSING,
        Field(description="task_id to draw anew."),
    ] = MISSING


# The first field is written last.
class DrawingOptions(Redraw, PreviewSize, Waiting, SaveAs, Count):
    """What a drawing call takes besides what RunAPI does."""


class ReadingOptions(PreviewSize, Waiting):
    """What reading a task takes besides its id."""


class TaskReference(Capability):
    task_id: Annotated[
        str, AfterValidator(_canonical_uuid), Field(description="UUID from an earlier answer.")
    ]


class PriceQuestion(Capability):
    model: Annotated[
        Annotated[str, AfterValidator(_known_variant)] | MISSING,
        Field(description="Model id; unset for all."),
    ] = MISSING

    output_resolution: Annotated[
        Literal["1k", "2k"] | MISSING, Field(description="Unset for both.")
    ] = MISSING

    @property
    def resolution(self) -> str | None:
        """At what those are priced that have no output_resolution."""
        return None


class ListQuestion(Capability):
    show: Annotated[
        Literal["recent", "running", "undelivered"], Field(description="Which tasks.")
    ] = "recent"

    limit: Annotated[
        Annotated[int, Field(ge=1, le=MOST_LISTED), _RANGE_IN_WORDS], Field(description="1-50.")
    ] = DEFAULT_LISTED
