"""Asking the person through the client, in both protocol eras. No answer is never a yes."""

import uuid
from collections.abc import Awaitable, Mapping
from typing import Any, Final

import anyio
import pydantic
from mcp import MCPError
from mcp_types import (
    CallToolRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
)

from runapi_mcp.base.amounts import dollars
from runapi_mcp.base.errors import NotAllowed
from runapi_mcp.base.json_values import as_text
from runapi_mcp.base.printable import on_one_line
from runapi_mcp.base.redaction import quote
from runapi_mcp.orders.limits import NotConfirmed
from runapi_mcp.server.client_capabilities import (
    Context,
    is_modern,
    knows_capabilities,
    opens_addresses,
    shows_forms,
)
from runapi_mcp.tools.tool import Link

_CONSENT: Final = "confirm"
_OPENING: Final = "open"
_YES: Final = "Yes, pay "
_NO: Final = "No"


def returned_consent(params: CallToolRequestParams) -> str | None:
    """What came back with a person's yes, to be checked by whoever pays; None for no answer.

    Raises:
        NotAllowed: the answer is no.
    """
    answer = (params.input_responses or {}).get(_CONSENT)
    if not isinstance(answer, ElicitResult):
        return None
    _require_yes(answer)
    return params.request_state


async def elicit_consent(
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
            f"{_price(title, question)} That needs a person's yes, {_why_unasked(context)}",
            "Nothing was paid. Let the user raise or unset RUNAPI_CONFIRM_OVER.",
        )
    message = f"{_price(title, question)}{_left(question)} {_picture(arguments, question)}"
    schema = _schema(question)
    if is_modern(context):
        form = ElicitRequestFormParams(message=message, requested_schema=schema)
        return InputRequiredResult(
            input_requests={_CONSENT: ElicitRequest(params=form)}, request_state=question.question
        )
    pushed = context.session.elicit_form(message, schema, related_request_id=context.request_id)
    _require_yes(await _answer(pushed, seconds))
    return question.question


async def elicit_opening(
    context: Context, params: CallToolRequestParams, link: Link, seconds: float
) -> InputRequiredResult | None:
    """What lets the client show the address; None once it has, or where it cannot.

    Raises:
        NotAllowed: the person does not want it opened.
    """
    answer = (params.input_responses or {}).get(_OPENING)
    if not isinstance(answer, ElicitResult):
        if not opens_addresses(context):
            return None
        if is_modern(context):
            asking = ElicitRequestURLParams(message=link.message, url=link.address)
            return InputRequiredResult(input_requests={_OPENING: ElicitRequest(params=asking)})
        pushed = context.session.elicit_url(
            link.message, link.address, str(uuid.uuid4()), related_request_id=context.request_id
        )
        answer = await _answer(pushed, seconds)
    if answer is not None and answer.action != "accept":
        link.withdraw()
        raise NotAllowed("The person did not open the address.", "The login is withdrawn.")
    return None


async def _answer(pushed: Awaitable[ElicitResult], seconds: float) -> ElicitResult | None:
    """The answer to a question put over the open connection; None when none came."""
    try:
        with anyio.move_on_after(seconds):
            return await pushed
    except (MCPError, pydantic.ValidationError):
        return None
    return None


def _require_yes(answer: ElicitResult | None) -> None:
    if answer is None:
        raise NotAllowed(
            "The call needs a person's yes, and nobody answered.",
            "Nothing was paid. Ask the user, then call again; RUNAPI_CONFIRM_OVER sets from which "
            "price on a person is asked.",
        )
    choice = (answer.content or {}).get("pay")
    if answer.action == "decline" or (answer.action == "accept" and choice == _NO):
        raise NotAllowed(
            "The person said no to this price.",
            "Nothing was paid. Ask the user what to change before calling again.",
        )
    if answer.action != "accept" or not str(choice).startswith(_YES):
        raise NotAllowed(
            "The person chose neither yes nor no to this price.",
            "Nothing was paid. Ask the user, and call again if they want it.",
        )


def _schema(question: NotConfirmed) -> dict[str, Any]:
    """Two choices and no default: a box to tick is accepted unticked, which says nothing.

    No comes first: Codex puts its cursor on the first, and Enter there must not pay.
    """
    several = f" for {question.count}" if question.count > 1 else ""
    choices = [_NO, f"{_YES}{question.amount}{several}"]
    pay = {"type": "string", "title": "Your answer", "enum": choices}
    return {"type": "object", "properties": {"pay": pay}, "required": ["pay"]}


def _why_unasked(context: Context) -> str:
    if knows_capabilities(context):
        return "and this client cannot ask for one."
    return (
        "which can be asked for here only by the protocol of 2026-07-28: this server is one of "
        "several, and keeps no session to ask in."
    )


def _price(title: str, question: NotConfirmed) -> str:
    if question.count > 1:
        return f"These {question.count} images ({title}) cost {question.amount} together."
    return f"This image ({title}) costs {question.amount}."


def _left(question: NotConfirmed) -> str:
    left, what = question.left_cents, "them" if question.count > 1 else "it"
    return "" if left is None else f" Today's budget leaves {dollars(left)} before {what}."


def _picture(arguments: Mapping[str, object], question: NotConfirmed) -> str:
    """What is asked for, so that a person can tell two questions apart."""
    resolution = as_text(arguments.get("output_resolution"))
    large = f" in {on_one_line(resolution)[:8]}" if resolution else ""
    show, draw = ("They show", "Draw them?") if question.count > 1 else ("It shows", "Draw it?")
    return f"{show}{large}: {quote(as_text(arguments.get('prompt')) or '')}. {draw}"
