"""Settings and the API key, judged: there or not, from where, well-formed, taken by RunAPI."""

import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runapi_mcp.base.amounts import dollars
from runapi_mcp.base.errors import KeyMissing, KeyRejected, RateLimited
from runapi_mcp.base.hosts.host import KEY_VARIABLE, Host
from runapi_mcp.base.settings import Key, config_path
from runapi_mcp.base.settings.keys import CONFIG_FILE, KEY_NAMES
from runapi_mcp.base.settings.names import misspelt_names
from runapi_mcp.base.settings.values import BASE_URL_NAME, is_leftover
from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.findings import Finding, fine, note, of_entry, problem, warning
from runapi_mcp.setup.doctor.mcp_config import ConfigEntry
from runapi_mcp.setup.doctor.runapi_probe import RunapiAnswer
from runapi_mcp.setup.doctor.server_environment import (
    ASKED_FOR,
    ServerEnvironment,
    held_back_text,
    odd_config,
)

NO_KEY: Final = "there is no API key"
_UNPAID: Final = "every call that draws is refused"


def check_settings(server: ServerEnvironment) -> Iterator[Finding]:
    """Settings that cannot be used, or that the host's server will not hear of."""
    if odd := odd_config(server.environ):
        why = "whoever reads it waits for ever"
        yield problem("settings", f"{odd} is not a regular file", why, fix_commands.move_away(odd))
    if server.refusal:
        named = re.search(r"\bRUNAPI_[A-Z_]+", str(server.refusal))
        mend = server.unset_command(named[0]) if named else fix_commands.edit(_config(server))
        what = server.refusal.happened.rstrip(".")
        yield problem("settings", what, "the server does not start", mend)
    for misspelt in () if server.refusal else misspelt_names(server.environ):
        mend = server.unset_command(misspelt.given)
        what = f"{misspelt.given} is no setting"
        yield warning("settings", what, f"did you mean {misspelt.meant}?", mend)
    for name in server.around:
        is_setting = name.startswith("RUNAPI_") and name not in KEY_NAMES
        if server.entry and is_setting and server.is_held_back(name):
            what = held_back_text(server.entry, name)
            mend = fix_commands.give(server.entry, name)
            yield of_entry(warning("settings", what, "it does not hold for that server", mend))


def check_key(server: ServerEnvironment) -> Iterator[Finding]:
    """Whether there is a key, and whether others see it."""
    settings = server.settings
    if settings is None:
        return
    yield from _check_file_mode(server)
    if settings.sandbox:
        what = "RUNAPI_SANDBOX is on: it practises, and draws nothing real"
        yield note("key", what, mend=server.unset_command("RUNAPI_SANDBOX"))
    elif server.is_asked_for:
        yield note("key", "the host asks its person for the key, so it is not known here")
    elif server.is_left_to_host:
        yield note("key", "the project's file names a variable for the key, which is not looked up")
    elif settings.key.secret is None:
        yield _missing(server, settings.key.missing)
    else:
        yield from _check_passed_over(server)
    yield from _check_templates(server)


def check_sent_key(entry: ConfigEntry) -> Finding:
    """That a server elsewhere is sent no key: it answers all the same."""
    title = entry.host.title
    what = f"no API key is in the environment of {title}, which would send {KEY_VARIABLE}"
    why = "every call that draws is refused, unless the server has a key of its own"
    mend = f"set {KEY_VARIABLE} where {title} is started"
    return of_entry(warning("key", what, why, mend))


def no_key_in(host: Host) -> str:
    """What is said of a host's server that has no key, where others have one."""
    return f"no API key is in the environment that {host.title} gives its server"


def check_acceptance(server: ServerEnvironment, answer: RunapiAnswer) -> Iterator[Finding]:
    key = server.settings.key if server.settings else Key(None)
    source = server.source_of(key.source)
    if isinstance(answer.key_failure, KeyRejected):
        what = f"RunAPI does not accept the key from {source}"
        found = problem("key", what, _UNPAID, _replace_key(server, key.source))
        yield of_entry(found) if server.is_of_entry(key.source) else found
    elif isinstance(answer.key_failure, RateLimited):
        yield note("key", "RunAPI limits requests of this key just now", "ask again in a minute")
    elif answer.key_failure is not None:
        what = f"the balance cannot be read: {answer.key_failure.happened.rstrip('.')}"
        why, again = "whether the key is accepted is not known", fix_commands.runapi("doctor")
        yield warning("key", what, why, again)
    elif answer.balance_cents <= 0:
        what = "there is no credit on the account"
        yield warning("credit", what, _UNPAID, fix_commands.ADD_CREDIT)
    else:
        yield fine("key", f"key from {source}, accepted; {dollars(answer.balance_cents)} left")


def _missing(server: ServerEnvironment, missing: KeyMissing | None) -> Finding:
    entry = server.entry
    held_back = next((name for name in KEY_NAMES if server.is_held_back(name)), None)
    if held_back and entry:
        what = held_back_text(entry, held_back)
        # Installing alone brings the key only where the host has a list of names to hand on.
        remedy = fix_commands.install_remedy(entry) if entry.host.stdio.names else None
        return of_entry(problem("key", what, _UNPAID, fix_commands.renew(entry), remedy))
    if not (missing and missing.source):
        return problem("key", NO_KEY, _UNPAID, fix_commands.login())
    if missing.source == BASE_URL_NAME:
        return problem("key", missing.happened.rstrip("."), _UNPAID, _allow_address(server))
    in_file = missing.source == CONFIG_FILE
    mend = fix_commands.edit(_config(server)) if in_file else _replace_key(server, missing.source)
    return problem("key", missing.happened.rstrip("."), _UNPAID, mend)


def _allow_address(server: ServerEnvironment) -> str:
    """What lets the config file's key go to the address, where the user's own file names it."""
    entry = server.entry
    if entry and server.is_of_entry(BASE_URL_NAME) and not entry.is_of_project:
        return f"{fix_commands.login()} --base-url {shlex.quote(server.base_url)}"
    return server.unset_command(BASE_URL_NAME)


def _check_passed_over(server: ServerEnvironment) -> Iterator[Finding]:
    for passed in server.passed_over:
        if server.entry and _is_left_over(server, server.entry, passed.source):
            continue  # which is said as such
        edit, is_variable = fix_commands.edit(_config(server)), passed.source in KEY_NAMES
        mend = server.unset_command(passed.source) if is_variable else edit
        what, why = passed.happened.rstrip("."), "it is passed over for another one"
        found = warning("key", what, why, mend)
        yield of_entry(found) if server.is_of_entry(passed.source) else found


def _check_templates(server: ServerEnvironment) -> Iterator[Finding]:
    """Templates for the key that neither a person nor the host fills in."""
    entry, settings = server.entry, server.settings
    for name in KEY_NAMES:
        if entry is None or settings is None or not _is_left_over(server, entry, name):
            continue
        what = f"{name} in this file is a template that nothing fills in"
        if server.key or settings.sandbox:
            mend = fix_commands.rewrite(entry)
            yield of_entry(note("template", what, "it does no harm", mend))
        else:
            why = "the key is looked for elsewhere"
            yield of_entry(warning("template", what, why, fix_commands.login()))


def _is_left_over(server: ServerEnvironment, entry: ConfigEntry, name: str) -> bool:
    value = entry.env.get(name, "")
    if not value.strip() or ASKED_FOR.match(value) or not is_leftover(value):
        return False
    # The host fills in what it names in its own way.
    pattern = re.escape(entry.host.reference).replace("%s", r"([A-Za-z_]\w*)")
    named = re.fullmatch(pattern, value.strip()) if pattern else None
    return not (named and server.around.get(named[1]))


def _replace_key(server: ServerEnvironment, source: str) -> str:
    """What puts another key in the place of the one from there, which would go before it."""
    if source in KEY_NAMES:
        return f"{server.unset_command(source)} && {fix_commands.login()}"
    return fix_commands.login()


def _check_file_mode(server: ServerEnvironment) -> Iterator[Finding]:
    path = _config(server)
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
        what, mend = f"{path} is open to other users", f"chmod 600 {shlex.quote(str(path))}"
        yield warning("secret", what, "your key can be read there", mend, "protect")


def _config(server: ServerEnvironment) -> Path:
    # A user without a home has no such file, wherever it is said to be.
    return config_path(server.environ) or Path("config.json")
