"""What to say of a name that is no parameter of a tool: what leads there, if anything does."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.printable import echo

MOST_NAMED: Final = 5

_HUMP: Final = re.compile(r"([a-z0-9])([A-Z])")
_GAP: Final = re.compile(r"[\s_-]+")

# Names other image services use. RunAPI's Flux 2 has no such thing under any name; some of them
# are fields of flex at Runflow.
_NOT_IN_RUNAPI: Final = frozenset(
    {"seed", "guidance", "guidance_scale", "steps", "num_inference_steps", "negative_prompt",
     "safety_tolerance", "strength"}
)  # fmt: skip

# What people call a field, where spelling alone would not find it. Of two, a tool has one.
_OTHER_NAMES: Final[Mapping[str, Sequence[str]]] = {
    "source_image_urls": (
        "image", "images", "image_url", "image_urls", "input_image", "input_images",
        "reference_images", "source_url",
    ),
    "aspect_ratio": ("ratio",),
    "image_size": ("size", "dimensions", "aspect_ratio", "resolution", "output_resolution"),
    "guidance_scale": ("guidance", "cfg", "cfg_scale"),
    "num_inference_steps": ("steps", "num_steps", "inference_steps"),
    "output_resolution": ("resolution", "quality"),
    "count": (
        "n", "num_images", "output_count", "num_outputs", "samples", "num_samples",
        "number_of_images", "image_count", "batch_size",
    ),
    "limit": ("n", "count", "max_results", "page_size"),
    "width": ("size", "dimensions"),
    "redraw": ("again", "regenerate", "redraw_of", "retry"),
    "prompt": ("text", "description"),
    "enable_safety_checker": ("safety",),
    "callback_url": ("webhook_url", "webhook"),
    "wait_seconds": ("timeout", "wait"),
    "source": ("source_image_urls", "image", "image_path", "input", "input_path", "path"),
    "save_as": (
        "filename", "file_name", "output_path", "output_file", "output_filename", "output",
        "path", "file_path", "save_path",
    ),
    "task_id": ("id", "task"),
    "model": ("variant",),
}  # fmt: skip

# What is no field by another name: the fields of a tool that has a way to it, and the way.
_WAYS: Final[Sequence[tuple[Sequence[str], Sequence[str], str]]] = (
    (
        ("size", "image_size", "width", "height", "dimensions"),
        ("aspect_ratio", "save_as"),
        "aspect_ratio sets the shape, and convert_image makes a copy of an exact size",
    ),
    (
        ("size", "image_size", "width", "height", "dimensions"),
        ("aspect_ratio",),
        "aspect_ratio sets the shape",
    ),
    (("width", "height"), ("image_size",), "image_size takes WIDTHxHEIGHT"),
    (
        ("output_format", "format", "image_format", "file_type", "mime_type"),
        ("save_as",),
        "the suffix of save_as decides the format, .png, .jpg or .webp",
    ),
    (("model", "variant"), ("prompt",), "each model is a tool of its own"),
)


# RunAPI's Max has an output_count, which is 1; nobody is led there.
_ELSEWHERE: Final = {name for each in VARIANTS for name in each.field_names} - {"output_count"}


def unknown_names(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """A sentence on each name, and what the parameters are; nothing where there are no names."""
    if not names:
        return []
    sentences = [_sentence(name, known) for name in names[:MOST_NAMED]]
    if len(names) > MOST_NAMED:
        sentences.append(f"So are {len(names) - MOST_NAMED} more names.")
    have = f"The parameters are {', '.join(known)}." if known else "This tool takes no parameters."
    return [*sentences, have]


def _sentence(name: str, known: Sequence[str]) -> str:
    spelled = _snake_case(name)
    meant = [spelled, *(field for field, others in _OTHER_NAMES.items() if spelled in others)]
    if here := next((field for field in meant if field in known), None):
        return f"{echo(name)} is not a parameter; did you mean {here}?"
    if way := _way(spelled, known):
        return f"{echo(name)} is not a parameter: {way}."
    if elsewhere := _elsewhere(meant):
        return f"{echo(name)} is not for this tool; {elsewhere}."
    if spelled in _NOT_IN_RUNAPI:
        return f"{echo(name)} is not a parameter: RunAPI's Flux 2 has no such setting."
    if close := get_close_matches(spelled, known, n=1):
        return f"{echo(name)} is not a parameter; did you mean {close[0]}?"
    return f"{echo(name)} is not a parameter."


def _way(spelled: str, known: Sequence[str]) -> str | None:
    ways = (way for others, fields, way in _WAYS if spelled in others and {*fields} <= {*known})
    return next(ways, None)


def _elsewhere(meant: Sequence[str]) -> str | None:
    for field in set(meant) & _ELSEWHERE:
        tools = [each.tool_name for each in VARIANTS if field in each.field_names]
        return f"{field} is a parameter of {', '.join(tools)}"
    return None


def _snake_case(name: str) -> str:
    """`aspectRatio`, `aspect-ratio` and `Aspect Ratio` as `aspect_ratio`."""
    spaced = _HUMP.sub(r"\1_\2", name)
    return _GAP.sub("_", spaced).strip("_").lower()
