"""`runapi-mcp uninstall`: what install put into a host's configuration, taken out again."""

import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import cast

import click

from runapi_mcp.base.hosts.table import HostConfig, Scope
from runapi_mcp.cli.host_choice import AS_JSON, DRY_RUN, HOSTS, SCOPE, chosen, for_each, receipts
from runapi_mcp.setup.install.install_log import Receipts
from runapi_mcp.setup.install.installer import Change, plan_restore, plan_uninstall


@click.command("uninstall")
@HOSTS
@SCOPE
@click.option(
    "--restore",
    is_flag=True,
    help="Put the newest backup of the whole file back instead, and keep what it replaces.",
)
@DRY_RUN
@AS_JSON
def command(
    *, hosts: tuple[str, ...], scope: str, restore: bool, dry_run: bool, as_json: bool
) -> None:
    """Take these tools out of HOSTs; without a name, show those that have them and ask.

    Only what install put in goes. The API key stays in RunAPI's config file.
    """
    wanted = cast("Scope", scope)
    picked = chosen(hosts, wanted, as_json=as_json, only="installed")
    if not picked:
        return
    notes = receipts()
    with nullcontext() if dry_run else notes.alone():
        plan = partial(_restore if restore else _take_out, notes)
        done = for_each(picked, wanted, plan, dry_run=dry_run, as_json=as_json)
    sys.exit(done.status)


def _take_out(notes: Receipts, host: HostConfig, path: Path) -> Change:
    return plan_uninstall(host, path, notes)


def _restore(notes: Receipts, host: HostConfig, path: Path) -> Change:
    return plan_restore(host, path, notes)
