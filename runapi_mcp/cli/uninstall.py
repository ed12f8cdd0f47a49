"""`runapi-mcp uninstall`: what install put into a host's configuration, taken out again."""

import sys

import click

from runapi_mcp.base.hosts.host import InstallScope
from runapi_mcp.cli.host_choice import (
    DRY_RUN_OPTION,
    HOSTS_ARGUMENT,
    JSON_OPTION,
    SCOPE_OPTION,
    change_each,
    choose_hosts,
    locked_install_log,
)
from runapi_mcp.setup.install.installer import plan_restore, plan_uninstall


@click.command("uninstall")
@HOSTS_ARGUMENT
@SCOPE_OPTION
@click.option(
    "--restore",
    is_flag=True,
    help="Put the newest backup of the whole file back instead, and keep what it replaces.",
)
@DRY_RUN_OPTION
@JSON_OPTION
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
    with locked_install_log(dry_run=dry_run) as log:
        done = change_each(chosen, scope, plan, log, dry_run=dry_run, as_json=as_json)
    sys.exit(0 if len(done) == len(chosen) else 2)
