"""The tools as an MCP server: what is listed, and who answers what."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, cast

import anyio.to_thread
from mcp import MCPError
from mcp.server.caching import CacheableMethod, CacheHint
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
    ReadResourceResult,
    Resource,
    TextResourceContents,
    ToolAnnotations,
)
from mcp_types import Tool as McpTool

from runapi_mcp import __version__, gallery
from runapi_mcp.base.catalog import VARIANTS, Variant
from runapi_mcp.base.catalog.vendors import RUNAPI
from runapi_mcp.base.garbage import CallGarbage
from runapi_mcp.base.identity import TITLE
from runapi_mcp.server.calls import Context, Service, call_tool
from runapi_mcp.server.field_errors import name_fields
from runapi_mcp.server.task_requests import RunapiTasks
from runapi_mcp.server.tasks_extension import serve_tasks
from runapi_mcp.tools import Tool, instructions, offered
from runapi_mcp.tools.facts import TaskFacts
from runapi_mcp.tools.inputs import NAMES_FILE
from runapi_mcp.tools.schema import input_schema, output_schema

SERVER_NAME: Final = "runapi-mcp"

_HOUR_MS: Final = 3_600_000
_STATIC: Final = CacheHint(ttl_ms=_HOUR_MS, scope="public")
_FRAMED: Final = CacheHint(ttl_ms=60_000, scope="private")
"""The gallery's frame names RunAPI's address, and a sandbox has another one at each start."""
_CACHE_HINTS: Final[Mapping[CacheableMethod, CacheHint]] = {
    "server/discover": _STATIC,
    "tools/list": _STATIC,
    "resources/templates/list": _STATIC,
    "prompts/list": _STATIC,
    "resources/list": _FRAMED,
    "resources/read": _FRAMED,
}


def create_server(
    service: Service, variants: Sequence[Variant], *, saves: bool = True
) -> Server[Any]:
    """The MCP server; both protocol eras, any transport.

    `saves` tells whether pictures are saved for those whom it serves, as they are told at first.
    """
    keeps = service.picture_store.kept is not None
    handlers = _Handlers(service, variants)
    server: Server[Any] = Server(
        SERVER_NAME,
        version=__version__,
        title=TITLE,
        instructions=instructions(variants, saves=saves, keeps=keeps),
        cache_hints=_CACHE_HINTS,
        # No x-mcp-header is used, so a call over HTTP needs no look at the schemas first.
        get_tool_input_schema=lambda _: None,
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,
        on_list_resources=handlers.list_resources,
        on_read_resource=handlers.read_resource,
        on_list_resource_templates=_list_resource_templates,
        on_list_prompts=_list_prompts,
    )
    server.middleware.append(name_fields)
    server.extensions[gallery.UI_EXTENSION] = {}
    if service.gives_tasks:
        serve_tasks(server, RunapiTasks(service))
    return server


class _Handlers:
    def __init__(self, service: Service, variants: Sequence[Variant]) -> None:
        self._service = service
        self._garbage = CallGarbage()
        self._tools = {tool.name: tool for tool in offered(variants)}
        # What was drawn before may be of a variant that is not offered now.
        self._shown = tuple(dict.fromkeys([*VARIANTS, *variants]))
        self._vendors = tuple(
            dict.fromkeys(each.vendor for each in variants if each.vendor is not RUNAPI)
        )

    async def list_tools(
        self, context: Context, _: PaginatedRequestParams | None
    ) -> ListToolsResult:
        tools, service = self._tools_for(context).values(), self._service
        saves = service.saves_for(context) or service.keeps_for(context)
        return ListToolsResult(tools=[describe(tool, saves=saves) for tool in tools])

    async def call_tool(self, context: Context, params: CallToolRequestParams) -> CallToolResult:
        tools = self._tools_for(context)
        try:
            result = await call_tool(self._service, tools, context, params)
        finally:
            self._garbage.note_end()
        # A task in place of a result is the extension's, which the SDK's types do not know.
        return cast("CallToolResult", result)

    def _tools_for(self, context: Context) -> Mapping[str, Tool]:
        if self._service.shares_disk_with(context):
            return self._tools
        return {name: tool for name, tool in self._tools.items() if not tool.needs_disk}

    async def _framing(self) -> dict[str, Any]:
        kept = self._service.picture_store.kept
        origins = await anyio.to_thread.run_sync(kept.origins) if kept else []
        return gallery.page_meta(self._service.upstream.base_url, *origins, vendors=self._vendors)

    async def list_resources(
        self, _: Context, __: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        listed = Resource(
            uri=gallery.PAGE_URI,
            name=gallery.PAGE_NAME,
            title=gallery.PAGE_TITLE,
            description=gallery.PAGE_DESCRIPTION,
            mime_type=gallery.PAGE_MIME_TYPE,
            _meta=await self._framing(),
        )
        return ListResourcesResult(resources=[listed])

    async def read_resource(
        self, _: Context, params: ReadResourceRequestParams
    ) -> ReadResourceResult:
        uri = str(params.uri)
        if uri != gallery.PAGE_URI:
            message = f"There is no such resource: this server has tools and {gallery.PAGE_URI}."
            raise MCPError(INVALID_PARAMS, message, {"uri": uri})
        contents = TextResourceContents(
            uri=gallery.PAGE_URI,
            mime_type=gallery.PAGE_MIME_TYPE,
            text=gallery.read_page(self._shown),
            _meta=await self._framing(),
        )
        return ReadResourceResult(contents=[contents])


# Hosts ask every server for these lists; an empty one is kinder than an error in their logs.
async def _list_resource_templates(
    _: Context, __: PaginatedRequestParams | None
) -> ListResourceTemplatesResult:
    return ListResourceTemplatesResult(resource_templates=[])


async def _list_prompts(_: Context, __: PaginatedRequestParams | None) -> ListPromptsResult:
    return ListPromptsResult(prompts=[])


@cache
def describe(tool: Tool, *, saves: bool = True) -> McpTool:
    """What a host sees of a tool; where nothing is saved, there is nothing to name a file."""
    return McpTool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=input_schema(tool.inputs, frozenset() if saves else NAMES_FILE),
        output_schema=output_schema(tool.output),
        annotations=ToolAnnotations(
            read_only_hint=tool.effect == "reads",
            destructive_hint=False,
            idempotent_hint=tool.effect in ("reads", "changes"),
            open_world_hint=tool.effect != "writes",
        ),
        _meta=dict(gallery.TOOL_META) if tool.output is TaskFacts else None,
    )
