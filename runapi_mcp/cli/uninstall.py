"""`runapi-mcp uninstall`: what install put into a host's configuration, taken out again."""

import sys

import click

from runapi_mcp.base.hosts.host import InstallScope
from runapi_mcp.cli.host_choice import change_each, choose_hosts, takes_hosts
from runapi_mcp.setup.install.installer import plan_restore, plan_uninstall


@click.command("uninstall")
@takes_hosts
@click.option(
    "--restore",
    is_flag=True,
    help="Put the newest backup of the whole file back instead, and keep what it replaces.",
)
def command(
    *, hosts: tuple[str, ...], scope: InstallScope, restore: bool, dry_run: bool, as_json: bool
) -> None:
    """Take these tools out of HOSTs; without a name, show those that have them and ask.

    Only what install put in goes. The API key stays in RunAPI's config file.
    """
    chosen = choose_hosts(hosts, scope, as_json=as_json, only="installed")
    if not chosen:
        return
    plan = plan_restore if restore else plan_uninstall
    done = change_each(chosen, scope, plan, dry_run=dry_run, as_json=as_json)
    sys.exit(0 if len(done) == len(chosen) else 2)
