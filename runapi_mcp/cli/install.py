"""`runapi-mcp install`: this server in a host's configuration, with nothing else disturbed."""

import ipaddress
import os
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import click
from pydantic import SecretStr

from runapi_mcp.cli.host_choice import (
    AS_JSON,
    DRY_RUN,
    HOSTS,
    SCOPE,
    chosen,
    for_each,
    receipts,
    this_machine,
)
from runapi_mcp.errors import Refused
from runapi_mcp.hosts.entries import Wish, entry_of
from runapi_mcp.hosts.installing import Change, file_of, installed, keys_of
from runapi_mcp.hosts.receipts import Receipts
from runapi_mcp.hosts.starting import Program, command_of
from runapi_mcp.hosts.table import KEY, HostConfig, Scope
from runapi_mcp.settings import Key, KeyFile, config_path, given_key
from runapi_mcp.settings.config_file import read_config
from runapi_mcp.settings.keys import found_key
from runapi_mcp.texts import put

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class _Variables:
    """What --env said: values, names without one, and a key."""

    values: dict[str, str] = field(default_factory=dict[str, str])
    names: tuple[str, ...] = ()
    key: str | None = None


@click.command("install")
@HOSTS
@SCOPE
@click.option(
    "--http", "url", metavar="URL", help="Connect to a server there instead of starting one."
)
@click.option(
    "--env",
    "variables",
    metavar="NAME[=VALUE]",
    multiple=True,
    help="A variable for the server; without a value, your own of that name is handed on.",
)
@click.option(
    "--key-in-host-file",
    is_flag=True,
    help="Write the API key into the host's file too, instead of RunAPI's config file alone.",
)
@DRY_RUN
@click.option("--print", "only_print", is_flag=True, help="Print the entry alone, for pasting.")
@AS_JSON
def command(
    *,
    hosts: tuple[str, ...],
    scope: str,
    url: str | None,
    variables: tuple[str, ...],
    key_in_host_file: bool,
    dry_run: bool,
    only_print: bool,
    as_json: bool,
) -> None:
    """Give HOSTs these tools; without a name, show the hosts on this machine and ask.

    Each host's file is merged into: comments, order and other servers stay as they are, and a copy
    of the file as it was is kept beside it. A key goes to RunAPI's config file.
    """
    said = _variables(variables)
    wanted = cast("Scope", scope)
    _refuse_contradictions(url, said, wanted, key_in_host_file=key_in_host_file)
    picked = chosen(hosts, wanted, as_json=as_json, only="")
    if not picked:
        return
    wish = _wish(url, said, key_in_host_file=key_in_host_file)
    if only_print:
        _print(picked, wanted, wish)
        return
    notes = receipts()
    with nullcontext() if dry_run else notes.alone():
        plan = partial(_plan, wish, notes)
        whole = for_each(picked, wanted, plan, dry_run=dry_run, as_json=as_json)
        _see_to_the_key(said.key, dry_run=dry_run, aside=as_json or dry_run)
    sys.exit(0 if whole else 2)


def _plan(wish: Wish, notes: Receipts, host: HostConfig, path: Path) -> Change:
    return installed(host, path, wish, notes)


def _print(hosts: Sequence[HostConfig], scope: Scope, wish: Wish) -> None:
    for host in hosts:
        if len(hosts) > 1:
            click.echo(f"{host.title}, {file_of(host, scope, this_machine())}:")
        text, _ = put("", host.dialect, keys_of(host), entry_of(host, wish))
        click.echo(text, nl=False)


def _wish(url: str | None, said: _Variables, *, key_in_host_file: bool) -> Wish:
    key = None
    if key_in_host_file:
        key = said.key or _any_key()
    if url is not None:
        return Wish(url=url, key=key)
    program = Program(sys.executable, Path(sys.prefix), os.environ)
    return Wish(command_of(program), None, said.values, said.names, key)


def _any_key() -> str:
    """A key of this user's.

    Raises:
        KeyMissing: there is none.
    """
    exported = _exported_key()
    return exported.reveal() if exported.secret else _kept_key().reveal()


def _exported_key() -> Key:
    return found_key(os.environ, {}, None)[0]


def _kept_key() -> Key:
    return found_key({}, *read_config(config_path(os.environ)))[0]


def _variables(words: Sequence[str]) -> _Variables:
    values: dict[str, str] = {}
    names: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not _NAME.fullmatch(name):
            raise Refused(f"{name!r} is not a variable's name.", "Write --env NAME=VALUE.")
        if equals:
            values[name] = value
        else:
            names.append(name)
    key = values.pop(KEY, None)
    return _Variables(values, tuple(names), key and given_key(key, f"--env {KEY}").reveal())


def _refuse_contradictions(
    url: str | None, said: _Variables, scope: Scope, *, key_in_host_file: bool
) -> None:
    if key_in_host_file and scope == "project":
        raise Refused(
            "A project's file is committed, and a key in it would be too.", "Use --scope user."
        )
    if url is None:
        return
    if said.values or said.names:
        raise Refused(
            "A server that runs elsewhere takes no --env.", "Set it where that server runs."
        )
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise Refused(f"{url!r} is not an address.", "Write it as https://host/mcp.")
    if address.scheme == "http" and not _is_loopback(address.hostname):
        raise Refused(f"{url!r} would carry your key unencrypted.", "Use https.")


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _see_to_the_key(given: str | None, *, dry_run: bool, aside: bool) -> None:
    """Puts a key where every host's server finds it, or says how to get one."""
    kept, exported = _kept_key(), _exported_key()
    key = given or (exported.reveal() if exported.secret and not kept.secret else None)
    if key is not None:
        file = KeyFile.of()
        if not dry_run:
            file.save(SecretStr(key))
        word = "would go" if dry_run else "went"
        message = f"The API key {word} to {file.path}, which you alone can read."
    elif kept.secret is None:
        message = (
            "There is no API key yet: run runapi-mcp login. "
            "Until then, --env RUNAPI_SANDBOX=1 practises without one."
        )
    else:
        return
    click.echo(message, err=aside)
