"""What `runapi-mcp draw` says: paths on stdout, all else on stderr, and an exit status."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import click

from runapi_mcp.base.amounts import dollars
from runapi_mcp.base.days import local_time
from runapi_mcp.base.errors import Failure
from runapi_mcp.base.printable import printable_path
from runapi_mcp.base.settings import Settings
from runapi_mcp.cli.command_words import in_command_words
from runapi_mcp.cli.output_path import OutputPath
from runapi_mcp.cli.own_name import typed
from runapi_mcp.cli.printing import printing
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.tools.tool import TaskOutcome, ToolResult, is_in_doubt

_DRAWN: Final = 0
FAILED: Final = 1
NOT_HERE: Final = 3
"""Paid, or perhaps, and the picture is not where it was wanted."""

_DOUBT: Final = (
    "RunAPI may or may not have charged this. The same command asks under the same key: nothing is "
    "charged twice."
)
_GONE: Final = "It was practice: the sandbox has ended, and nothing was paid."


def failure_words(failure: Failure) -> str:
    """A failure of a call that has no task."""
    if may_have_paid(failure):
        cause = failure.__cause__
        happened = cause.happened if isinstance(cause, Failure) else failure.happened
        return f"{happened} {_DOUBT}"
    return in_command_words(str(failure))


def may_have_paid(failure: Failure) -> bool:
    """Whether it ended in doubt; the tool says so in a failure of its own."""
    cause = failure.__cause__
    return is_in_doubt(failure) or (isinstance(cause, Failure) and is_in_doubt(cause))


def farewell(left: Sequence[Entry] | None, settings: Settings) -> str:
    """What a call leaves that was interrupted; None is a request that is still unanswered."""
    if settings.sandbox:
        return "Stopped. It was practice: nothing was paid."
    if left is None:
        return f"Stopped. {_DOUBT}"
    paid = [entry.task_id or "" for entry in left if entry.task_id and entry.status != "failed"]
    sentences = [_way_to(paid, settings)] if paid else []
    if any(entry.status == "intended" and entry.open_sends for entry in left):
        sentences.append(_DOUBT)
    return " ".join(["Stopped.", *(sentences or ["Nothing was paid."])])


def tell(
    result: ToolResult, output: OutputPath | None, settings: Settings, *, as_json: bool
) -> int:
    """The exit status of a call that has tasks; what became of them is said.

    Raises:
        NotPrinted
    """
    outcome = cast("TaskOutcome", result.task)  # a tool that draws always has one
    facts = result.facts.model_dump()
    status = _status(outcome, output)
    for line in _lines(outcome, facts, status, output):
        click.echo(in_command_words(line), err=True)
    for path in _in_the_way(outcome, output):
        click.echo(f"{printable_path(path)} is there already, and was left as it is.", err=True)
    if status == NOT_HERE:
        click.echo(_GONE if settings.sandbox else _way_to(_ids(outcome), settings), err=True)
    paths = [picture.path for picture in outcome.pictures if picture.path]
    with printing():
        if as_json:
            click.echo(json.dumps(_known(facts, paths), indent=2))
        elif status == NOT_HERE:
            click.echo("\n".join(_ids(outcome)))
        else:
            for path in paths:
                _print_path(path)
    return status


def _status(outcome: TaskOutcome, output: OutputPath | None) -> int:
    tasks = [tracked.task for tracked in outcome.tasks]
    lacks_picture = not outcome.all_ended or any(
        task.status == "completed" and not task.image_urls for task in tasks
    )
    if lacks_picture or any(map(is_in_doubt, outcome.failures.values())):
        return NOT_HERE
    paths = [picture.path for picture in outcome.pictures]
    if any(path is None or not (output is None or output.has_format_of(path)) for path in paths):
        return NOT_HERE
    failed = outcome.failures or len(paths) < len(tasks)
    return FAILED if failed else _DRAWN


def _in_the_way(outcome: TaskOutcome, output: OutputPath | None) -> list[Path]:
    """Files that have the name of a picture, which therefore has another."""
    if output is None:
        return []
    count = len(outcome.tasks) + len(outcome.failures)
    wanted = [output.numbered(number, count) for number in range(1, count + 1)]
    saved = [picture.path for picture in outcome.pictures]
    return [path for path in wanted if path not in saved and os.path.lexists(path)] if saved else []


def _lines(
    outcome: TaskOutcome, facts: Mapping[str, Any], status: int, output: OutputPath | None
) -> Iterator[str]:
    if outcome.joined_at is not None and outcome.pictures:
        yield f"Already drawn by the same call of {local_time(outcome.joined_at)}, and paid once."
    yield from facts.get("failed", ())
    for reason in ("error", "not_saved"):
        if reason in facts:
            yield facts[reason]
    if status == NOT_HERE:
        for picture in outcome.pictures:
            if picture.path:
                is_other = output is not None and not output.has_format_of(picture.path)
                odd = ", in another format than -o names" if is_other else ""
                yield f"Saved: {printable_path(picture.path)}{odd}"
    elif status == FAILED and not outcome.pictures:
        yield facts["next"]
    if outcome.pictures:
        yield _summary(facts)


def _way_to(ids: Sequence[str], settings: Settings) -> str:
    """How the pictures are had that were paid for."""
    which = f"Task {ids[0]} is" if len(ids) == 1 else f"Tasks {', '.join(ids)} are"
    # Only a ledger on the disk tells the same command of it.
    same = "" if settings.ledger.locate is None else "The same command or "
    one = ids[0] if len(ids) == 1 else "TASK_ID"
    return (
        f"{which} paid for. {same}`{typed(f'tasks {one}')}` gets what was drawn, and pays nothing."
    )


def _summary(facts: Mapping[str, Any]) -> str:
    """Its sizes, its price, and what today's budget leaves."""
    cents = facts.get("cost_cents", facts.get("price_cents"))
    money = f"{dollars(cents)}{' in pretend money' if 'notice' in facts else ''}"
    parts = [*dict.fromkeys(facts.get("image_sizes", ())), money]
    if "left_today_cents" in facts:
        parts.append(f"{dollars(facts['left_today_cents'])} left today")
    return ", ".join(parts)


def _known(facts: dict[str, Any], paths: Sequence[Path]) -> dict[str, Any]:
    """The facts without advice for models."""
    del facts["next"]
    return facts | ({"image_paths": [str(path) for path in paths]} if paths else {})


def _ids(outcome: TaskOutcome) -> list[str]:
    return [tracked.task.id for tracked in outcome.tasks]


def _print_path(path: Path) -> None:
    """The path as it is, also where stdout has not all its letters: somebody may open it."""
    try:
        click.echo(str(path))
    except UnicodeEncodeError:
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(path) + b"\n")
