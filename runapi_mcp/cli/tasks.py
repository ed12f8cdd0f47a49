"""`runapi-mcp tasks`: what the ledger has, and one of it fetched again."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio
import click

from runapi_mcp import settings
from runapi_mcp.errors import Refused

if TYPE_CHECKING:
    from runapi_mcp.settings import Settings
    from runapi_mcp.tasks.ledger import Entry, Which


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
def command(*, task_id: str | None, show: str, limit: int, as_json: bool) -> None:
    """List what was ordered on this machine; with TASK_ID, fetch that task and save its image."""
    loaded = settings.load()
    if task_id is not None:
        anyio.run(partial(_fetch, loaded, task_id, as_json=as_json))
    else:
        anyio.run(partial(_list, loaded, cast("Which", show), limit, as_json=as_json))


async def _list(loaded: Settings, show: Which, limit: int, *, as_json: bool) -> None:
    from runapi_mcp.cli.composition import ledger_of

    ledger = ledger_of(loaded)
    try:
        entries = await ledger.listed(None, show, limit)
    finally:
        await ledger.aclose()
    if as_json:
        click.echo(json.dumps([_known(entry) for entry in entries], indent=2))
        return
    if not entries:
        click.echo("Nothing of the kind is in the ledger.")
    for entry in entries:
        _show(entry)


async def _fetch(loaded: Settings, task_id: str, *, as_json: bool) -> None:
    from runapi_mcp.api import Upstream
    from runapi_mcp.catalog.task_ids import canonical
    from runapi_mcp.cli.composition import desk_of, person_of
    from runapi_mcp.tools.delivery import pictures_of
    from runapi_mcp.tools.facts import structured, text
    from runapi_mcp.tools.task_outcomes import outcome_of

    if (wanted := canonical(task_id)) is None:
        raise Refused(f"{task_id!r} is not a task id.", "Without one, tasks are listed.")
    upstream, desk = Upstream(loaded.base_url), desk_of(loaded)
    try:
        person = person_of(loaded, upstream, desk)
        watch = await person.orders.found(wanted, 0)
        pictures = await pictures_of(person, watch)
    finally:
        await upstream.aclose()
        await desk.ledger.aclose()
    facts = structured(outcome_of(watch, pictures).facts)
    click.echo(json.dumps(facts, indent=2) if as_json else text(facts))


def _known(entry: Entry) -> dict[str, Any]:
    """The entry's facts; who paid and how it is held are nobody's business."""
    facts = asdict(entry)
    for name in ("caller", "fingerprint", "hold", "key"):
        del facts[name]
    return facts


def _show(entry: Entry) -> None:
    """When, how it stands, what it cost, what drew it; its id, and the prompt; where it is."""
    from runapi_mcp.images.picture import spoken
    from runapi_mcp.tools.facts import utc
    from runapi_mcp.tools.listing import short_prompt

    status, color = _standing(entry)
    model = entry.model.removeprefix("flux-2-")
    click.echo(f"{utc(entry.begun_at)}  ", nl=False)
    click.secho(f"{status:<23}", fg=color, nl=False)
    click.echo(f"{_money(entry):>8}  {model}")
    click.secho(f"  {entry.task_id or 'no task is known':<36}  {short_prompt(entry)}", dim=True)
    for file in filter(None, entry.files):
        click.secho(f"  {spoken(file)}", dim=True)


def _standing(entry: Entry) -> tuple[str, str]:
    """How the task stands, in words and as a color."""
    match entry.status:
        case "completed" if entry.delivered_at is None:
            return "completed, not seen yet", "cyan"
        case "completed":
            return "completed", "green"
        case "failed" | "lost":
            return entry.status, "red"
        case "intended":
            return "in doubt", "yellow"
        case _:
            return entry.status, "cyan"


def _money(entry: Entry) -> str:
    from runapi_mcp.catalog.money import dollars

    if entry.status == "failed":
        return dollars(entry.cost_cents or 0)
    return dollars(entry.price_cents if entry.cost_cents is None else entry.cost_cents)
