"""The tools as an MCP server: listing, dispatch, failures as error results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Final, Literal, NoReturn

from mcp import MCPError
from mcp.server.caching import CacheableMethod, CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    TextContent,
    ToolAnnotations,
)
from mcp_types import Tool as McpTool

from runapi_mcp import __version__
from runapi_mcp.api import RunAPI, Upstream
from runapi_mcp.catalog import Variant
from runapi_mcp.errors import Failure, KeyMissing
from runapi_mcp.settings import KEY_PAGE, Key, given_key
from runapi_mcp.tasks.waiting import Report
from runapi_mcp.tools import Caller, Outcome, Tool, instructions, offered
from runapi_mcp.tools.facts import structured, text
from runapi_mcp.tools.schema import input_schema, output_schema

Context = ServerRequestContext[Any, Any]  # Any: the SDK's defaults; neither is used here

SERVER_NAME: Final = "runapi-mcp"

_HOUR_MS: Final = 3_600_000
_STATIC: Final = CacheHint(ttl_ms=_HOUR_MS, scope="public")
_STATIC_LISTS: Final[tuple[CacheableMethod, ...]] = (
    "server/discover",
    "tools/list",
    "resources/list",
    "resources/templates/list",
    "prompts/list",
)


@dataclass(frozen=True, slots=True)
class Keys:
    """Whose key pays: this server's own, or the one a request brings."""

    own: Key
    http: Literal["brought", "brought or own", "own"] = "brought"
    """Which key pays for a request over HTTP."""

    def of(self, context: Context) -> Key:
        """The key of one request."""
        if context.request is None or self.http == "own":
            return self.own
        authorization = str(context.request.headers.get("authorization", "")).strip()
        if not authorization and self.http == "brought or own":
            return self.own
        scheme, _, value = authorization.partition(" ")
        brought = given_key(value, "The Authorization header")
        return brought if scheme.lower() == "bearer" and brought.secret else _NO_KEY_SENT


_NO_KEY_SENT: Final = Key(
    None,
    KeyMissing(
        "The request carries no RunAPI API key.",
        f"Create one at {KEY_PAGE} and send it as the header Authorization: Bearer KEY.",
    ),
)


def create_server(upstream: Upstream, keys: Keys, variants: Sequence[Variant]) -> Server[Any]:
    """The MCP server; both protocol eras, any transport."""
    tools = {tool.name: tool for tool in offered(variants)}

    async def list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[described(tool) for tool in tools.values()])

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        tool = tools.get(params.name)
        if tool is None:
            raise MCPError(INVALID_PARAMS, _unknown_tool(params.name, list(tools)))
        caller = Caller(RunAPI(upstream, keys.of(context)), _reporter(context))
        try:
            return _result(await tool.run(caller, params.arguments or {}))
        except Failure as failure:
            return CallToolResult(is_error=True, content=[TextContent(text=str(failure))])

    return Server(
        SERVER_NAME,
        version=__version__,
        title="Flux 2 on RunAPI",
        instructions=instructions(variants),
        cache_hints=dict.fromkeys(_STATIC_LISTS, _STATIC),
        # No x-mcp-header is used, so a call over HTTP needs no look at the schemas first.
        get_tool_input_schema=lambda _: None,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=_list_resources,
        on_list_resource_templates=_list_resource_templates,
        on_read_resource=_read_resource,
        on_list_prompts=_list_prompts,
    )


# Hosts ask every server for these lists; an empty one is kinder than an error in their logs.
async def _list_resources(_: Context, __: PaginatedRequestParams | None) -> ListResourcesResult:
    return ListResourcesResult(resources=[])


async def _list_resource_templates(
    _: Context, __: PaginatedRequestParams | None
) -> ListResourceTemplatesResult:
    return ListResourceTemplatesResult(resource_templates=[])


async def _list_prompts(_: Context, __: PaginatedRequestParams | None) -> ListPromptsResult:
    return ListPromptsResult(prompts=[])


async def _read_resource(_: Context, params: ReadResourceRequestParams) -> NoReturn:
    uri = str(params.uri)
    raise MCPError(
        INVALID_PARAMS, "There is no such resource: this server has tools.", {"uri": uri}
    )


@cache
def described(tool: Tool) -> McpTool:
    """What a host sees of a tool."""
    pays = tool.effect == "pays"
    return McpTool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=input_schema(tool.inputs),
        output_schema=output_schema(tool.output),
        annotations=ToolAnnotations(
            read_only_hint=not pays,
            destructive_hint=False,
            idempotent_hint=not pays,
            open_world_hint=True,
        ),
    )


def _result(outcome: Outcome) -> CallToolResult:
    facts = structured(outcome.facts)
    return CallToolResult(
        content=[TextContent(text=text(facts))],
        structured_content=facts,
        is_error=outcome.failed,
    )


def _reporter(context: Context) -> Report:
    async def report(elapsed_seconds: float, message: str) -> None:
        await context.session.report_progress(elapsed_seconds, message=message)

    return report


def _unknown_tool(name: str, known: list[str]) -> str:
    close = get_close_matches(name.lower().replace("-", "_"), known, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f"There is no tool {name[:80]!r}.{meant} The tools are {', '.join(known)}."
