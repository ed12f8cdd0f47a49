"""What the page is told of a picture."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runapi_mcp.base.amounts import dollars
from runapi_mcp.base.catalog import VARIANTS, Variant, by_model
from runapi_mcp.base.printable import printable_path
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.orders.purchase import SOURCES_FIELD

_REMIX: Final = tuple(variant for variant in VARIANTS if variant.action == "remix_image")
_NO_PROMPT: Final = "Describe the change"


@dataclass(frozen=True, slots=True)
class PictureRow:
    task_id: str
    index: int
    """Which of the task's images it is."""
    prompt: str
    """Empty where the user keeps none."""
    variant: str
    price: str
    ordered_at: float
    path: str
    """Empty where it was never saved."""
    remix: str
    """A call for an agent that draws from it."""
    sandbox: bool


def rows_of(entry: Entry) -> Iterator[PictureRow]:
    """A row for each image of a task, saved or not."""
    variant = by_model(entry.model)
    cents = entry.price_cents if entry.cost_cents is None else entry.cost_cents
    for index in range(max(len(entry.files), len(entry.image_urls)) if entry.task_id else 0):
        file = entry.files[index] if index < len(entry.files) else ""
        yield PictureRow(
            task_id=entry.task_id or "",
            index=index,
            prompt=str((entry.arguments or {}).get("prompt", "")),
            variant=variant.title if variant else entry.model,
            price=dollars(cents),
            ordered_at=entry.begun_at,
            path=printable_path(file),
            remix=remix_call(entry, file if index else ""),
            sandbox=entry.sandbox,
        )


def remix_call(entry: Entry, file: str = "") -> str:
    """A tool and its arguments that draw from the task's first image, or from a file.

    It is a call as it stands: its prompt is the picture's own, for the user to change.
    """
    asked = entry.arguments or {}
    arguments: dict[str, object] = {
        "prompt": asked.get("prompt") or _NO_PROMPT,
        SOURCES_FIELD: [file or entry.task_id],
    }
    if ratio := asked.get("aspect_ratio"):
        arguments["aspect_ratio"] = ratio
    tool = _remix_of(by_model(entry.model)).tool_name
    return f"{tool} {json.dumps(arguments, ensure_ascii=False)}"


def _remix_of(drawn_by: Variant | None) -> Variant:
    """The remix of the same tier; of the default one, where the tier has none."""
    same = (one for one in _REMIX if drawn_by is not None and one.tier is drawn_by.tier)
    return next(same, _REMIX[0])
