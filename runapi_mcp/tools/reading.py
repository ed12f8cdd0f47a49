"""The tools that find tasks: one by its id, or what the ledger has."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic import MISSING

from runapi_mcp.base.catalog.vendors import vendor_named
from runapi_mcp.base.printable import printable_path
from runapi_mcp.base.redaction import excerpt
from runapi_mcp.images.folders import name_of
from runapi_mcp.orders.ledger import Doubt, Entry
from runapi_mcp.orders.purchase import SOURCES_FIELD
from runapi_mcp.tools.arguments import accept
from runapi_mcp.tools.facts import TaskFacts, TaskListFacts, TaskRow, known, sandbox_notice, utc
from runapi_mcp.tools.inputs import ListQuestion, ReadingOptions, TaskReference
from runapi_mcp.tools.presenting import present, siblings_of
from runapi_mcp.tools.tool import Caller, RawArguments, TaskOutcome, Tool, ToolResult

LONGEST_PROMPT: Final = 60

_NEXT = "get_task with a task_id gets its image, and costs nothing."
_NONE = "No pictures yet."

ADVICE_IN_DOUBT: Final[Mapping[Doubt, str]] = {
    "under way": "is being ordered just now; the same call gets the same picture.",
    "asks itself": (
        "may have been charged; the next paid call asks about it, and so does the same call, under "
        "its key: nothing is charged twice."
    ),
    "same call asks": (
        "may have been charged, which check_balance tells; the same call asks about it under its "
        "key: nothing is charged twice."
    ),
    "looked for": (
        "may have been charged; the next paid call, and so does the same call, looks for it in the "
        "vendor's list, and nothing is sent a second time."
    ),
    "out of sight": (
        "may have been charged, which the vendor's list could not tell for a day; the same call "
        "pays for another."
    ),
}
"""What is to be known of a call without a task before it is made again."""


async def _get_task(caller: Caller, raw: RawArguments) -> ToolResult:
    reference, options = accept(raw, TaskReference, ReadingOptions)
    orders, wait = caller.orders, caller.wait
    wait_seconds = options.or_else(wait.default_seconds)
    tracked = await orders.find(reference.task_id, wait_seconds)
    outcome = TaskOutcome(
        (tracked,),
        siblings=await siblings_of(orders, tracked.entry),
        arguments=_arguments_of(tracked.entry),
        preview_px=options.preview(),
    )
    return await present(caller, outcome, follow_seconds=wait.left_seconds(wait_seconds))


def _arguments_of(entry: Entry | None) -> RawArguments | None:
    """What was asked for, in the caller's words; None where no prompt is kept."""
    if entry is None or "prompt" not in (entry.arguments or {}):
        return None
    arguments = dict(entry.arguments or {})
    if entry.sources:
        # Not the addresses they were uploaded to, which last for an hour.
        arguments[SOURCES_FIELD] = [
            source.get("path") or source.get("task_id") or source["url"] for source in entry.sources
        ]
    if entry.save_as is not None:
        arguments["save_as"] = name_of(entry.save_as)
    if entry.count > 1:
        arguments["count"] = entry.count
    return arguments


async def _list_tasks(caller: Caller, raw: RawArguments) -> ToolResult:
    (question,) = accept(raw, ListQuestion)
    ledger, caller_id = caller.orders.ledger, caller.sellers.caller_id
    entries = await ledger.entries(caller_id, question.show, question.limit)
    facts = TaskListFacts(
        tasks=[_row_of(entry) for entry in entries],
        left_today_cents=known(await caller.orders.remaining_cents()),
        next=_next(entries),
        notice=_notice(entries) or MISSING,
    )
    return ToolResult(facts)


def _notice(entries: Sequence[Entry]) -> str:
    practised = dict.fromkeys(entry.vendor for entry in entries if entry.sandbox)
    return " ".join(sandbox_notice(vendor_named(name)) for name in practised)


def _row_of(entry: Entry) -> TaskRow:
    return TaskRow(
        status=entry.status,
        task_id=entry.task_id or MISSING,
        model=entry.model,
        prompt=short_prompt(entry) or MISSING,
        ordered=utc(entry.begun_at),
        delivered=entry.handed_over_at is not None,
        # Once it has ended, only the charge counts.
        price_cents=MISSING if entry.ended and entry.status != "lost" else known(entry.price_cents),
        cost_cents=known(entry.cost_cents),
        image_path=next((printable_path(file) for file in entry.files if file), None) or MISSING,
    )


def short_prompt(entry: Entry) -> str:
    """The beginning of the prompt, on one line; empty where the user keeps none."""
    return excerpt(str((entry.arguments or {}).get("prompt", "")), LONGEST_PROMPT)


def _next(entries: Sequence[Entry]) -> str:
    return " ".join([_NEXT, *_advice(entries)]) if entries else _NONE


def _advice(entries: Sequence[Entry]) -> Iterator[str]:
    for doubt, words in ADVICE_IN_DOUBT.items():
        moments = dict.fromkeys(utc(entry.begun_at) for entry in entries if entry.doubt == doubt)
        if moments:
            yield f"Intended at {', '.join(moments)}: {words}"


GET_TASK: Final = Tool(
    name="get_task",
    title="Flux 2: get a task",
    description="Get an image still being drawn, or an earlier one, by its task_id. Costs nothing.",
    effect="reads",
    inputs=(TaskReference, ReadingOptions),
    output=TaskFacts,
    run=_get_task,
)

LIST_TASKS: Final = Tool(
    name="list_tasks",
    title="Flux 2: list tasks",
    description="Find the tasks ordered here, newest first, when a task_id is lost. Costs nothing.",
    effect="reads",
    inputs=(ListQuestion,),
    output=TaskListFacts,
    run=_list_tasks,
)
