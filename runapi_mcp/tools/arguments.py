"""A host's arguments become models, or a refusal that says what is allowed.

Lenient in form: a boolean or integer as a string, an array as a JSON string or as its one item,
and every usual way of saying nothing. Strict in meaning: every unknown name is refused before
anything is sent.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Final, TypeVar, cast, overload

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from runapi_mcp.base.catalog.fields import Capability
from runapi_mcp.base.errors import Refused
from runapi_mcp.base.printable import echo
from runapi_mcp.tools.foreign_names import unknown_names
from runapi_mcp.tools.schema import Schema, field_schema
from runapi_mcp.tools.tool import RawArguments

_UNSET: Final = frozenset({"", "null", "none", "undefined"})
"""What forms and models write into a field that they leave out."""

_DECIMAL: Final = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)

# Where the rule alone does not lead on.
_MORE: Final[Mapping[str, str]] = {
    "source_image_urls": " A local image is named by its path, an earlier one by its task_id.",
    "output_count": " Set count to draw several.",
}

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
    fields = {name: field for model in models for name, field in model.model_fields.items()}
    arguments: Arguments = {}
    for name, value in raw.items():
        schema = field_schema(models, name) if name in fields else {}
        if schema and not _is_unset(value, schema, is_required=fields[name].is_required()):
            arguments[name] = _in_form(value, schema)
    advertised = [name for name, field in fields.items() if not field.deprecated]
    problems += unknown_names([name for name in raw if name not in fields], advertised)
    return arguments


def _is_unset(value: object, schema: Schema, *, is_required: bool) -> bool:
    if is_required or not isinstance(value, str):
        return value is None
    word = value.strip().lower()
    return word in _UNSET and word not in _choices(schema)


def _validate(
    arguments: Mapping[str, object], model: type[First], problems: list[str], context: object
) -> First | None:
    own = {name: value for name, value in arguments.items() if name in model.model_fields}
    try:
        return model.model_validate(own, context=context)
    except ValidationError as error:
        problems += [_problem_of(model, problem) for problem in error.errors(include_url=False)]
        return None


def _in_form(value: object, schema: Schema) -> object:
    """The value a host meant; what cannot be read so is left for validation to refuse."""
    json_type = schema.get("type")
    if isinstance(value, int) and json_type == "string" and str(value) in _choices(schema):
        return str(value)
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


def _number(text: str) -> object:
    # float() would also take "1_0", "nan" and digits of other scripts.
    return float(text) if _DECIMAL.fullmatch(text.strip()) else text


def _array(text: str) -> object:
    """An array that is written as JSON; else the one thing that was meant, if any."""
    if text.strip().lower() in _UNSET:
        return text
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    if isinstance(value, list):
        return cast("list[object]", value)
    return [value if isinstance(value, str) else text]


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "array": _array,
}


def _problem_of(model: type[Capability], problem: ErrorDetails) -> str:
    name, *rest = problem["loc"]
    schema = field_schema((model,), str(name))
    where = f"{name}" + "".join(f"[{index}]" for index in rest)
    given = echo(problem["input"])
    if problem["type"] == "missing":
        return f"{name} is required: {_allowed(schema)}."
    if problem["type"] == "value_error":
        said = problem["msg"].removeprefix("Value error, ")
        return f"{where} {said}, not {given}.{_MORE.get(str(name), '')}"
    if rest:
        return f"{where} must be a string, not {given}."
    more = _closest(problem["input"], schema) or _MORE.get(str(name), "")
    return f"{name} must be {_allowed(schema)}, not {given}.{more}"


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
        case {"type": "integer", "minimum": low, "maximum": high}:
            return f"a whole number from {low} to {high}"
        case {"type": "number", "minimum": low, "maximum": high}:
            return f"a number from {low} to {high}"
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
