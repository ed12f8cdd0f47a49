"""The client of a request: what it can do, and what a person says when it asks."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import anyio
import pydantic
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp_types import ElicitResult
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Context = ServerRequestContext[Any, Any]  # Any: the SDK's defaults; neither is used here


def is_modern(context: Context) -> bool:
    """Whether it speaks the protocol of 2026-07-28, without a handshake."""
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS


def speaks(context: Context, extension: str) -> bool:
    """Whether it declared an extension of the protocol."""
    declared = context.session.client_capabilities
    return declared is not None and extension in (declared.extensions or {})


def shows_forms(context: Context) -> bool:
    """Whether it can ask a person to fill in a form."""
    declared = context.session.client_capabilities
    elicitation = declared.elicitation if declared else None
    # An empty declaration means forms.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def opens_addresses(context: Context) -> bool:
    """Whether it can ask a person to open an address."""
    declared = context.session.client_capabilities
    elicitation = declared.elicitation if declared else None
    return elicitation is not None and elicitation.url is not None


async def await_answer(question: Awaitable[ElicitResult], seconds: float) -> ElicitResult | None:
    """The answer to a question put over the open connection; None when none came."""
    try:
        with anyio.move_on_after(seconds):
            return await question
    except (MCPError, pydantic.ValidationError):
        return None
    return None
