"""`runapi-mcp tasks`: what the ledger has, and one of it fetched again."""

from __future__ import annotations

import json
import sys
from contextlib import aclosing
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import click

from runapi_mcp.base import settings
from runapi_mcp.base.errors import Refused
from runapi_mcp.cli.event_loop import run_interruptible
from runapi_mcp.cli.own_name import as_typed
from runapi_mcp.cli.printing import printing

if TYPE_CHECKING:
    from runapi_mcp.base.settings import Settings
    from runapi_mcp.orders.ledger import Entry, KeptLedger, Selection
    from runapi_mcp.providers.port import Upstream
    from runapi_mcp.tools.tool import TaskOutcome, ToolResult


@click.command("tasks")
@click.argument("task_id", required=False)
@click.option(
    "--show",
    type=click.Choice(["recent", "running", "undelivered"]),
    default="recent",
    show_default=True,
    help="Which tasks to list.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="How many, the newest first.",
)
@click.option("--json", "as_json", is_flag=True, help="All that is known, as JSON.")
@click.option("--open", "opens", is_flag=True, help="Open the saved picture of TASK_ID.")
def command(*, task_id: str | None, show: str, limit: int, as_json: bool, opens: bool) -> None:
    """List what was ordered on this machine; with TASK_ID, fetch that task and save its image."""
    loaded = settings.load()
    if opens:
        run_interruptible(partial(_open, loaded, task_id))
    elif task_id is not None:
        if not run_interruptible(partial(_fetch, loaded, task_id, as_json=as_json)):
            sys.exit(1)
    else:
        run_interruptible(partial(_list, loaded, cast("Selection", show), limit, as_json=as_json))


async def _list(loaded: Settings, show: Selection, limit: int, *, as_json: bool) -> None:
    from runapi_mcp.cli.composition import ledger_of

    if loaded.ledger.locate is None:
        why = "RUNAPI_SANDBOX is on" if loaded.sandbox else "RUNAPI_LEDGER is off"
        click.echo(f"No ledger is kept on the disk: {why}.", err=True)
    async with aclosing(ledger_of(loaded)) as ledger:
        entries = await ledger.entries(None, show, limit)
        sums = await _sums(ledger, loaded.ledger.zone)
    with printing():
        if as_json:
            click.echo(json.dumps([_known(entry) for entry in entries], indent=2))
        elif loaded.ledger.locate and not entries:
            click.echo("No pictures yet.")
        else:
            for entry in entries:
                _show(entry)
            if entries:
                click.echo(sums)


async def _sums(ledger: KeptLedger, zone: str | None) -> str:
    """What today and this month have cost, all keys together."""
    from runapi_mcp.base.amounts import dollars
    from runapi_mcp.base.days import day_of, month_since

    now = ledger.now()
    today = await ledger.total_cost_cents(day_of(now, zone)[0])
    month = await ledger.total_cost_cents(month_since(now, zone))
    return f"Spent today {dollars(today)}, this month {dollars(month)}."


async def _open(loaded: Settings, task_id: str | None) -> None:
    """Open the first picture of a task, which costs nothing and asks nobody but the ledger."""
    from runapi_mcp.cli.composition import ledger_of
    from runapi_mcp.cli.desktop import open_file
    from runapi_mcp.pictures_page.saved_files import require_unchanged

    listed = "`runapi-mcp tasks` lists them."
    if task_id is None:
        raise Refused("--open needs a TASK_ID.", listed)
    wanted = _canonical(task_id, listed)
    async with aclosing(ledger_of(loaded)) as ledger:
        entry = await ledger.by_task(None, wanted)
    if entry is None:
        raise Refused(
            f"Task {wanted} is not in this machine's ledger.",
            f"`runapi-mcp tasks {wanted}` asks RunAPI for it.",
        )
    open_file(require_unchanged(entry, 0))


def _canonical(task_id: str, advice: str) -> str:
    from runapi_mcp.base.catalog.task_ids import canonical

    if (wanted := canonical(task_id)) is None:
        raise Refused(f"{task_id!r} is not a task id.", advice)
    return wanted


async def _fetch(loaded: Settings, task_id: str, *, as_json: bool) -> bool:
    """Whether the task is no failed one."""
    from runapi_mcp.cli.composition import ledger_of
    from runapi_mcp.orders.ledger import write_or_log
    from runapi_mcp.providers.runapi import RunAPI
    from runapi_mcp.tools.facts import to_text
    from runapi_mcp.tools.task_outcomes import result_of

    wanted = _canonical(task_id, "Without one, tasks are listed.")
    async with aclosing(RunAPI(loaded.base_url)) as upstream, aclosing(ledger_of(loaded)) as ledger:
        outcome = await _outcome(loaded, wanted, upstream, ledger)
        result = result_of(outcome)
        facts = _facts(result)
        with printing():
            click.echo(json.dumps(facts, indent=2) if as_json else to_text(facts))
        entry = outcome.first.entry
        if outcome.is_whole and entry is not None:
            at = ledger.now()
            await write_or_log(ledger.record_handover(entry.call_id, at, surely=False))
    return not result.failed


async def _outcome(
    loaded: Settings, task_id: str, upstream: Upstream, ledger: KeptLedger
) -> TaskOutcome:
    from runapi_mcp.cli.composition import delivery_of, others_of, shared_state_of
    from runapi_mcp.orders.orders import Orders
    from runapi_mcp.providers.sellers import Sellers
    from runapi_mcp.tools.delivery import deliver
    from runapi_mcp.tools.presenting import siblings_of
    from runapi_mcp.tools.tool import TaskOutcome

    async with others_of(loaded, upstream.base_url) as others:
        sellers = Sellers(upstream.provider(loaded.key), others)
        orders = Orders(shared_state_of(loaded, ledger, others), sellers)
        tracked = await orders.find(task_id, 0)
    options = delivery_of(loaded)
    pictures = await deliver([tracked], options, ledger, _say_nothing)
    return TaskOutcome((tracked,), pictures, siblings=await siblings_of(orders, tracked.entry))


async def _say_nothing(_: str) -> None:
    """A command that ends soon needs no word on how it goes."""


def _facts(result: ToolResult) -> dict[str, object]:
    """The facts of a task, with what a person in a terminal does next."""
    facts = result.facts.model_dump()
    again = as_typed(f"`runapi-mcp tasks {facts['task_id']}`")
    if facts["status"] not in ("completed", "failed"):
        facts["next"] = f"{again} fetches the image once it is drawn, and costs nothing."
    elif facts["status"] == "completed" and ("not_saved" in facts or "image_urls" not in facts):
        facts["next"] = f"{again} tries again, and costs nothing."
    return facts


def _known(entry: Entry) -> dict[str, Any]:
    """The entry's facts; who paid and how it is held are nobody's business."""
    facts = asdict(entry)
    for name in ("caller", "fingerprint", "key", "call_id", "request"):
        del facts[name]
    return facts


def _show(entry: Entry) -> None:
    """When, how it stands, what it cost, what drew it; its id, and the prompt; where it is."""
    from runapi_mcp.base.days import local_time
    from runapi_mcp.base.printable import printable_path
    from runapi_mcp.tools.reading import ADVICE_IN_DOUBT, short_prompt

    status, color = _standing(entry)
    model = entry.model.removeprefix("flux-2-")
    click.echo(f"{local_time(entry.begun_at)}  ", nl=False)
    click.secho(f"{status:<23}", fg=color, nl=False)
    click.echo(f"{_money(entry):>8}  {model}")
    click.secho(f"  {entry.task_id or 'no task is known':<36}  {short_prompt(entry)}", dim=True)
    if entry.doubt is not None:
        click.secho(f"  It {ADVICE_IN_DOUBT[entry.doubt]}", dim=True)
    if entry.status in ("failed", "lost"):
        click.secho(f"  {_reason(entry)}", dim=True)
    for file in filter(None, entry.files):
        click.secho(f"  {printable_path(file)}", dim=True)


def _reason(entry: Entry) -> str:
    from runapi_mcp.base.redaction import quote

    if entry.status == "lost":
        return "RunAPI no longer knows this task."
    who = "RunAPI's sandbox" if entry.sandbox else "RunAPI"
    return f"{who} says: {quote(entry.error)}" if entry.error else f"{who} gave no reason."


def _standing(entry: Entry) -> tuple[str, str]:
    """How the task stands, in words and as a color."""
    match entry.status:
        case "completed" if entry.handed_over_at is None:
            return "completed, not seen yet", "cyan"
        case "completed":
            return "completed", "green"
        case "failed" | "lost":
            return entry.status, "red"
        case "intended" if entry.doubt == "under way":
            return "being ordered", "cyan"
        case "intended":
            return "in doubt", "yellow"
        case _:
            return entry.status, "cyan"


def _money(entry: Entry) -> str:
    from runapi_mcp.base.amounts import dollars

    if entry.status == "failed":
        return dollars(entry.cost_cents or 0)
    return dollars(entry.price_cents if entry.cost_cents is None else entry.cost_cents)
