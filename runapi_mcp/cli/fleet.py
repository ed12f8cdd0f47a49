"""`runapi-mcp fleet`: what servers that share a database need, and whether they are well."""

from collections.abc import Mapping

import click

from runapi_mcp.cli.event_loop import run_interruptible


@click.group("fleet")
def command() -> None:
    """Prepare servers that share a database, and see whether they are well."""


@command.command("migrate")
def prepare_database() -> None:
    """Make or change the tables in the database that RUNAPI_DATABASE_URL names.

    To be run once before the first server of a new version starts. Servers that run go on.
    """
    run_interruptible(_migrate)


@command.command()
@click.argument("url")
@click.option(
    "--silence",
    "silent_seconds",
    type=click.FloatRange(0, 600),
    default=61,
    show_default=True,
    help="Seconds that an answer must be able to be silent.",
)
@click.option("--pay", is_flag=True, help="Draw a picture as well, once its price was shown.")
def check(url: str, *, silent_seconds: float, pay: bool) -> None:
    """See what is wrong with the servers at URL, through all that stands before them.

    Asks them by the secret of RUNAPI_FLEET_SECRET, free of charge. A picture is drawn only in a
    sandbox, or with --pay. The exit status is 0 when all is well, and 1 when something is not.
    """
    from runapi_mcp.cli.fleet_visit import visit_fleet

    visit_fleet(url, silent_seconds, pay=pay)


async def _migrate() -> None:
    from runapi_mcp.cli.fleet_database import prepare, require_database
    from runapi_mcp.cli.serve import load_settings

    _tell(await prepare(require_database(load_settings(sandbox=False))))


def _tell(led: Mapping[str, tuple[int, int]]) -> None:
    for name, (before, after) in led.items():
        if before == after:
            click.echo(f"{name}: version {after} already.")
        else:
            click.echo(f"{name}: version {after}, from {before or 'nothing'}.")
