"""Request bodies checked as RunAPI checks them: field errors in its own shape."""

from collections import defaultdict
from collections.abc import Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from runapi_mcp.base.catalog import Params, Variant
from runapi_mcp.sandbox.endpoints import Endpoint

FieldErrors = dict[str, list[str]]


class Invalid(Exception):
    """A body that RunAPI refuses with 422; `errors` name the fields."""

    def __init__(self, errors: FieldErrors) -> None:
        super().__init__(str(errors))
        self.errors = errors


def validate(endpoint: Endpoint, body: Mapping[str, object]) -> tuple[Variant, Params]:
    """The variant and params of a create body.

    Raises:
        Invalid: a field that is missing, unknown or out of range.
    """
    variant = _variant(endpoint, body.get("model"))
    fields = {name: value for name, value in body.items() if name != "model"}
    try:
        return variant, variant.params.model_validate(fields)
    except ValidationError as error:
        raise Invalid(_by_field(error.errors(include_url=False))) from error


def _variant(endpoint: Endpoint, model: object) -> Variant:
    if model is None or model == "":
        raise Invalid({"model": ["is required"]})
    variant = next((variant for variant in endpoint.variants if variant.model == model), None)
    if variant is None:
        raise Invalid({"model": [f"is not available for {endpoint.action}"]})
    return variant


def _by_field(problems: list[ErrorDetails]) -> FieldErrors:
    errors: FieldErrors = defaultdict(list)
    for problem in problems:
        errors[str(problem["loc"][0])].append(_reason(problem))
    return dict(errors)


def _reason(problem: ErrorDetails) -> str:
    match problem["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "is not permitted for this model"
        case "literal_error":
            return f"must be one of {problem.get('ctx', {}).get('expected')}"
        case _:
            return f"is invalid: {problem['msg'].removeprefix('Value error, ')}"
