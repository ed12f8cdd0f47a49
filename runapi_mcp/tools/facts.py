"""The facts a tool answers with: one model for the structured form and for the text.

What is not known is absent, never null or empty. Money is in US cents.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, cast

from pydantic import MISSING, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.catalog.task import Status
from runapi_mcp.base.catalog.vendors import RUNAPI, Vendor
from runapi_mcp.base.printable import on_one_line
from runapi_mcp.orders.ledger import OrderStatus

LEFT_UNKNOWN = (
    "What the daily budget leaves is unknown, because the ledger cannot be used; paid calls are "
    "refused meanwhile, and say why."
)

# An int stays an int, so that 5 cents are not shown as 5.0; to a schema both are numbers.
Cents = Annotated[int | float, WithJsonSchema({"type": "number"})]


def _optional(description: str) -> Any:  # Any: as pydantic's Field has it
    return Field(default=MISSING, description=description)


class Facts(BaseModel):
    """Facts on one line each, so that no word of anybody's can begin another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _on_lines(cls, facts: dict[str, object]) -> dict[str, object]:
        return {name: _on_one_line(value) for name, value in facts.items()}


class TaskFacts(Facts):
    """A call's images, or one of them: state, addresses, money, and what to do next."""

    joined: str | MISSING = _optional("Given when this call went on with an earlier one.")
    image_paths: list[str] | MISSING = _optional("Where the images are saved: absolute paths.")
    original_paths: list[str] | MISSING = _optional(
        "The same as they came, where save_as asks for another format."
    )
    status: Status
    task_id: str
    task_ids: list[str] | MISSING = _optional("Of all images of the call, each a task of its own.")
    failed: list[str] | MISSING = _optional("Which images of the call there are none of, and why.")
    model: str | MISSING = MISSING
    image_sizes: list[str] | MISSING = _optional("Width x height in pixels.")
    image_bytes: list[int] | MISSING = _optional("How large the files are.")
    image_seconds: list[float] | MISSING = _optional("How long each took from the request on.")
    image_urls: list[str] | MISSING = _optional("Temporary addresses of the finished images.")
    expires: str | MISSING = _optional("Until about when the addresses work.")
    not_saved: str | MISSING = _optional("Why an image is not on the disk.")
    cost_cents: Cents | MISSING = _optional("The recorded charge in US cents.")
    price_cents: Cents | MISSING = _optional("What is not charged yet will cost, in US cents.")
    price_basis: str | MISSING = _optional("Where the price comes from.")
    spent_today_cents: Cents | MISSING = _optional("What today's calls cost, in US cents.")
    left_today_cents: Cents | MISSING = _optional(
        "What the user's daily budget leaves, in US cents."
    )
    error: str | MISSING = MISSING
    request_id: str | MISSING = MISSING
    next: Annotated[str, Field(description="What to do now.")]
    notice: str | MISSING = MISSING


class TaskRow(Facts):
    """One task of a list."""

    status: OrderStatus
    task_id: str | MISSING = MISSING
    model: str
    prompt: str | MISSING = MISSING
    ordered: Annotated[str, Field(description="When, in UTC.")]
    delivered: bool
    price_cents: Cents | MISSING = MISSING
    cost_cents: Cents | MISSING = MISSING
    # The last: what follows it on its line would be taken for a part of it.
    image_path: str | MISSING = MISSING


class TaskListFacts(Facts):
    tasks: list[TaskRow]
    left_today_cents: Cents | MISSING = MISSING
    next: str
    notice: str | MISSING = MISSING


class PriceRow(Facts):
    """The price of one call of a model, at a resolution where it has a choice."""

    model: str
    output_resolution: str | MISSING = MISSING
    price_cents: Cents | MISSING = MISSING
    price_basis: str


class PriceListFacts(Facts):
    prices: list[PriceRow]
    max_cost_per_call_cents: Cents | MISSING = MISSING
    left_today_cents: Cents | MISSING = MISSING
    next: str
    notice: str | MISSING = MISSING


class BalanceFacts(Facts):
    balance_cents: Cents
    paid_balance_cents: Cents | MISSING = MISSING
    bonus_balance_cents: Cents | MISSING = MISSING
    spent_today_cents: Cents | MISSING = MISSING
    spent_total_cents: Cents | MISSING = MISSING
    left_today_cents: Cents | MISSING = MISSING
    next: str
    notice: str | MISSING = MISSING


def to_text(facts: Mapping[str, object]) -> str:
    """One line a fact, one an item of it. Prompts are in quotation marks, as in JSON."""
    return "\n".join(_line_text(name, value) for name, value in facts.items())


def known(cents: float | None) -> float | MISSING:
    return MISSING if cents is None else cents


def sandbox_notice(vendor: Vendor = RUNAPI) -> str:
    return f"From the sandbox: a practice answer, not {vendor.title}; no real money moved."


SANDBOX_NOTICE = sandbox_notice()


def price_basis(price: Price, vendor: Vendor = RUNAPI) -> str:
    match price.source:
        case "live":
            return f"live from {vendor.title}"
        case "sandbox":
            return "the sandbox's price list"
        case "snapshot":
            published = f"{vendor.title}'s published price of {vendor.prices_as_of}"
            return f"{published}; the live one could not be read"
        case "unknown":
            return (
                f"unknown; {vendor.title} has not published it and the live price could not be read"
            )


def notice_of(*, sandbox: bool, left_is_unknown: bool = False) -> str | MISSING:
    sentences = [SANDBOX_NOTICE] if sandbox else []
    if left_is_unknown:
        sentences.append(LEFT_UNKNOWN)
    return " ".join(sentences) or MISSING


def utc(seconds: float) -> str:
    """A moment as `2026-11-21 14:03 UTC`."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _on_one_line(value: object) -> object:
    if isinstance(value, list):
        return [_on_one_line(item) for item in cast("list[object]", value)]
    return on_one_line(value) if isinstance(value, str) else value


def _line_text(name: str, value: object) -> str:
    if not isinstance(value, list):
        return f"{name}: {_value_text(name, value)}"
    items = cast("list[object]", value)
    if all(isinstance(item, int | float) for item in items):
        return f"{name}: {', '.join(map(str, items))}"
    return "\n".join([f"{name}:", *(f"- {_item_text(item)}" for item in items)])


def _item_text(item: object) -> str:
    if not isinstance(item, dict):
        return str(item)
    entries = cast("dict[str, object]", item)
    return ", ".join(f"{name}: {_value_text(name, value)}" for name, value in entries.items())


def _value_text(name: str, value: object) -> str:
    if name.endswith("_cents") and isinstance(value, int | float):
        return f"{value} (${value / 100:.2f})"
    if name == "prompt":
        return json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else str(value)
