"""`runapi-mcp install`: this server in a host's configuration, with nothing else disturbed."""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import click

from runapi_mcp.base.errors import Refused
from runapi_mcp.base.hosts.host import KEY_VARIABLE, Host, Http, InstallScope
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key, config_path, parse_key, read_config
from runapi_mcp.base.settings.key_file import KeyFile
from runapi_mcp.base.settings.keys import KEY_NAMES, find_key
from runapi_mcp.base.settings.names import misspelt_names, require_no_limit
from runapi_mcp.base.settings.values import switch
from runapi_mcp.base.urls import is_loopback
from runapi_mcp.cli.host_choice import (
    change_each,
    choose_hosts,
    current_machine,
    open_install_log,
    takes_hosts,
)
from runapi_mcp.cli.own_name import typed
from runapi_mcp.setup.install.change import Change
from runapi_mcp.setup.install.host_entry import EntrySpec, key_source, new_entry
from runapi_mcp.setup.install.host_places import host_file_path
from runapi_mcp.setup.install.installed_entry import entry_text
from runapi_mcp.setup.install.installer import plan_install
from runapi_mcp.setup.install.start_command import Program, launch_command

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class _Variables:
    """What --env said: values, names without one, and a key."""

    values: dict[str, str] = field(default_factory=dict[str, str])
    names: tuple[str, ...] = ()
    key: str | None = None
    is_sandbox: bool = False
    """Whether the server is to be the sandbox, which needs no key."""


@click.command("install")
@takes_hosts
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
    "--sandbox", is_flag=True, help="Practise without a key: the same as --env RUNAPI_SANDBOX=1."
)
@click.option(
    "--key-in-host-file",
    is_flag=True,
    help="Write the API key into the host's file too, instead of RunAPI's config file alone.",
)
@click.option("--print", "only_print", is_flag=True, help="Print the entry alone, for pasting.")
def command(  # noqa: PLR0913 - click gives one for each option
    *,
    hosts: tuple[str, ...],
    scope: InstallScope,
    url: str | None,
    variables: tuple[str, ...],
    sandbox: bool,
    key_in_host_file: bool,
    dry_run: bool,
    only_print: bool,
    as_json: bool,
) -> None:
    """Give HOSTs these tools, or all on this machine; without a name, show them and ask.

    Each host's file is merged into: comments, order and other servers stay as they are, and a copy
    of the file as it was is kept beside it. A key goes to RunAPI's config file.
    """
    given = _parse_variables((*variables, *(["RUNAPI_SANDBOX=1"] if sandbox else [])))
    _refuse_contradictions(url, given, scope, key_in_host_file=key_in_host_file)
    chosen = choose_hosts(hosts, scope, as_json=as_json)
    if not chosen:
        return
    spec = _spec(url, given, key_in_host_file=key_in_host_file)
    if only_print:
        _print(chosen, scope, spec, as_json=as_json)
        return
    plan, aside = partial(plan_install, spec=spec), as_json or dry_run
    done = change_each(chosen, scope, plan, dry_run=dry_run, as_json=as_json)
    if url is not None:
        for change in done:
            click.echo(_sent_key(change, scope), err=aside)
    elif done:
        with nullcontext() if dry_run else open_install_log().lock():
            _save_key(given, dry_run=dry_run, aside=aside)
    sys.exit(0 if len(done) == len(chosen) else 2)


def _print(hosts: Sequence[Host], scope: InstallScope, spec: EntrySpec, *, as_json: bool) -> None:
    machine = current_machine()
    printed = [
        {
            "host": host.name,
            "file": str(host_file_path(host, scope, machine)),
            "entry": entry_text(host, new_entry(host, spec)),
        }
        for host in hosts
    ]
    if as_json:
        click.echo(json.dumps(printed, indent=2, ensure_ascii=False))
        return
    for host, each in zip(hosts, printed, strict=True):
        if len(hosts) > 1:
            click.echo(f"{host.title}, {each['file']}:")
        click.echo(each["entry"], nl=False)


def _spec(url: str | None, given: _Variables, *, key_in_host_file: bool) -> EntrySpec:
    key = (given.key or _known_key().reveal()) if key_in_host_file else None
    if url is not None:
        return EntrySpec(url=url, key=key)
    return EntrySpec(launch_command(Program.current()), None, given.values, given.names, key)


def _known_key() -> Key:
    return find_key(os.environ, *read_config(config_path(os.environ)))[0]


def _parse_variables(words: Sequence[str]) -> _Variables:
    values: dict[str, str] = {}
    names: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not _NAME.fullmatch(name):
            raise Refused(f"{_shown(name)} is not a variable's name.", "Write --env NAME=VALUE.")
        if equals:
            values[name] = _writable(value, f"--env {name}")
        else:
            names.append(name)
    # The server would not start with it.
    require_no_limit(misspelt_names(dict.fromkeys([*values, *names], "given")))
    exported = {name: os.environ[name] for name in names if name in os.environ}
    is_sandbox = switch({**exported, **values}, "RUNAPI_SANDBOX", default=False)
    key = _key_among(values)
    others = {name: text for name, text in values.items() if name.upper() not in KEY_NAMES}
    return _Variables(others, tuple(names), key, is_sandbox)


def _key_among(values: Mapping[str, str]) -> str | None:
    """The key among variables, under whichever of its names; Windows knows no case in them."""
    for name in KEY_NAMES:
        for given, value in values.items():
            if given.upper() == name:
                return parse_key(value, f"--env {given}").reveal()
    return None


def _writable(text: str, source: str) -> str:
    """A word of the command line that a file in UTF-8 can hold."""
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Refused(f"{source} is not text in UTF-8.", "Write it in UTF-8.")
    return text


def _shown(text: str) -> str:
    return repr(text.encode("utf-8", "backslashreplace").decode())


def _refuse_contradictions(
    url: str | None, given: _Variables, scope: InstallScope, *, key_in_host_file: bool
) -> None:
    if key_in_host_file and scope == "project":
        raise Refused(
            "A project's file is committed, and a key in it would be too.", "Use --scope user."
        )
    if url is None:
        return
    if given.values or given.names or (given.key and not key_in_host_file):
        raise Refused(
            "A server that runs elsewhere takes no --env and no --sandbox.",
            "Set it where that server runs; a key that the host shall send needs "
            "--key-in-host-file too.",
        )
    _refuse_address(url)


def _refuse_address(url: str) -> None:
    try:
        address = urlsplit(_writable(url, "--http"))
        # Reading the port raises for one that cannot be.
        is_usable = address.scheme in ("http", "https") and address.hostname and address.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not url.isprintable() or " " in url:
        raise Refused(f"{_shown(url)} is not an address.", "Write it as https://host/mcp.")
    if url.lower().startswith("http:") and not is_loopback(url):
        raise Refused(f"{_shown(url)} would carry your key unencrypted.", "Use https.")


def _save_key(given: _Variables, *, dry_run: bool, aside: bool) -> None:
    """Puts a key where every host's server finds it, or says how to get one."""
    exported, _ = find_key(os.environ, {}, None)
    kept, _ = find_key({}, *read_config(config_path(os.environ)))
    key = given.key or (exported.reveal() if exported.secret and not kept.secret else None)
    if key is not None:
        file = KeyFile.of()
        if not dry_run:
            file.save(SecretStr(key))
        word = "would go" if dry_run else "went"
        click.echo(f"The API key {word} to {file.path}, which you alone can read.", err=aside)
    elif kept.secret is None and not given.is_sandbox:
        click.echo(
            f"There is no API key yet: run {typed('login')}. "
            "Until then, --sandbox practises without one.",
            err=aside,
        )


def _sent_key(change: Change, scope: InstallScope) -> str:
    """Which key goes to an address; RunAPI's config file is not what a host reads."""
    host = change.host
    again = "" if scope == "project" else "run this again with --key-in-host-file, or "
    match key_source(host, change.entry or {}):
        case "from the file":
            return f"{host.title} sends the key that stands in its file."
        case "from a variable":
            caveat = (host.http or Http()).caveat
            where = f"{KEY_VARIABLE} of its own environment"
            said = f"{host.title} sends {where} as the key: set it there."
            return f"{said} {caveat} If so, {again}serve with --share-key." if caveat else said
        case "none":
            return f"{host.title} sends no key: {again}let that server use its own (--share-key)."
