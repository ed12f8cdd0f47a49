"""A host's arguments become models, or a refusal that says what is allowed.

Lenient in form: a boolean or integer as a string, an array as a JSON string, null for unset.
Strict in meaning: every unknown name is refused before anything is sent.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final, TypeVar, cast, overload

from pydantic import ValidationError

from runapi_mcp.base.catalog.fields import Capability
from runapi_mcp.base.errors import Refused
from runapi_mcp.tools.refusals import problem_of, unknown_names
from runapi_mcp.tools.schema import field_schema
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
    problems += unknown_names(unknown, known)
    return arguments


def _validate(
    arguments: Mapping[str, object], model: type[First], problems: list[str], context: object
) -> First | None:
    own = {name: value for name, value in arguments.items() if name in model.model_fields}
    try:
        return model.model_validate(own, context=context)
    except ValidationError as error:
        problems += [problem_of(model, problem) for problem in error.errors(include_url=False)]
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
