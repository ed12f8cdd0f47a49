"""What Runflow sells, as its public list tells anybody; and whether flex can be ordered at all."""

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from runapi_mcp.base.catalog.image_size import DEFAULT_PRESET, PRESETS
from runapi_mcp.sandbox.faults import Faults
from runapi_mcp.sandbox.http_messages import Refusal, Table, answer
from runapi_mcp.sandbox.runflow.flex_order import LONGEST_SIDE_PX, SHORTEST_SIDE_PX
from runapi_mcp.sandbox.runflow.list_query import list_query
from runapi_mcp.sandbox.runflow.run_answers import MODEL_ID

FLEX_SLUG: Final = "flux-2-flex"
FLEX_PATH: Final = f"black-forest-labs/{FLEX_SLUG}"
AVAILABLE: Final = "available"


class ModelShelf:
    """`/v1/public/models`. `availability` is flex's: "available", another word, or None where the
    list has no flex."""

    def __init__(self, faults: Faults) -> None:
        self.availability: str | None = AVAILABLE
        self._faults = faults

    def table(self) -> Table:
        yield "GET", "/v1/public/models", self._list

    @property
    def is_listed(self) -> bool:
        return self.availability is not None

    def require_available(self) -> None:
        """Refused with 503 where flex cannot be ordered."""
        if self.availability != AVAILABLE:
            raise Refusal(503, "This model is not available.")

    async def _list(self, request: Request) -> Response:
        await self._faults.misbehave("models")
        query = list_query(request.query_params, ["slug"])
        is_wanted = query.field is None or query.value == FLEX_SLUG
        models = [self._flex()] if is_wanted and self.is_listed else []
        page, links = query.page(models)
        return answer({"items": page, **links})

    def _flex(self) -> Mapping[str, object]:
        return {
            "id": MODEL_ID,
            "slug": FLEX_SLUG,
            "name": "FLUX 2 Flex",
            "status_code": "active",
            "availability_status": self.availability,
            "pricing_note": "$0.05 per megapixel, input and output, each rounded up",
            "inputs": [_input(name, *about) for name, about in _INPUTS.items()],
            "outputs": [{"name": "outputs", "variable_type_code": "image"}],
        }


_SIZES: Final = {"options": [*PRESETS], "min": SHORTEST_SIDE_PX, "max": LONGEST_SIDE_PX}
# Its documentation has these fields of an input, but not which codes and attributes there are.
_INPUTS: Final[Mapping[str, tuple[str, Mapping[str, object], object]]] = {
    "prompt": ("string", {}, None),
    "image_size": ("image_size", _SIZES, DEFAULT_PRESET),
    "guidance_scale": ("float", {"min": 1.5, "max": 10}, 3.5),
    "num_inference_steps": ("integer", {"min": 2, "max": 50}, 28),
    "seed": ("integer", {}, None),
    "output_format": ("string", {"options": ["jpeg", "png"]}, "jpeg"),
    "safety_tolerance": ("string", {"options": ["1", "2", "3", "4", "5"]}, "2"),
    "enable_safety_checker": ("boolean", {}, True),
}


def _input(
    name: str, type_code: str, attrs: Mapping[str, object], default: object
) -> Mapping[str, object]:
    return {
        "name": name,
        "variable_type_code": type_code,
        "validator_attrs": attrs,
        "is_required": name == "prompt",
        "default_value": default,
    }
