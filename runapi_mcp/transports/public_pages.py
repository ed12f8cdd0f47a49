"""What a browser, a crawler or a balancer may ask for: health, a page, the server's card.

The card and the catalogue are those of the Server Card extension (SEP-2127, experimental):
https://github.com/modelcontextprotocol/experimental-ext-server-card
"""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from runapi_mcp import __version__
from runapi_mcp.base.html_page import content_policy, html_page
from runapi_mcp.base.identity import DESCRIPTION, OWNER, REGISTRY_NAME, REPOSITORY, TITLE
from runapi_mcp.transports.paths import (
    CARD_PATH,
    CATALOG_PATH,
    HEALTH_PATH,
    LIVE_PATH,
    MCP_PATH,
    READY_PATH,
    SSE_PATH,
)

_CARD_SCHEMA: Final = "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json"
_CARD_TYPE: Final = "application/mcp-server-card+json"
_FOR_ANY_PAGE: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": "Content-Type",
    "Cache-Control": "public, max-age=3600",
}


def public_routes(
    *, needs_key: bool, has_sse: bool = True, is_ready: Callable[[], bool] = lambda: True
) -> Sequence[Route]:
    """`needs_key` tells whether callers must bring a RunAPI API key."""

    async def front_page(request: Request) -> HTMLResponse:
        page = _front_page(_address(request), needs_key=needs_key, has_sse=has_sse)
        return HTMLResponse(page, headers={"Content-Security-Policy": content_policy()})

    async def card(request: Request) -> JSONResponse:
        content = server_card(_address(request), needs_key=needs_key, has_sse=has_sse)
        return JSONResponse(content, headers=_FOR_ANY_PAGE, media_type=_CARD_TYPE)

    async def readyz(_: Request) -> JSONResponse:
        # Neither the ledger nor RunAPI: either would take away all servers at once, although what
        # is read goes on.
        if is_ready():
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "leaving"}, 503)

    return [
        Route("/", front_page),
        Route(HEALTH_PATH, _healthz),
        Route(LIVE_PATH, _livez),
        Route(READY_PATH, readyz),
        Route(CARD_PATH, card),
        Route(CATALOG_PATH, _catalog),
    ]


def server_card(address: str, *, needs_key: bool, has_sse: bool = True) -> Mapping[str, object]:
    """How to reach the server at an address, for a client that has not connected yet."""
    key = {
        "name": "Authorization",
        "description": "Bearer, a space, and a RunAPI API key.",
        "isRequired": needs_key,
        "isSecret": True,
    }
    streamable = {"type": "streamable-http", "url": address + MCP_PATH, "headers": [key]}
    versions = [*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS]
    sse = {"type": "sse", "url": address + SSE_PATH, "headers": [key]}
    return {
        "$schema": _CARD_SCHEMA,
        "name": REGISTRY_NAME,
        "version": __version__,
        "title": TITLE,
        "description": DESCRIPTION,
        "websiteUrl": REPOSITORY,
        "repository": {"url": REPOSITORY, "source": "github"},
        "remotes": [
            {**streamable, "supportedProtocolVersions": versions},
            *([sse] if has_sse else []),
        ],
    }


def _front_page(address: str, *, needs_key: bool, has_sse: bool) -> str:
    brought = "Each request brings its own RunAPI API key: <code>Authorization: Bearer KEY</code>."
    key = brought if needs_key else "No API key is needed here."
    older = f"Older clients use <code>{escape(address)}{SSE_PATH}</code>. " if has_sse else ""
    values = {
        "title": TITLE,
        "description": DESCRIPTION,
        "access": older + key,
        "address": escape(address),
        "repository": REPOSITORY,
    }
    return html_page(TITLE, "runapi_mcp.transports", "page.html", values)


async def _catalog(request: Request) -> JSONResponse:
    entry = {
        "identifier": f"urn:air:{OWNER}.github.io:runapi-mcp",
        "displayName": TITLE,
        "type": _CARD_TYPE,
        "url": _address(request) + CARD_PATH,
    }
    return JSONResponse({"specVersion": "draft", "entries": [entry]}, headers=_FOR_ANY_PAGE)


async def _livez(_: Request) -> JSONResponse:
    return JSONResponse({"status": "alive"})


async def _healthz(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok", "name": "runapi-mcp", "version": __version__})


def _address(request: Request) -> str:
    """How this client reaches the server, without a slash at its end; its Host is checked."""
    return str(request.base_url).rstrip("/")
