"""What the client of a request can do."""

from typing import Any

from mcp.server.context import ServerRequestContext
from mcp_types import ElicitationCapability
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

Context = ServerRequestContext[Any, Any]  # Any: the SDK's defaults; neither is used here


def is_modern(context: Context) -> bool:
    """Whether it speaks the protocol of 2026-07-28, without a handshake."""
    return context.protocol_version in MODERN_PROTOCOL_VERSIONS


def client_name(context: Context) -> str | None:
    """What it calls itself, in its handshake or with its request, else in its User-Agent.

    A server that keeps no sessions does not know the handshake when a call comes.
    """
    params = context.session.client_params
    if params is not None:
        return params.client_info.name
    if context.request is None:
        return None
    return str(context.request.headers.get("user-agent", "")).partition("/")[0]


def knows_capabilities(context: Context) -> bool:
    """Whether what it can do was told: with the request, or once for all of its session."""
    return is_modern(context) or context.session.client_capabilities is not None


def speaks(context: Context, extension: str) -> bool:
    declared = context.session.client_capabilities
    return declared is not None and extension in (declared.extensions or {})


def shows_forms(context: Context) -> bool:
    elicitation = _elicitation(context)
    # An empty declaration means forms.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def opens_addresses(context: Context) -> bool:
    elicitation = _elicitation(context)
    return elicitation is not None and elicitation.url is not None


def _elicitation(context: Context) -> ElicitationCapability | None:
    declared = context.session.client_capabilities
    return declared.elicitation if declared else None
