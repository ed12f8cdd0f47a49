"""The tool that finds lost tasks: what the ledger has, the newest first."""

from collections.abc import Sequence
from typing import Final

from pydantic import MISSING

from runapi_mcp.images.picture import spoken
from runapi_mcp.tasks.ledger import Entry
from runapi_mcp.tools.arguments import accept
from runapi_mcp.tools.facts import SANDBOX_NOTICE, TaskListFacts, TaskRow, known, utc
from runapi_mcp.tools.inputs import ListQuestion
from runapi_mcp.tools.tool import Caller, Outcome, RawArguments, Tool

LONGEST_PROMPT: Final = 60

_NEXT = "get_task with a task_id gets its image, and costs nothing."
_NONE = "Nothing of the kind is in the ledger of this key."
_IN_DOUBT = (
    "What is intended may have been charged; the same call again asks under the same key, and "
    "is not charged twice."
)


async def _run(caller: Caller, raw: RawArguments) -> Outcome:
    (question,) = accept(raw, ListQuestion)
    entries = await caller.orders.listed(question.show, question.limit)
    facts = TaskListFacts(
        tasks=[_row_of(entry) for entry in entries],
        left_today_cents=known(await caller.orders.left_cents()),
        next=_next(entries),
        notice=SANDBOX_NOTICE if any(entry.sandbox for entry in entries) else MISSING,
    )
    return Outcome(facts)


def _row_of(entry: Entry) -> TaskRow:
    """An entry of the ledger, in short."""
    return TaskRow(
        status=entry.status,
        task_id=entry.task_id or MISSING,
        model=entry.model,
        prompt=short_prompt(entry) or MISSING,
        ordered=utc(entry.begun_at),
        delivered=entry.delivered_at is not None,
        image_path=next((spoken(file) for file in entry.files if file), None) or MISSING,
        # Once it has ended, only the charge counts.
        price_cents=MISSING if entry.ended and entry.status != "lost" else known(entry.price_cents),
        cost_cents=known(entry.cost_cents),
    )


def short_prompt(entry: Entry) -> str:
    """The beginning of the prompt, on one line; empty where the user keeps none."""
    prompt = " ".join(str((entry.arguments or {}).get("prompt", "")).split())
    return prompt if len(prompt) <= LONGEST_PROMPT else prompt[: LONGEST_PROMPT - 1] + "…"


def _next(entries: Sequence[Entry]) -> str:
    if not entries:
        return _NONE
    in_doubt = any(entry.status == "intended" for entry in entries)
    return f"{_NEXT} {_IN_DOUBT}" if in_doubt else _NEXT


LIST_TASKS: Final = Tool(
    name="list_tasks",
    title="Flux 2: list tasks",
    description="Find the tasks ordered here, newest first, when a task_id is lost. Costs nothing.",
    effect="reads",
    inputs=(ListQuestion,),
    output=TaskListFacts,
    run=_run,
)
