"""One call of a tool, from the protocol's request to its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial
from typing import Any

import anyio
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    InputRequiredResult,
    TextContent,
)

from runapi_mcp.api import RunAPI, Upstream
from runapi_mcp.errors import Failure
from runapi_mcp.hosts.patience import MARGIN_SECONDS, patience_of
from runapi_mcp.server.consent import asked, yes_of
from runapi_mcp.server.keys import Keys
from runapi_mcp.server.receipts import when_sent
from runapi_mcp.server.task_wire import speaks_tasks, task_created
from runapi_mcp.tasks.desk import Desk
from runapi_mcp.tasks.limits import NotConfirmed
from runapi_mcp.tasks.orders import Orders
from runapi_mcp.tasks.waiting import Report
from runapi_mcp.tools import Caller, Outcome, Tool
from runapi_mcp.tools.facts import structured, text
from runapi_mcp.tools.tool import RawArguments

Context = ServerRequestContext[Any, Any]  # Any: the SDK's defaults; neither is used here
Result = CallToolResult | InputRequiredResult | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Service:
    """What the server answers with: RunAPI, the ledger and its limits, keys, how long to wait."""

    upstream: Upstream
    desk: Desk
    keys: Keys
    wait_seconds: float | None = None
    """How long a call waits that does not say; None for as long as its host allows."""
    gives_tasks: bool = True
    """Whether a client that speaks the Tasks extension gets tasks."""

    def caller(self, context: Context) -> Caller:
        """Who makes a request."""
        runapi = RunAPI(self.upstream, self.keys.of(context))
        wait_seconds = self.wait_seconds
        if wait_seconds is None:
            wait_seconds = _host_limit_seconds(context) - MARGIN_SECONDS
        return Caller(
            runapi,
            Orders(self.desk, runapi),
            anyio.current_time(),
            wait_seconds,
            _reporter(context),
        )


async def call_tool(
    service: Service, tools: Mapping[str, Tool], context: Context, params: CallToolRequestParams
) -> Result:
    """What the tool found, the task that goes on, or a question for the person.

    Raises:
        MCPError: there is no such tool.
    """
    tool = tools.get(params.name)
    if tool is None:
        raise MCPError(INVALID_PARAMS, _unknown_tool(params.name, list(tools)))
    try:
        caller = replace(
            service.caller(context),
            yes=yes_of(params),
            as_task=tool.effect == "pays" and service.gives_tasks and speaks_tasks(context),
        )
        outcome = await _outcome(context, tool, caller, params.arguments or {})
    except Failure as failure:
        return CallToolResult(is_error=True, content=[TextContent(text=str(failure))])
    if isinstance(outcome, InputRequiredResult):
        return outcome
    watch = outcome.watch
    if caller.as_task and watch is not None and watch.entry and not watch.task.ended:
        return task_created(watch, watch.entry, outcome.joined)
    return await handed_over(context, caller, outcome)


async def handed_over(context: Context, caller: Caller, outcome: Outcome) -> CallToolResult:
    """The result; once it is out, an image in it counts as delivered."""
    watch = outcome.watch
    if watch is not None and watch.task.image_urls and not _is_late(context, caller):
        await when_sent(context.request_id, partial(caller.orders.delivered, watch))
    facts = structured(outcome.facts)
    return CallToolResult(
        content=[TextContent(text=text(facts))],
        structured_content=facts,
        is_error=outcome.failed,
    )


async def _outcome(
    context: Context, tool: Tool, caller: Caller, arguments: RawArguments
) -> Outcome | InputRequiredResult:
    try:
        return await tool.run(caller, arguments)
    except NotConfirmed as question:
        patience = _host_limit_seconds(context) - MARGIN_SECONDS
        yes = await asked(context, tool.title, question, patience)
    if isinstance(yes, InputRequiredResult):
        return yes
    return await tool.run(replace(caller, yes=yes), arguments)


def _is_late(context: Context, caller: Caller) -> bool:
    """Whether the host has given the call up by now, and drops the answer."""
    return anyio.current_time() - caller.started > _host_limit_seconds(context)


def _host_limit_seconds(context: Context) -> float:
    """When the host gives up this very call."""
    client = context.session.client_params
    patience = patience_of(client.client_info.name if client else None)
    progress = bool(context.meta) and context.meta.get("progress_token") is not None
    return patience.with_progress_seconds if progress else patience.silent_seconds


def _reporter(context: Context) -> Report:
    """Tells the client how it goes; to one that gave no token for that, nothing is sent."""

    async def report(elapsed_seconds: float, message: str) -> None:
        await context.session.report_progress(elapsed_seconds, message=message)

    return report


def _unknown_tool(name: str, known: list[str]) -> str:
    close = get_close_matches(name.lower().replace("-", "_"), known, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f"There is no tool {name[:80]!r}.{meant} The tools are {', '.join(known)}."
