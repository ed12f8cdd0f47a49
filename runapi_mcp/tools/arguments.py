"""A host's arguments become models, or a refusal that says what is allowed.

Lenient in form: a boolean or integer as a string, an array as a JSON string, null for unset.
Strict in meaning: every unknown name is refused before anything is sent.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Final, TypeVar, cast, overload

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.catalog.fields import Capability
from runapi_mcp.base.errors import Refused
from runapi_mcp.tools.schema import Schema, field_schema
from runapi_mcp.tools.tool import RawArguments

HOST_ADDED: Final = frozenset(
    {
        "wait_for_previous",  # Gemini CLI, measured
        "waitForPreviousTools",  # this and the next three: reported of other hosts
        "toolAction",
        "toolSummary",
        "security_risk",
    }
)
"""Names that hosts add to every schema and send along; they mean nothing here."""

LONGEST_ECHO: Final = 60
MOST_NAMED: Final = 5

_HUMP: Final = re.compile(r"([a-z0-9])([A-Z])")
_GAP: Final = re.compile(r"[\s_-]+")

# Names other image services use. RunAPI's Flux 2 has no such thing under any name.
_NOT_IN_RUNAPI: Final = frozenset(
    {"seed", "guidance", "guidance_scale", "steps", "num_inference_steps", "negative_prompt",
     "output_format", "safety_tolerance", "strength", "image_size", "width", "height"}
)  # fmt: skip

_SOURCES_TOO: Final = " A local image is named by its path, an earlier one by its task_id."

# What people call a field, where spelling alone would not find it.
_OTHER_NAMES: Final = {
    other: field
    for field, others in {
        "source_image_urls": (
            "image", "images", "image_url", "image_urls", "input_image", "input_images",
            "reference_images", "source_url",
        ),
        "aspect_ratio": ("ratio",),
        "output_resolution": ("resolution", "quality"),
        "count": ("n", "num_images", "output_count", "number_of_images", "batch_size"),
        "redraw": ("again", "regenerate", "redraw_of", "retry"),
        "prompt": ("text", "description"),
        "enable_safety_checker": ("safety",),
        "callback_url": ("webhook_url", "webhook"),
        "wait_seconds": ("timeout", "wait"),
        "task_id": ("id",),
        "model": ("variant",),
    }.items()
    for other in others
}  # fmt: skip

First = TypeVar("First", bound=Capability)
Second = TypeVar("Second", bound=Capability)
Arguments = dict[str, object]


@overload
def accept(raw: RawArguments) -> tuple[()]: ...
@overload
def accept(raw: RawArguments, first: type[First], /, *, context: object = None) -> tuple[First]: ...
@overload
def accept(
    raw: RawArguments, first: type[First], second: type[Second], /
) -> tuple[First, Second]: ...
def accept(
    raw: RawArguments, *models: type[Capability], context: object = None
) -> tuple[Capability, ...]:
    """The arguments as models, each with the fields that are its own.

    `context` is what the models' validators are told.

    Raises:
        Refused: with every problem, named by its field.
    """
    problems: list[str] = []
    arguments = _parse_forms(raw, models, problems)
    accepted = [_validate(arguments, model, problems, context) for model in models]
    if problems:
        raise Refused(" ".join(problems), "Nothing was sent or paid; correct this and call again.")
    return tuple(model for model in accepted if model is not None)


def _parse_forms(
    raw: RawArguments, models: tuple[type[Capability], ...], problems: list[str]
) -> Arguments:
    """The known arguments in their intended form; unknown names go to the problems."""
    known = [name for model in models for name in model.model_fields]
    arguments: Arguments = {}
    unknown: list[str] = []
    for name, value in raw.items():
        if name in known:
            if value is not None:
                arguments[name] = _in_form(value, field_schema(models, name).get("type"))
        elif name not in HOST_ADDED:
            unknown.append(name)
    problems += _unknown_names(unknown, known)
    return arguments


def _validate(
    arguments: Mapping[str, object], model: type[First], problems: list[str], context: object
) -> First | None:
    own = {name: value for name, value in arguments.items() if name in model.model_fields}
    try:
        return model.model_validate(own, context=context)
    except ValidationError as error:
        problems += [_problem_of(model, problem) for problem in error.errors(include_url=False)]
        return None


def _in_form(value: object, json_type: object) -> object:
    """The value a host meant; what cannot be read so is left for validation to refuse."""
    if isinstance(value, float) and value.is_integer() and json_type == "integer":
        return int(value)
    if not isinstance(value, str):
        return value
    read = _READERS.get(str(json_type))
    return read(value) if read else value


def _boolean(text: str) -> object:
    return {"true": True, "false": False}.get(text.strip().lower(), text)


def _integer(text: str) -> object:
    # int() would also take "1_0" and digits of other scripts.
    digits = text.strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else text


def _array(text: str) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return cast("list[object]", value) if isinstance(value, list) else text


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "boolean": _boolean,
    "integer": _integer,
    "array": _array,
}


def _unknown_names(names: Sequence[str], known: Sequence[str]) -> list[str]:
    if not names:
        return []
    sentences = [_unknown_name(name, known) for name in names[:MOST_NAMED]]
    if len(names) > MOST_NAMED:
        sentences.append(f"So are {len(names) - MOST_NAMED} more names.")
    have = f"The parameters are {', '.join(known)}." if known else "This tool takes no parameters."
    return [*sentences, have]


def _unknown_name(name: str, known: Sequence[str]) -> str:
    spelled = _snake_case(name)
    meant = _OTHER_NAMES.get(spelled, spelled)
    if meant in known:
        return f"{_echo(name)} is not a parameter; did you mean {meant}?"
    if tools := [variant.tool_name for variant in VARIANTS if meant in variant.field_names]:
        return f"{_echo(name)} is not for this tool; {meant} is a parameter of {', '.join(tools)}."
    if spelled in _NOT_IN_RUNAPI:
        return f"{_echo(name)} is not a parameter: RunAPI's Flux 2 has no such setting."
    if close := get_close_matches(spelled, known, n=1):
        return f"{_echo(name)} is not a parameter; did you mean {close[0]}?"
    return f"{_echo(name)} is not a parameter."


def _problem_of(model: type[Capability], problem: ErrorDetails) -> str:
    name, *rest = problem["loc"]
    schema = field_schema((model,), str(name))
    where = f"{name}" + "".join(f"[{index}]" for index in rest)
    given = _echo(problem["input"])
    if problem["type"] == "missing":
        return f"{name} is required: {_allowed(schema)}."
    if problem["type"] == "value_error":
        said = problem["msg"].removeprefix("Value error, ")
        return f"{where} {said}, not {given}.{_SOURCES_TOO if name == 'source_image_urls' else ''}"
    if rest:
        return f"{where} must be a string, not {given}."
    return f"{name} must be {_allowed(schema)}, not {given}.{_closest(problem['input'], schema)}"


def _allowed(schema: Schema) -> str:
    if choices := _choices(schema):
        return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"
    match schema:
        case {"type": "string", "minLength": low, "maxLength": high}:
            return f"text of {low}-{high} characters"
        case {"type": "array", "minItems": low, "maxItems": high}:
            return (
                f"an array of {low}-{high} URLs, paths or task_ids"
                if low != high
                else "an array of one URL, path or task_id"
            )
        case {"type": "integer", "description": str(words)}:
            return f"a whole number, {words.rstrip('.')}"
        case {"type": "boolean"}:
            return "true or false"
        case _:
            return "a string"


def _closest(value: object, schema: Schema) -> str:
    if not isinstance(value, str):
        return ""
    close = get_close_matches(value.strip().lower(), _choices(schema), n=1)
    return f" Did you mean {close[0]}?" if close else ""


def _choices(schema: Schema) -> list[str]:
    if "const" in schema:
        return [str(schema["const"])]
    return [str(choice) for choice in cast("Iterable[object]", schema.get("enum", ()))]


def _snake_case(name: str) -> str:
    """`aspectRatio`, `aspect-ratio` and `Aspect Ratio` as `aspect_ratio`."""
    spaced = _HUMP.sub(r"\1_\2", name)
    return _GAP.sub("_", spaced).strip("_").lower()


def _echo(value: object) -> str:
    """The value as the caller gave it: on one line, short, and only what is printable."""
    if isinstance(value, list):
        return f"{len(cast('list[object]', value))} items"
    if isinstance(value, str) and len(value) > LONGEST_ECHO:
        return f"{len(value)} characters beginning {value[:LONGEST_ECHO]!r}"
    return ascii(value)[:LONGEST_ECHO] if not isinstance(value, str) else repr(value)
