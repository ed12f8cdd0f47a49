"""What a browser or a crawler may ask for: health, a page, the server's card, its catalogue.

The card and the catalogue are those of the Server Card extension (SEP-2127, experimental):
https://github.com/modelcontextprotocol/experimental-ext-server-card
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from runapi_mcp import __version__
from runapi_mcp.base.html_page import content_policy, html_page
from runapi_mcp.base.identity import DESCRIPTION, OWNER, REGISTRY_NAME, REPOSITORY, TITLE
from runapi_mcp.transports.paths import CARD_PATH, CATALOG_PATH, HEALTH_PATH, MCP_PATH, SSE_PATH

_CARD_SCHEMA: Final = "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json"
_CARD_TYPE: Final = "application/mcp-server-card+json"
_FOR_ANY_PAGE: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET",
    "Access-Control-Allow-Headers": "Content-Type",
    "Cache-Control": "public, max-age=3600",
}


def public_routes(*, needs_key: bool) -> Sequence[Route]:
    """`needs_key` tells whether callers must bring a RunAPI API key."""

    async def front_page(request: Request) -> HTMLResponse:
        page = _front_page(_address(request), needs_key=needs_key)
        return HTMLResponse(page, headers={"Content-Security-Policy": content_policy()})

    async def card(request: Request) -> JSONResponse:
        content = server_card(_address(request), needs_key=needs_key)
        return JSONResponse(content, headers=_FOR_ANY_PAGE, media_type=_CARD_TYPE)

    return [
        Route("/", front_page),
        Route(HEALTH_PATH, _healthz),
        Route(CARD_PATH, card),
        Route(CATALOG_PATH, _catalog),
    ]


def server_card(address: str, *, needs_key: bool) -> Mapping[str, object]:
    """How to reach the server at an address, for a client that has not connected yet."""
    key = {
        "name": "Authorization",
        "description": "Bearer, a space, and a RunAPI API key.",
        "isRequired": needs_key,
        "isSecret": True,
    }
    streamable = {"type": "streamable-http", "url": address + MCP_PATH, "headers": [key]}
    versions = [*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS]
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
            {"type": "sse", "url": address + SSE_PATH, "headers": [key]},
        ],
    }


def _front_page(address: str, *, needs_key: bool) -> str:
    brought = "Each request brings its own RunAPI API key: <code>Authorization: Bearer KEY</code>."
    key = brought if needs_key else "No API key is needed here."
    values = {
        "title": TITLE,
        "description": DESCRIPTION,
        "key": key,
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


async def _healthz(_: Request) -> JSONResponse:
    return JSONResponse({"status": "ok", "name": "runapi-mcp", "version": __version__})


def _address(request: Request) -> str:
    """How this client reaches the server, without a slash at its end; its Host is checked."""
    return str(request.base_url).rstrip("/")
