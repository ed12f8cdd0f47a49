"""An address for a person to open, handed over by the client itself where it can."""

from __future__ import annotations

import uuid
from typing import Any, Final

import anyio
import pydantic
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp_types import (
    CallToolRequestParams,
    ElicitRequest,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from runapi_mcp.errors import NotAllowed
from runapi_mcp.tools.tool import Link

Context = ServerRequestContext[Any, Any]  # Any: the SDK's defaults; neither is used here

_QUESTION: Final = "open"


async def handed(
    context: Context, params: CallToolRequestParams, link: Link, seconds: float
) -> InputRequiredResult | None:
    """What lets the client show the address; None once it has, or where it cannot.

    Raises:
        NotAllowed: the person does not want it opened.
    """
    answer = (params.input_responses or {}).get(_QUESTION)
    if not isinstance(answer, ElicitResult):
        if not _can_open(context):
            return None
        if context.protocol_version in MODERN_PROTOCOL_VERSIONS:
            shown = ElicitRequestURLParams(message=link.words, url=link.address)
            return InputRequiredResult(input_requests={_QUESTION: ElicitRequest(params=shown)})
        answer = await _pushed(context, link, seconds)
    if answer is not None and answer.action != "accept":
        link.withdraw()
        raise NotAllowed("The person did not open the address.", "The login is withdrawn.")
    return None


async def _pushed(context: Context, link: Link, seconds: float) -> ElicitResult | None:
    """The answer to the address shown over the open connection; None when none came."""
    try:
        with anyio.move_on_after(seconds):
            return await context.session.elicit_url(
                link.words, link.address, str(uuid.uuid4()), related_request_id=context.request_id
            )
    except (MCPError, pydantic.ValidationError):
        return None
    return None


def _can_open(context: Context) -> bool:
    declared = context.session.client_capabilities
    elicitation = declared.elicitation if declared else None
    return elicitation is not None and elicitation.url is not None
