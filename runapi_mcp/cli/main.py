"""The command line: finds a command, loads only that one, and says failures in a sentence."""

from __future__ import annotations

import sys
import warnings
from contextlib import nullcontext
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

import click

from runapi_mcp import __version__
from runapi_mcp.base.errors import Failure
from runapi_mcp.base.identity import COMPLETION
from runapi_mcp.cli.crashes import EXIT_STATUS, log_crashes_beside, tell_crash
from runapi_mcp.cli.log_lines import log_to_stderr
from runapi_mcp.cli.own_name import as_typed
from runapi_mcp.cli.printing import NotPrinted, open_missing_streams
from runapi_mcp.cli.spinner import spinning

if TYPE_CHECKING:
    from runapi_mcp.front.serving import Begun

_COMMANDS: Final = {
    "serve": "Serve tools to a host over stdio (the default) or HTTP.",
    "demo": "Draw a picture in the sandbox, as an agent would.",
    "draw": "Draw a picture yourself, and pay for it.",
    "install": "Give your coding agents these tools.",
    "uninstall": "Take them out of your agents again.",
    "doctor": "Find out what is wrong, and what mends it.",
    "login": "Get a key through the browser, or from standard input.",
    "logout": "Remove the saved key.",
    "tasks": "List what was ordered, or fetch one of it again.",
    "pictures": "Look through your pictures in a browser.",
    "sandbox": "Run the sandbox RunAPI for any client.",
    "fleet": "Prepare servers that share a database.",
}
"""Commands by the module that holds each. Their help stands here so that listing loads none."""

_LONG: Final = ("demo", "draw", "install", "doctor")


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        # Imports alone may take longer than a person waits for a sign of life.
        shows_life = cmd_name in _LONG and not ctx.resilient_parsing
        with spinning("starting") if shows_life else nullcontext():
            command: click.Command = import_module(f"runapi_mcp.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and not args[0].startswith("-"):
            close = get_close_matches(args[0].lower(), _COMMANDS, n=1)
            advice = (
                f"Did you mean {close[0]}?" if close else f"Name one of {', '.join(_COMMANDS)}."
            )
            ctx.fail(f"There is no command {args[0]!r}. {advice}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_Lazy,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="runapi-mcp", message="%(prog)s %(version)s")
@click.option("--sandbox", is_flag=True, help="Practise without a key: same tools, nothing paid.")
@click.pass_context
def command(ctx: click.Context, *, sandbox: bool) -> None:
    """Flux 2 for coding agents: an MCP server that draws through RunAPI.

    Without a command it serves one host over stdio, which is what hosts start.
    """
    if ctx.invoked_subcommand is None:
        from runapi_mcp.cli.serve import over_stdio

        over_stdio(ctx.obj, sandbox=sandbox)
    elif sandbox:
        raise click.UsageError(_sandbox_advice(ctx, ctx.invoked_subcommand))


def _sandbox_advice(ctx: click.Context, name: str) -> str:
    chosen = cast("click.Group", ctx.command).get_command(ctx, name)
    takes_it = chosen and any("--sandbox" in param.opts for param in chosen.params)
    advice = f"write {name} --sandbox" if takes_it else f"leave it out, {name} has none"
    return f"--sandbox before a command does nothing: {advice}."


def run(begun: Begun | None = None) -> None:
    """Run the command line; a failure is a sentence on stderr and a status, not a traceback.

    A crash is a line on stderr, and a status of its own. `begun` is a conversation to go on with.
    """
    open_missing_streams()
    # What Pillow has to say of an odd image, our own words say.
    warnings.filterwarnings("ignore", module="PIL")
    log_to_stderr()
    log_crashes_beside()
    try:
        command(complete_var=COMPLETION, obj=begun)  # the same however it was started
    except Exception as error:  # noqa: BLE001 - the last place where it can be told
        failure = _the_failure(error)
        if failure is None:
            tell_crash(error)
            sys.exit(EXIT_STATUS)
        # Who closes a pipe wants no more of it.
        if not isinstance(failure.__cause__, BrokenPipeError):
            click.echo(f"runapi-mcp: {as_typed(str(failure))}", err=True)
        sys.exit(1 if isinstance(failure, NotPrinted) else 2)


def _the_failure(error: Exception) -> Failure | None:
    """The failure that an error is, or that task groups have wrapped; None for a crash."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, ExceptionGroup):
        inner = cast("ExceptionGroup[Exception]", error).exceptions
        return _the_failure(inner[0]) if len(inner) == 1 else None
    return None
