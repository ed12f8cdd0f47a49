"""`runapi-mcp uninstall`: what install put into a host's configuration, taken out again."""

import sys

import click

from runapi_mcp.base.errors import Refused
from runapi_mcp.base.hosts.host import InstallScope
from runapi_mcp.cli.host_choice import change_each, choose_hosts, takes_hosts
from runapi_mcp.setup.install.change import Change, written_since
from runapi_mcp.setup.install.installer import plan_restore, plan_uninstall


@click.command("uninstall")
@takes_hosts
@click.option(
    "--restore",
    is_flag=True,
    help="Put the newest backup of the whole file back instead, and keep what it replaces.",
)
@click.option("--yes", is_flag=True, help="Restore also over what others wrote since.")
def command(
    *,
    hosts: tuple[str, ...],
    scope: InstallScope,
    restore: bool,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Take these tools out of HOSTs; without a name, show those that have them and ask.

    Only what install put in goes. The API key stays in RunAPI's config file.
    """
    chosen = choose_hosts(hosts, scope, as_json=as_json, only="installed")
    if not chosen:
        return
    plan = plan_restore if restore else plan_uninstall
    may_apply = _agree if restore and not yes else None
    done = change_each(chosen, scope, plan, may_apply, dry_run=dry_run, as_json=as_json)
    sys.exit(0 if len(done) == len(chosen) else 2)


def _agree(change: Change) -> None:
    """Nothing, where a backup may come back: a person sees what others wrote since, and says so.

    Raises:
        Refused
    """
    since = written_since(change)
    if not since:
        return
    click.echo(f"{change.host.title}: written since the backup, and undone with it:\n", err=True)
    click.echo(since, err=True)
    left = "Nothing was changed. Add --yes to restore it all the same."
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refused(f"Others wrote to {change.file.path} since the backup.", left)
    if not click.confirm("Put the backup back?", err=True):
        raise Refused("It was not put back.", "Nothing was changed.")
