"""`runapi-mcp draw`: pictures for a person in a terminal, paid as an agent's call is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from runapi_mcp.base.catalog import VARIANTS, Action, Variant, tiers_of
from runapi_mcp.base.catalog.fields import MOST_PICTURES
from runapi_mcp.base.catalog.tiers import PRO
from runapi_mcp.base.errors import Failure, KeyMissing, NotAllowed
from runapi_mcp.cli.command_words import require_usable
from runapi_mcp.cli.draw_request import DrawRequest
from runapi_mcp.cli.event_loop import run_interruptible
from runapi_mcp.cli.output_path import OutputPath
from runapi_mcp.cli.own_name import as_typed, typed
from runapi_mcp.cli.printing import NotPrinted
from runapi_mcp.cli.serve import load_settings
from runapi_mcp.cli.spinner import spinning

if TYPE_CHECKING:
    from runapi_mcp.base.settings import Settings
    from runapi_mcp.cli.draw_call import DrawCall
    from runapi_mcp.orders.limits import NotConfirmed


def _complete_file(*begun: object) -> list[CompletionItem]:
    """That a file is meant, which shells know more of."""
    return [CompletionItem(begun[-1], type="file")]


class _OutputFile(click.ParamType[OutputPath]):
    name = "file"

    def convert(
        self, value: str | OutputPath, param: click.Parameter | None, ctx: click.Context | None
    ) -> OutputPath:
        if isinstance(value, OutputPath):
            return value
        try:
            return OutputPath.of(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}.", param, ctx)


@click.command("draw")
@click.argument("prompt")
@click.option(
    "--from",
    "sources",
    multiple=True,
    metavar="PATH|ID",
    shell_complete=_complete_file,
    help="An image to start from: a path, a task id or an address. Up to 8 times.",
)
@click.option(
    "--variant",
    "tier",
    type=click.Choice([tier.name for tier in tiers_of(VARIANTS)]),
    default=PRO.name,
    show_default=True,
    help="The tier to draw with.",
)
@click.option("--ratio", metavar="W:H", help="Aspect ratio, such as 16:9.")
@click.option("--resolution", type=click.Choice(["1k", "2k"]), help="About 1 or 4 megapixels.")
@click.option(
    "--count",
    type=click.IntRange(1, MOST_PICTURES),
    default=1,
    show_default=True,
    help="How many pictures; each is paid.",
)
@click.option(
    "-o",
    "--output",
    type=_OutputFile(),
    shell_complete=_complete_file,
    help="Where to; the suffix decides the format. Without it, a name in your pictures folder.",
)
@click.option("--force", is_flag=True, help="Replace the file that -o names.")
@click.option("--yes", is_flag=True, help="Pay without asking, whatever RUNAPI_CONFIRM_OVER is.")
@click.option("--json", "as_json", is_flag=True, help="All that is known, as JSON.")
@click.option("--sandbox", is_flag=True, help="Practise without a key: nothing paid.")
def command(  # noqa: PLR0913 - click gives one for each option
    *,
    prompt: str,
    sources: Sequence[str],
    tier: str,
    ratio: str | None,
    resolution: str | None,
    count: int,
    output: OutputPath | None,
    force: bool,
    yes: bool,
    as_json: bool,
    sandbox: bool,
) -> None:
    """Draw PROMPT, and print where the picture is.

    The same command draws, and pays for, a new picture once the path was printed. Until then, as
    after Ctrl-C or a crash, it goes on with the one that was paid for.

    \b
    Exit status:
      0    the picture is here
      1    refused or failed: nothing was paid
      2    wrong usage
      3    paid, and not here yet: its task id is printed
      130  Ctrl-C: the task id is on stderr
    """
    variant = _variant(tier, "remix_image" if sources else "text_to_image")
    if force and output is None:
        raise click.UsageError("--force is for the file of -o: name it too.")
    request = DrawRequest(
        variant, prompt, tuple(sources), ratio, resolution, count, output, replaces=force
    )
    require_usable(variant, request.arguments())
    loaded = load_settings(sandbox=sandbox)
    sys.exit(_exit_status(request, loaded, as_json=as_json, agreed=yes))


def _variant(tier: str, action: Action) -> Variant:
    able = {variant.tier.name: variant for variant in VARIANTS if variant.action == action}
    if tier not in able:
        raise click.UsageError(f"{tier} cannot start from images. Use {' or '.join(able)}.")
    return able[tier]


def _exit_status(request: DrawRequest, settings: Settings, *, as_json: bool, agreed: bool) -> int:
    # Not before: what these import takes its time.
    from runapi_mcp.cli.draw_call import INTERRUPTED, DrawCall
    from runapi_mcp.cli.draw_words import FAILED, NOT_HERE, failure_words, may_have_paid

    call = DrawCall(request, settings, as_json=as_json)
    try:
        return _call(call, agreed=agreed)
    except KeyMissing as failure:
        _complain(f"{failure.happened} Run `{typed('login')}`, or practise with --sandbox.")
        return FAILED
    except NotPrinted:
        raise
    except Failure as failure:
        _complain(failure_words(failure))
        return NOT_HERE if may_have_paid(failure) else FAILED
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"\n{call.farewell()}", err=True)
        return INTERRUPTED


def _call(call: DrawCall, *, agreed: bool) -> int:
    """The exit status; the person is asked outside the event loop, which Ctrl-C would not end."""
    from runapi_mcp.orders.limits import NotConfirmed

    try:
        return _attempt(call, None)
    except NotConfirmed as question:
        if not agreed:
            _ask(question)
        yes = question.question
    try:
        return _attempt(call, yes)
    except NotConfirmed as error:
        happened = "The price or an image changed meanwhile."
        raise NotAllowed(happened, "Nothing was paid. Run it again.") from error


def _attempt(call: DrawCall, yes: str | None) -> int:
    with spinning("starting") as spinner:
        return run_interruptible(partial(call.make, yes, spinner))


def _ask(question: NotConfirmed) -> None:
    from runapi_mcp.base.amounts import dollars

    several = question.count > 1
    what = f"These {question.count} pictures cost" if several else "This picture costs"
    left = question.left_cents
    budget = "" if left is None else f" Today's budget leaves {dollars(left)}."
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        happened = f"{what} {question.amount}, and RUNAPI_CONFIRM_OVER asks a person first."
        raise NotAllowed(happened, "Nothing was paid. Add --yes to pay it.")
    if not click.confirm(f"{what} {question.amount}.{budget} Pay it?", err=True):
        raise NotAllowed("Not drawn.", "Nothing was paid.")


def _complain(sentence: str) -> None:
    click.echo(f"runapi-mcp: {as_typed(sentence)}", err=True)
