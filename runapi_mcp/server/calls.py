"""One call of a tool, from the protocol's request to its result."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Final

import anyio
from mcp import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ContentBlock,
    InputRequiredResult,
    TextContent,
)

from runapi_mcp import gallery
from runapi_mcp.base.errors import Failure, KeyMissing, NotAllowed
from runapi_mcp.base.hosts.host import ANSWER_MARGIN_SECONDS, ClientProfile
from runapi_mcp.base.hosts.table import client_profile
from runapi_mcp.base.progress import Report
from runapi_mcp.base.redaction import crash_words
from runapi_mcp.base.settings import are_saved
from runapi_mcp.images.picture_store import PictureStore
from runapi_mcp.login import PendingLogins
from runapi_mcp.orders.ledger import Entry, write_or_log
from runapi_mcp.orders.limits import NotConfirmed
from runapi_mcp.orders.orders import Orders
from runapi_mcp.orders.shared_state import SharedState
from runapi_mcp.providers.port import Provider, Upstream
from runapi_mcp.providers.sellers import Sellers
from runapi_mcp.server.arrivals import arrived_at
from runapi_mcp.server.client_capabilities import Context, client_name, speaks
from runapi_mcp.server.content import PREVIEWS_LEFT_OUT, blocks, shows_all
from runapi_mcp.server.delivery_confirmations import confirm_when_sent
from runapi_mcp.server.elicitation import elicit_consent, elicit_opening, returned_consent
from runapi_mcp.server.request_keys import Keys
from runapi_mcp.server.tasks_extension import speaks_tasks, task_created
from runapi_mcp.tools import Caller, Tool, ToolResult
from runapi_mcp.tools.added_names import name_added, split_added
from runapi_mcp.tools.facts import to_text
from runapi_mcp.tools.inputs import LARGEST_PREVIEW_PX
from runapi_mcp.tools.tool import DeliveryOptions, TaskOutcome, Wait

logger = logging.getLogger(__name__)

FETCH_RESERVE_SECONDS: Final = 5.0
"""What is left of a host's time once the images are fetched."""

_SETTING: Final = re.compile("RUNAPI_|RUNFLOW_")

CallResult = CallToolResult | InputRequiredResult | dict[str, Any]  # Any: as the SDK has it


@dataclass(frozen=True, slots=True)
class Service:
    """What the server answers with: provider, ledger and limits, keys, how long to wait."""

    upstream: Upstream
    shared: SharedState
    keys: Keys
    picture_store: PictureStore
    wait_seconds: float | None = None
    """How long a call waits that does not say; None for as long as its host allows."""
    gives_tasks: bool = True
    """Whether a client that speaks the Tasks extension gets tasks."""
    saves: bool | None = None
    """Whether pictures are saved here; None for those of callers on this machine."""
    previews: bool = True
    logins: PendingLogins | None = None
    """Where a key can be got for callers on this machine; None for nowhere."""
    others: Sequence[Provider] = ()
    """Who else sells, with this server's own keys, to whoever may use those."""

    def saves_for(self, context: Context) -> bool:
        """Whether this caller's pictures are saved here."""
        if self.keeps_for(context):
            return False
        return are_saved(save=self.saves, is_local=_is_local(context))

    def keeps_for(self, context: Context) -> bool:
        """Whether this caller's pictures are kept in a bucket."""
        return self.picture_store.kept is not None and not _is_local(context)

    def shares_disk_with(self, context: Context) -> bool:
        """Whether what is saved is on the caller's own machine."""
        return _is_local(context) and self.saves_for(context)

    def caller(self, context: Context) -> Caller:
        sellers, wait_seconds = self.sellers(context), self.wait_seconds
        pay_seconds = _host_limit_seconds(context) - ANSWER_MARGIN_SECONDS
        started = arrived_at()
        return Caller(
            sellers=sellers,
            orders=Orders(self.shared, sellers),
            delivery=self._delivery_options(context, _id_of(sellers)),
            wait=Wait(
                started=started,
                default_seconds=pay_seconds if wait_seconds is None else wait_seconds,
                pay_seconds=pay_seconds,
                report=_reporter(context),
                came_at=self.shared.ledger.now() - (anyio.current_time() - started),
            ),
            logins=self.logins if _is_local(context) else None,
        )

    def sellers(self, context: Context) -> Sellers:
        """Who sells to this caller."""
        others = self.others if self.keys.are_own(context) else ()
        return Sellers(self.upstream.provider(self.keys.of(context)), others)

    def _delivery_options(self, context: Context, caller: str) -> DeliveryOptions:
        return DeliveryOptions(
            picture_store=self.picture_store,
            caller=caller,
            is_local=_is_local(context),
            saves=self.saves_for(context),
            default_preview_px=LARGEST_PREVIEW_PX if _client(context).shows_images else 0,
            most_preview_px=LARGEST_PREVIEW_PX if self.previews else 0,
            answer_by=anyio.current_time() + _host_limit_seconds(context) - FETCH_RESERVE_SECONDS,
        )


def _id_of(sellers: Sellers) -> str:
    try:
        return sellers.caller_id
    except KeyMissing:  # who has none has no pictures either
        return ""


async def call_tool(
    service: Service, tools: Mapping[str, Tool], context: Context, params: CallToolRequestParams
) -> CallResult:
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
            yes=returned_consent(params),
            as_task=tool.effect == "pays" and service.gives_tasks and _wants_task(context),
        )
        result = await _run(context, tool, caller, params)
    except Failure as failure:
        return CallToolResult(is_error=True, content=[TextContent(text=_words(context, failure))])
    if isinstance(result, InputRequiredResult):
        return result
    task = result.task
    if caller.as_task and task is not None and (task.failures or not task.all_ended):
        entry = task.first.entry
        # Its client may ask for it in any process: of several images, the ledger knows the others.
        if entry is not None and (entry.count == 1 or caller.orders.ledger.lasts):
            return task_created(task, entry)
    return await to_result(context, caller, result)


async def to_result(context: Context, caller: Caller, result: ToolResult) -> CallToolResult:
    """The result as the protocol has it; once it is out, the images in it are handed over."""
    if result.task is not None and result.task.is_whole:
        await _hand_over_when_sent(context, caller, result.task.first.entry)
    facts = result.facts.model_dump()
    try:
        return _in_protocol(context, facts, result)
    except Exception as error:
        if result.task is None:
            raise
        # As in `tools.presenting`: no trouble hides where an image is that is paid for.
        logger.exception("something unforeseen happened to an image that is paid for")
        told = {**facts, "error": f"Unforeseen: {crash_words(error)}"}
        return CallToolResult(
            content=[TextContent(text=json.dumps(told))],
            structured_content=told,
            is_error=result.failed,
        )


def _in_protocol(context: Context, facts: dict[str, Any], result: ToolResult) -> CallToolResult:
    for_page = _meta_for_page(context, result.task)
    pictures = result.task.pictures if result.task else ()

    def told() -> list[ContentBlock]:
        if not pictures:
            return [TextContent(text=to_text(facts))]
        size, with_links = len(json.dumps([facts, for_page])), _client(context).takes_links
        return blocks(to_text(facts), size, pictures, with_links=with_links)

    content = told()
    if not shows_all(content, pictures):
        notice = " ".join(filter(None, (facts.get("notice"), PREVIEWS_LEFT_OUT)))
        facts = {**facts, "notice": notice}
        content = told()
    return CallToolResult(
        content=content,
        structured_content=facts,
        is_error=result.failed,
        _meta=for_page,
    )


async def _hand_over_when_sent(context: Context, caller: Caller, entry: Entry | None) -> None:
    """Note the hand-over of a call's images once the answer is out, if that is in time."""
    if entry is None:
        return
    ledger = caller.orders.ledger
    at, call_id = ledger.now(), entry.call_id
    surely = _is_local(context) and _client(context).takes_every_answer

    async def confirm() -> None:
        if not _is_late(context, caller):
            await write_or_log(ledger.record_handover(call_id, at, surely=surely))

    await confirm_when_sent(context.request_id, confirm)


def _wants_task(context: Context) -> bool:
    return speaks_tasks(context) and _client(context).shows_tasks


def _meta_for_page(context: Context, task: TaskOutcome | None) -> dict[str, Any] | None:
    """What only the page reads: a model is given no `_meta`."""
    if task is None or not task.arguments or not speaks(context, gallery.UI_EXTENSION):
        return None
    return {gallery.ARGUMENTS_META: task.arguments}


async def _run(
    context: Context, tool: Tool, caller: Caller, params: CallToolRequestParams
) -> ToolResult | InputRequiredResult:
    arguments, added = split_added(tool, params.arguments or {})
    patience = _host_limit_seconds(context) - ANSWER_MARGIN_SECONDS
    try:
        result = await tool.run(caller, arguments)
    except NotConfirmed as question:
        yes = await elicit_consent(context, tool.title, arguments, question, patience)
    else:
        to_open = result.link and await elicit_opening(context, params, result.link, patience)
        return to_open or name_added(result, added)
    if isinstance(yes, InputRequiredResult):
        return yes
    try:
        return name_added(await tool.run(replace(caller, yes=yes), arguments), added)
    except NotConfirmed as changed:
        raise NotAllowed(
            "The price or a source image changed while the person was asked.",
            "Nothing was paid. Call again, and the person is asked anew.",
        ) from changed


def _is_late(context: Context, caller: Caller) -> bool:
    """Whether the host has given the call up by now, and drops the answer."""
    return anyio.current_time() - caller.wait.started > _host_limit_seconds(context)


def _host_limit_seconds(context: Context) -> float:
    """When the host gives up this very call."""
    client = _client(context)
    progress = bool(context.meta) and context.meta.get("progress_token") is not None
    return client.with_progress_seconds if progress else client.silent_seconds


def _is_local(context: Context) -> bool:
    """Whether the caller started this process, and so shares its disk."""
    return context.request is None


def _client(context: Context) -> ClientProfile:
    return client_profile(client_name(context))


def _reporter(context: Context) -> Report:
    """Tells the client how it goes; to one that gave no token for that, nothing is sent."""
    started, last = anyio.current_time(), -1.0

    async def report(message: str) -> None:
        nonlocal last
        # It must rise, also where two steps follow in no time.
        last = max(anyio.current_time() - started, last + 0.001)
        await context.session.report_progress(max(last, 0.0), message=message)

    return report


def _words(context: Context, failure: Failure) -> str:
    """What is told of a failure; a caller from elsewhere sets no variable of this server."""
    theirs = not _is_local(context) and _SETTING.search(failure.advice) is not None
    return f"{failure} (Whoever runs this server sets that.)" if theirs else str(failure)


def _unknown_tool(name: str, known: list[str]) -> str:
    close = get_close_matches(name.lower().replace("-", "_"), known, n=1)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f"There is no tool {name[:80]!r}.{meant} The tools are {', '.join(known)}."
