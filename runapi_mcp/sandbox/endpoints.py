"""The paid part of the contract: an endpoint for each action of a service, and what it takes."""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from runapi_mcp.base.catalog import Action, Params, Variant
from runapi_mcp.sandbox.http_messages import FieldErrors, invalid


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where tasks of one service and action are made and read, and the variants it sells."""

    service: str
    action: Action
    variants: tuple[Variant, ...]

    @property
    def path(self) -> str:
        return f"/api/v1/{self.service}/{self.action}"

    def identity(self, body: Mapping[str, object]) -> Hashable:
        """What two requests with one idempotency key must share."""
        return self.path, repr(sorted(body.items()))

    def validate(self, body: Mapping[str, object]) -> tuple[Variant, Params]:
        """The variant and params of a create body; refused with 422 where a field is wrong."""
        variant = self._variant(body.get("model"))
        fields = {name: value for name, value in body.items() if name != "model"}
        try:
            return variant, variant.params.model_validate(fields)
        except ValidationError as error:
            errors: FieldErrors = defaultdict(list)
            for problem in error.errors(include_url=False):
                errors[str(problem["loc"][0])].append(_reason(problem))
            raise invalid(dict(errors)) from error

    def _variant(self, model: object) -> Variant:
        if model is None or model == "":
            raise invalid({"model": ["is required"]})
        for variant in self.variants:
            if variant.model == model:
                return variant
        raise invalid({"model": [f"is not available for {self.action}"]})


def endpoints_of(variants: Iterable[Variant]) -> tuple[Endpoint, ...]:
    sold: defaultdict[tuple[str, Action], list[Variant]] = defaultdict(list)
    for variant in variants:
        sold[variant.service, variant.action].append(variant)
    return tuple(Endpoint(*at, tuple(those)) for at, those in sold.items())


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
