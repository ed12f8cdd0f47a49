"""The request fields of Flux 2, one capability a class; a variant's params compose them.

The models are as strict as RunAPI. An unset field is `MISSING`: absent from the body and from the
schema alike. Descriptions are read by models that call the tools. They are no docstrings, because
pydantic would find those by reading source, which costs a start 30 ms.
"""

from typing import Annotated, Literal

from pydantic import (
    MISSING,
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from runapi_mcp.base.urls import is_http

MAX_SOURCES = 8
MOST_PICTURES = 8
"""Of one call; each is a task of its own."""
MAX_URL_CHARACTERS = 4096

Ratio = Literal["1:1", "4:3", "3:4", "16:9", "9:16", "3:2", "2:3"]
RatioOrAuto = Literal["auto", "1:1", "4:3", "3:4", "16:9", "9:16", "3:2", "2:3"]


def require_http_url(value: str) -> str:
    """The URL itself.

    Raises:
        ValueError: it is none that RunAPI takes.
    """
    # Checked, never parsed into HttpUrl: that would rewrite signed URLs.
    if len(value) > MAX_URL_CHARACTERS:
        raise ValueError(f"must be at most {MAX_URL_CHARACTERS} characters")
    if not is_http(value):
        raise ValueError("must be a full http:// or https:// URL, in ASCII without spaces")
    return value


def _not_a_boolean(value: object) -> object:
    # To Python, True is 1.
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic turns only this into a refusal
    return value


HttpUrl = Annotated[str, AfterValidator(require_http_url)]


class Capability(BaseModel):
    """Closed, strict and immutable: what is not declared is refused, nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


class Prompt(Capability):
    prompt: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=3, max_length=5000),
        Field(description="3-5000 characters."),
    ]


class Sources(Capability):
    source_image_urls: Annotated[
        list[HttpUrl],
        Field(
            min_length=1,
            max_length=MAX_SOURCES,
            description="1-8 image URLs, local paths or task_ids.",
        ),
    ]


class OneSource(Capability):
    source_image_urls: Annotated[
        list[HttpUrl],
        Field(
            min_length=1, max_length=1, description="Exactly 1 image URL, local path or task_id."
        ),
    ]


class AspectRatio(Capability):
    aspect_ratio: Annotated[Ratio | MISSING, Field(description="Width to height.")] = MISSING


class AspectRatioOrAuto(Capability):
    # What shape that is, RunAPI publishes nowhere.
    aspect_ratio: Annotated[
        RatioOrAuto | MISSING, Field(description="Width to height; unset or auto: RunAPI's choice.")
    ] = MISSING


class RequiredAspectRatio(Capability):
    aspect_ratio: Annotated[Ratio, Field(description="Width to height.")]


class Resolution(Capability):
    output_resolution: Annotated[
        Literal["1k", "2k"] | MISSING, Field(description="Unset costs as 1k.")
    ] = MISSING


class OnlyOneK(Capability):
    output_resolution: Annotated[
        Literal["1k"] | MISSING, Field(description="1k only, the default.")
    ] = MISSING


class SafetyChecker(Capability):
    enable_safety_checker: Annotated[bool | MISSING, Field(description="Content filter.")] = MISSING


class OnlyOneImage(Capability):
    output_count: Annotated[
        Annotated[Literal[1], BeforeValidator(_not_a_boolean)] | MISSING,
        Field(description="1 only, the default."),
    ] = MISSING


class Callback(Capability):
    callback_url: Annotated[HttpUrl | MISSING, Field(description="Webhook.")] = MISSING


# Pydantic collects fields from the last base to the first: the first field is written last.
class Params(Prompt):
    """The validated body of one paid call, without its model."""

    @property
    def resolution(self) -> str | None:
        """What the price goes by; None where it is left to the vendor, or there is one price."""
        return self.model_dump(include={"output_resolution"}).get("output_resolution")

    @property
    def draws_the_same(self) -> bool:
        """Whether each picture of it is the same one."""
        return False


class TextToImage(Callback, SafetyChecker, Resolution, AspectRatio, Params):
    """Pro and flex, from text."""


class PlainTextToImage(Callback, AspectRatio, Params):
    """Klein, from text."""


class Remix(Callback, SafetyChecker, Resolution, AspectRatioOrAuto, Sources, Params):
    """Pro and flex, from images."""


class MaxTextToImage(Callback, OnlyOneImage, OnlyOneK, RequiredAspectRatio, Params):
    """Max, from text."""


class MaxRemix(Callback, OnlyOneImage, OnlyOneK, RequiredAspectRatio, OneSource, Params):
    """Max, from one image."""
