"""The arguments that belong to tools rather than to RunAPI."""

import re
from typing import Annotated, Final, Literal

from pydantic import MISSING, AfterValidator, Field

from runapi_mcp.catalog import VARIANTS, by_model
from runapi_mcp.catalog.fields import Capability

DEFAULT_WAIT_SECONDS: Final = 45
LONGEST_WAIT_SECONDS: Final = 600

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


def _canonical_uuid(value: str) -> str:
    # Anything else could reach into another address of RunAPI.
    if not _UUID.fullmatch(value.strip()):
        raise ValueError("must be a UUID, the task_id of an earlier answer")
    return value.strip().lower()


def _known_variant(value: str) -> str:
    if variant := by_model(value.strip().lower()):
        return variant.model
    raise ValueError(f"must be one of {', '.join(variant.model for variant in VARIANTS)}")


class Waiting(Capability):
    wait_seconds: Annotated[int, Field(ge=0, le=LONGEST_WAIT_SECONDS)] = DEFAULT_WAIT_SECONDS
    """0-600, default 45; 0 returns the task_id at once."""


class TaskReference(Capability):
    task_id: Annotated[str, AfterValidator(_canonical_uuid)]
    """UUID from an earlier answer."""


class PriceQuestion(Capability):
    model: Annotated[str, AfterValidator(_known_variant)] | MISSING = MISSING
    """Model id, e.g. flux-2-pro-text-to-image; unset for all."""

    output_resolution: Literal["1k", "2k"] | MISSING = MISSING
    """Unset for both."""
