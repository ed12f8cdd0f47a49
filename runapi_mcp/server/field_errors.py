"""What is wrong with the params of a request, by the name of the field: the SDK says only that."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult
from mcp_types import INVALID_PARAMS
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from runapi_mcp.base.json_values import is_object
from runapi_mcp.base.printable import echo
from runapi_mcp.server.client_capabilities import Context

MOST_FAULTS: Final = 3

_KINDS: Final[Mapping[str, str]] = {
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "list_type": "an array",
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
}


async def name_fields(ctx: Context, call_next: CallNext) -> HandlerResult:
    """The middleware that does so.

    Raises:
        MCPError: the params are not what the method takes.
    """
    try:
        return await call_next(ctx)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        raise MCPError(INVALID_PARAMS, " ".join(_sentences(faults, ctx.params))) from error


def _sentences(faults: Sequence[ErrorDetails], params: object) -> Iterator[str]:
    by_field: dict[str, list[ErrorDetails]] = {}
    for fault in faults:
        by_field.setdefault(_field(fault, params), []).append(fault)
    for field, about in list(by_field.items())[:MOST_FAULTS]:
        yield _sentence(field, about)


def _sentence(field: str, about: Sequence[ErrorDetails]) -> str:
    """One sentence on a field that several types were tried for."""
    if about[0]["type"] == "missing":
        return f"{field} is required."
    kinds = dict.fromkeys(filter(None, (_KINDS.get(fault["type"]) for fault in about)))
    allowed = " or ".join(kinds) or "what the protocol says"
    return f"{field} must be {allowed}, not {echo(about[0]['input'])}."


def _field(fault: ErrorDetails, params: object) -> str:
    """Its path; what is behind it in the location of a fault names the types that were tried."""
    path: list[str] = []
    value: object = {"params": params} if fault["loc"][:1] == ("params",) else params
    for part in fault["loc"]:
        if not is_object(value):
            break
        path.append(str(part))
        value = value.get(str(part))
    return ".".join(path) or "params"
