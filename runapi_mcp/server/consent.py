"""Asking the person before a dear call, in both protocol eras. No answer is never a yes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mcp_types import (
    CallToolRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)

from runapi_mcp.base.catalog.money import dollars
from runapi_mcp.base.errors import NotAllowed
from runapi_mcp.base.json_values import as_text
from runapi_mcp.base.printable import on_one_line
from runapi_mcp.orders.limits import NotConfirmed
from runapi_mcp.server.client_capabilities import Context, await_answer, is_modern, shows_forms

LONGEST_SHOWN: Final = 300
"""How much of a prompt a question shows, in characters."""

_QUESTION: Final = "confirm"
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "pay": {"type": "boolean", "title": "Pay for this image", "default": False},
    },
    "required": ["pay"],
}


def yes_of(params: CallToolRequestParams) -> str | None:
    """What came back with a person's yes, to be checked by whoever pays; None for no answer.

    Raises:
        NotAllowed: the answer is no.
    """
    answer = (params.input_responses or {}).get(_QUESTION)
    if not isinstance(answer, ElicitResult):
        return None
    _require_yes(answer)
    return params.request_state


async def asked(
    context: Context,
    title: str,
    arguments: Mapping[str, object],
    question: NotConfirmed,
    seconds: float,
) -> str | InputRequiredResult:
    """What comes back with the person's yes, or the question for the client to ask.

    Raises:
        NotAllowed: the person said no or nothing, or the client cannot ask.
    """
    if not shows_forms(context):
        raise NotAllowed(
            f"{_priced(title, question)} That needs a person's yes, and this client cannot ask "
            "for one.",
            "Nothing was paid. Let the user raise or unset RUNAPI_CONFIRM_OVER.",
        )
    words = f"{_priced(title, question)}{_left(question)} {_what(arguments)}Draw it?"
    if is_modern(context):
        form = ElicitRequestFormParams(message=words, requested_schema=_SCHEMA)
        return InputRequiredResult(
            input_requests={_QUESTION: ElicitRequest(params=form)},
            request_state=question.question,
        )
    pushed = context.session.elicit_form(words, _SCHEMA, related_request_id=context.request_id)
    _require_yes(await await_answer(pushed, seconds))
    return question.question


def _require_yes(answer: ElicitResult | None) -> None:
    if answer is None:
        raise NotAllowed(
            "The call needs a person's yes, and nobody answered.",
            "Nothing was paid. Ask the user, then call again; RUNAPI_CONFIRM_OVER sets from which "
            "price on a person is asked.",
        )
    if answer.action != "accept" or (answer.content or {}).get("pay") is not True:
        raise NotAllowed(
            "The person said no to this price.",
            "Nothing was paid. Ask the user what to change before calling again.",
        )


def _priced(title: str, question: NotConfirmed) -> str:
    cents = question.price.cents
    costs = "costs an unknown amount" if cents is None else f"costs {dollars(cents)}"
    return f"This image ({title}) {costs}."


def _what(arguments: Mapping[str, object]) -> str:
    """What is asked for, so that a person can tell two questions apart."""
    prompt, resolution = (
        as_text(arguments.get("prompt")),
        as_text(arguments.get("output_resolution")),
    )
    large = f" in {on_one_line(resolution)[:8]}" if resolution else ""
    return f"It shows{large}: “{_shortened(on_one_line(prompt or ''))}”. "


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN].rstrip()}…"


def _left(question: NotConfirmed) -> str:
    left = question.left_cents
    return "" if left is None else f" Today's budget leaves {dollars(left)} before it."
