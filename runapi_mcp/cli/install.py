"""`runapi-mcp install`: this server in a host's configuration, with nothing else disturbed."""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import click
from pydantic import SecretStr

from runapi_mcp.base.errors import Refused
from runapi_mcp.base.hosts.table import KEY, HostConfig, Http, Scope
from runapi_mcp.base.settings import Key, KeyFile, config_path, parse_key
from runapi_mcp.base.settings.config_file import read_config
from runapi_mcp.base.settings.keys import KEY_NAMES, find_key
from runapi_mcp.base.settings.values import switch
from runapi_mcp.base.sockets import is_loopback
from runapi_mcp.base.texts import put
from runapi_mcp.cli.host_choice import (
    AS_JSON,
    DRY_RUN,
    HOSTS,
    SCOPE,
    chosen,
    for_each,
    receipts,
    this_machine,
    this_program,
)
from runapi_mcp.setup.install.host_entry import KeySent, Wish, entry_of, key_sent
from runapi_mcp.setup.install.install_log import Receipts
from runapi_mcp.setup.install.installer import Change, file_of, keys_of, plan_install
from runapi_mcp.setup.install.start_command import command_of, typed

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class _Variables:
    """What --env said: values, names without one, and a key."""

    values: dict[str, str] = field(default_factory=dict[str, str])
    names: tuple[str, ...] = ()
    key: str | None = None
    practises: bool = False
    """Whether the server is to be the sandbox, which needs no key."""


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
    picked = chosen(hosts, wanted, as_json=as_json)
    if not picked:
        return
    wish = _wish(url, said, key_in_host_file=key_in_host_file)
    if only_print:
        _print(picked, wanted, wish, as_json=as_json)
        return
    sys.exit(_install(picked, wanted, wish, said, dry_run=dry_run, as_json=as_json))


def _install(
    hosts: Sequence[HostConfig],
    scope: Scope,
    wish: Wish,
    said: _Variables,
    *,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Installs, says what a person is to know of the key, and returns the exit status."""
    notes = receipts()
    with nullcontext() if dry_run else notes.alone():
        plan = partial(_plan, wish, notes)
        done = for_each(hosts, scope, plan, dry_run=dry_run, as_json=as_json)
        aside = as_json or dry_run
        if wish.url is not None:
            _say_what_is_sent(done.changes, scope, aside=aside)
        elif done.changes:
            _see_to_the_key(said, dry_run=dry_run, aside=aside)
    return done.status


def _plan(wish: Wish, notes: Receipts, host: HostConfig, path: Path) -> Change:
    return plan_install(host, path, wish, notes)


def _print(hosts: Sequence[HostConfig], scope: Scope, wish: Wish, *, as_json: bool) -> None:
    machine = this_machine()
    told = [
        {"host": host.name, "file": str(file_of(host, scope, machine)), "entry": _text(host, wish)}
        for host in hosts
    ]
    if as_json:
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    for host, each in zip(hosts, told, strict=True):
        if len(hosts) > 1:
            click.echo(f"{host.title}, {each['file']}:")
        click.echo(each["entry"], nl=False)


def _text(host: HostConfig, wish: Wish) -> str:
    """An entry as the whole of a file, for pasting."""
    return put("", host.dialect, keys_of(host), entry_of(host, wish))[0]


def _wish(url: str | None, said: _Variables, *, key_in_host_file: bool) -> Wish:
    key = None
    if key_in_host_file:
        key = said.key or _any_key()
    if url is not None:
        return Wish(url=url, key=key)
    return Wish(command_of(this_program()), None, said.values, said.names, key)


def _any_key() -> str:
    """A key of this user's.

    Raises:
        KeyMissing: there is none.
    """
    exported = _exported_key()
    return exported.reveal() if exported.secret else _kept_key().reveal()


def _exported_key() -> Key:
    return find_key(os.environ, {}, None)[0]


def _kept_key() -> Key:
    return find_key({}, *read_config(config_path(os.environ)))[0]


def _variables(words: Sequence[str]) -> _Variables:
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
    return _Variables(
        _without_keys(values), tuple(names), _given(values), _practises(values, names)
    )


def _practises(values: Mapping[str, str], names: Sequence[str]) -> bool:
    exported = {name: os.environ[name] for name in names if name in os.environ}
    return switch({**exported, **values}, "RUNAPI_SANDBOX", default=False)


def _given(values: Mapping[str, str]) -> str | None:
    """The key among variables, under whichever of its names; Windows knows no case in them."""
    for name in KEY_NAMES:
        for given, value in values.items():
            if given.upper() == name:
                return parse_key(value, f"--env {given}").reveal()
    return None


def _without_keys(values: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in values.items() if name.upper() not in KEY_NAMES}


def _writable(text: str, source: str) -> str:
    """A word of the command line that a file in UTF-8 can hold."""
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise Refused(f"{source} is not text in UTF-8.", "Write it in UTF-8.")
    return text


def _shown(text: str) -> str:
    return repr(text.encode("utf-8", "backslashreplace").decode())


def _refuse_contradictions(
    url: str | None, said: _Variables, scope: Scope, *, key_in_host_file: bool
) -> None:
    if key_in_host_file and scope == "project":
        raise Refused(
            "A project's file is committed, and a key in it would be too.", "Use --scope user."
        )
    if url is None:
        return
    if said.values or said.names or (said.key and not key_in_host_file):
        raise Refused(
            "A server that runs elsewhere takes no --env.",
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


def _see_to_the_key(said: _Variables, *, dry_run: bool, aside: bool) -> None:
    """Puts a key where every host's server finds it, or says how to get one."""
    kept, exported = _kept_key(), _exported_key()
    key = said.key or (exported.reveal() if exported.secret and not kept.secret else None)
    if key is not None:
        file = KeyFile.of()
        if not dry_run:
            file.save(SecretStr(key))
        word = "would go" if dry_run else "went"
        click.echo(
            f"The API key {word} to {file.path}, which you alone can read.",
            err=aside,
        )
    elif kept.secret is None and not said.practises:
        click.echo(
            f"There is no API key yet: run {typed(this_program(), sys.argv[0])} login. "
            "Until then, --env RUNAPI_SANDBOX=1 practises without one.",
            err=aside,
        )


def _say_what_is_sent(changes: Iterable[Change], scope: Scope, *, aside: bool) -> None:
    """Which key goes to an address; RunAPI's config file is not what a host reads."""
    for change in changes:
        entry = change.entry
        if entry is not None:
            click.echo(_sent(change.host, key_sent(change.host, entry), scope), err=aside)


def _sent(host: HostConfig, key: KeySent, scope: Scope) -> str:
    again = "" if scope == "project" else "run this again with --key-in-host-file, or "
    match key:
        case "from the file":
            return f"{host.title} sends the key that stands in its file."
        case "from a variable":
            doubt = (host.http or Http()).doubt
            said = f"{host.title} sends {KEY} of its own environment as the key: set it there."
            return f"{said} {doubt} If so, {again}serve with --share-key." if doubt else said
        case "none":
            return f"{host.title} sends no key: {again}let that server use its own (--share-key)."
