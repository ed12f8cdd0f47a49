"""An address for a person to open, handed over by the client itself where it can."""

from __future__ import annotations

import uuid
from typing import Final

from mcp_types import (
    CallToolRequestParams,
    ElicitRequest,
    ElicitRequestURLParams,
    ElicitResult,
    InputRequiredResult,
)

from runapi_mcp.base.errors import NotAllowed
from runapi_mcp.server.client_capabilities import Context, await_answer, is_modern, opens_addresses
from runapi_mcp.tools.tool import Link

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
        if not opens_addresses(context):
            return None
        if is_modern(context):
            asking = ElicitRequestURLParams(message=link.message, url=link.address)
            return InputRequiredResult(input_requests={_QUESTION: ElicitRequest(params=asking)})
        shown = context.session.elicit_url(
            link.message, link.address, str(uuid.uuid4()), related_request_id=context.request_id
        )
        answer = await await_answer(shown, seconds)
    if answer is not None and answer.action != "accept":
        link.withdraw()
        raise NotAllowed("The person did not open the address.", "The login is withdrawn.")
    return None
