"""`runapi-mcp fleet`: what servers that share a database need done once."""

from collections.abc import Mapping

import click

from runapi_mcp.cli.event_loop import run_interruptible


@click.group("fleet")
def command() -> None:
    """Prepare servers that share a database."""


@command.command("migrate")
def prepare_database() -> None:
    """Make or change the tables in the database that RUNAPI_DATABASE_URL names.

    To be run once before the first server of a new version starts. Servers that run go on.
    """
    run_interruptible(_migrate)


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
