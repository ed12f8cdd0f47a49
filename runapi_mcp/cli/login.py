"""`runapi-mcp login`: a key through the browser, or from standard input, into the config file."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from runapi_mcp.base import settings
from runapi_mcp.base.errors import Refused
from runapi_mcp.base.settings.key_file import KeyFile
from runapi_mcp.cli.desktop import has_browser, open_browser
from runapi_mcp.cli.event_loop import run_interruptible
from runapi_mcp.cli.own_name import typed

if TYPE_CHECKING:
    from runapi_mcp.base.settings import Key
    from runapi_mcp.login.login_flow import Login

LONGEST_INPUT: Final = 4096


@click.command("login")
@click.option("--key", metavar="-", help="Read a key from standard input instead: --key -")
@click.option("--base-url", metavar="URL", help="Log in at this address, and keep it with the key.")
@click.argument("words", nargs=-1, metavar="")
@click.option("--no-browser", is_flag=True, help="Show the address only.")
def command(
    *, key: str | None, base_url: str | None, words: Sequence[str], no_browser: bool
) -> None:
    """Log in to RunAPI, and keep the key in RunAPI's config file.

    An address and a code are shown, and the browser opens where there is one; elsewhere, as over
    SSH, two other ways are named.
    """
    # Words are taken only so that click does not repeat them: they may be a key.
    if words or key not in (None, "-"):
        raise Refused(
            "A key on the command line can be seen by others on this machine; it was not read.",
            "Pipe it: runapi-mcp login --key - < FILE",
        )
    kept_url = None if base_url is None else settings.check_url(base_url.strip().rstrip("/"))
    address, key_file = kept_url or settings.load().base_url, KeyFile.of()
    try:
        if key is None:
            opens = not no_browser
            run_interruptible(partial(_through_browser, address, key_file, kept_url, opens=opens))
        else:
            _keep_given(address, key_file, kept_url)
    except KeyboardInterrupt:
        click.echo("\nStopped. Nothing was saved.", err=True)
        sys.exit(130)
    click.echo(f"The key is in {key_file.path}")
    warn_of_environment("comes first; unset it to use the saved key")
    if kept_url and settings.load().base_url != kept_url:
        told = f"RUNAPI_BASE_URL in this environment comes before {kept_url}; unset it."
        click.secho(told, fg="yellow", err=True)


async def _through_browser(
    address: str, key_file: KeyFile, kept_url: str | None, *, opens: bool
) -> None:
    from runapi_mcp.base.amounts import dollars
    from runapi_mcp.login import LOGIN_SECONDS
    from runapi_mcp.login.login_flow import open_login
    from runapi_mcp.providers.runapi import RunAPI

    async with (
        aclosing(RunAPI(address)) as upstream,
        open_login(upstream, key_file, kept_url) as login,
    ):
        _show(login)
        if opens and has_browser(os.environ):
            open_browser(login.address)
        else:
            _show_other_ways(login)
        logged_in = await login.complete(LOGIN_SECONDS)
    whose = f" as {logged_in.email}" if logged_in.email else ""
    click.secho(f"Logged in{whose}; the balance is {dollars(logged_in.balance_cents)}.", fg="green")


def _keep_given(address: str, key_file: KeyFile, kept_url: str | None) -> None:
    from runapi_mcp.base.amounts import dollars
    from runapi_mcp.login.login_flow import KeyKeeper
    from runapi_mcp.providers.runapi import RunAPI

    upstream = RunAPI(address)
    keeper = KeyKeeper(upstream, key_file, kept_url)
    keeper.require_effect()
    # Before the event loop, which would keep Ctrl-C from the prompt.
    key = _read_key()

    async def keep() -> float:
        async with aclosing(upstream):
            return await keeper.keep(key)

    balance_cents = run_interruptible(keep)
    click.secho(f"The key works; the balance is {dollars(balance_cents)}.", fg="green")


def _read_key() -> Key:
    if sys.stdin.isatty():
        text = getpass.getpass("Key (not shown): ")
    else:
        raw = sys.stdin.buffer.read(LONGEST_INPUT + 1)
        # A part of what is too long would be another key. PowerShell pipes a byte order mark.
        text = raw.decode("utf-8-sig", "replace") if len(raw) <= LONGEST_INPUT else "too long"
    key = settings.parse_key(text, "Standard input")
    if key.secret is None:
        happened = key.missing.happened if key.missing else "Standard input holds no API key."
        raise Refused(happened, f"Nothing was saved. Keys are at {settings.KEY_PAGE}.")
    return key


def _show(login: Login) -> None:
    click.echo("Open this address in a browser, and see that it shows the same code:\n")
    click.echo(f"  {login.address}\n")
    click.echo("  Code: ", nl=False)
    click.secho(login.display_code, bold=True)
    click.echo("\nThis waits for five minutes; Ctrl-C ends it.")


def _show_other_ways(login: Login) -> None:
    forward = f"ssh -N -L {login.port}:127.0.0.1:{login.port} {login.hostname}"
    by_hand = typed("login --key -")
    click.echo(
        "\nThe browser must run on this machine. Over SSH, run this first where the browser is:\n\n"
        f"  {forward}\n\n"
        f"Or stop this, create a key at {settings.KEY_PAGE}, and run `{by_hand}`."
    )


def warn_of_environment(effect: str) -> None:
    key = settings.key_now(settings.DEFAULT_BASE_URL)
    if key.from_environment:
        warning = f"{key.source} is set in this environment and {effect}."
        click.secho(warning, fg="yellow", err=True)
