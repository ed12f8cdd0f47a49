"""The API key, judged: there or not, from where, well-formed, taken by RunAPI."""

import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runapi_mcp.base.catalog.money import dollars
from runapi_mcp.base.errors import KeyMissing, KeyRejected, RateLimited
from runapi_mcp.base.settings import Key, config_path
from runapi_mcp.base.settings.keys import CONFIG_FILE, KEY_NAMES
from runapi_mcp.base.settings.values import is_leftover
from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.configured import Configured
from runapi_mcp.setup.doctor.findings import Finding, fine, note, of_entry, problem, warning
from runapi_mcp.setup.doctor.runapi_probe import LetIn
from runapi_mcp.setup.doctor.server_environment import ASKED_FOR, Means, odd_config

_UNPAID: Final = "every call that draws is refused"


def settings_findings(means: Means) -> Iterator[Finding]:
    """Settings that cannot be used."""
    if odd := odd_config(means.environ):
        why = "whoever reads it waits for ever"
        yield problem("settings", f"{odd} is not a regular file", why, fix_commands.move_away(odd))
    if means.refusal is None:
        return
    named = re.search(r"\bRUNAPI_[A-Z_]+", str(means.refusal))
    mend = fix_commands.edit(_config(means)) if named is None else _correcting(means, named[0])
    what = means.refusal.happened.rstrip(".")
    yield problem("settings", what, "the server does not start", mend)


def held_back_findings(means: Means) -> Iterator[Finding]:
    """Settings of this shell that the host's server will not hear of."""
    configured = means.configured
    held_back = [name for name in means.around if name.startswith("RUNAPI_")]
    for name in held_back:
        if configured and name not in KEY_NAMES and means.is_held_back(name):
            what = f"{name} is set in this shell, and {configured.host.title} does not hand it on"
            mend = fix_commands.told(configured, name)
            yield of_entry(warning("settings", what, "it does not hold for that server", mend))


def template_findings(means: Means) -> Iterator[Finding]:
    """Templates for the key that neither a person nor the host fills in."""
    settings, entry = means.settings, means.configured
    if settings is None or entry is None:
        return
    for name in KEY_NAMES:
        if not _is_left_over(means, entry, name):
            continue
        what = f"{name} in this file is a template that nothing fills in"
        if means.key or settings.sandbox:
            yield of_entry(note("template", what, "it does no harm", fix_commands.rewritten(entry)))
        else:
            why = "the key is looked for elsewhere"
            yield of_entry(warning("template", what, why, fix_commands.login()))


def key_findings(means: Means) -> Iterator[Finding]:
    """Whether there is a key, and whether others see it."""
    settings = means.settings
    if settings is None:
        return
    yield from _open_file(means)
    if settings.sandbox:
        what = "RUNAPI_SANDBOX is on: it practises, and draws nothing real"
        yield note("key", what, mend=_correcting(means, "RUNAPI_SANDBOX"))
    elif means.is_asked_for:
        yield note("key", "the host asks its person for the key, so it is not known here")
    elif settings.key.secret is None:
        yield _missing(means, settings.key.missing)
    else:
        yield from _passed_over(means)


def _passed_over(means: Means) -> Iterator[Finding]:
    for passed in means.passed_over:
        entry = means.configured
        if entry and _is_left_over(means, entry, passed.source):
            continue  # which is said as such
        what, why = passed.happened.rstrip("."), "it is passed over for another one"
        in_environment = passed.source in KEY_NAMES
        mend = (
            _correcting(means, passed.source)
            if in_environment
            else fix_commands.edit(_config(means))
        )
        found = warning("key", what, why, mend)
        yield of_entry(found) if means.said_in_entry(passed.source) else found


def _is_left_over(means: Means, entry: Configured, name: str) -> bool:
    value = entry.env.get(name, "")
    if not value.strip() or ASKED_FOR.match(value) or not is_leftover(value):
        return False
    return not means.around.get(_referred(entry, value))


def _referred(entry: Configured, value: str) -> str:
    """The variable that a template names, in the host's own way."""
    if not entry.host.reference:
        return ""
    pattern = re.escape(entry.host.reference).replace("%s", r"([A-Za-z_]\w*)")
    found = re.fullmatch(pattern, value.strip())
    return found[1] if found else ""


def taken_findings(means: Means, answer: LetIn) -> Iterator[Finding]:
    """What RunAPI makes of the key."""
    key = means.settings.key if means.settings else Key(None)
    source = means.whence(key.source)
    if isinstance(answer.failure, KeyRejected):
        what = f"RunAPI does not accept the key from {source}"
        found = problem("key", what, _UNPAID, _replacing(means, key.source))
        yield of_entry(found) if means.said_in_entry(key.source) else found
    elif isinstance(answer.failure, RateLimited):
        yield note("key", "RunAPI limits requests of this key just now", "ask again in a minute")
    elif answer.failure is not None:
        again = fix_commands.runapi("doctor")
        what = f"the balance cannot be read: {answer.failure.happened.rstrip('.')}"
        yield warning("key", what, "whether the key is accepted is not known", again)
    elif answer.balance_cents <= 0:
        yield warning(
            "credit", "there is no credit on the account", _UNPAID, fix_commands.ADD_CREDIT
        )
    else:
        yield fine("key", f"key from {source}, accepted; {dollars(answer.balance_cents)} left")


def _missing(means: Means, missing: KeyMissing | None) -> Finding:
    entry = means.configured
    held_back = next((name for name in KEY_NAMES if means.is_held_back(name)), None)
    if held_back and entry:
        what = f"{held_back} is set in this shell, and {entry.host.title} does not hand it on"
        # Installing alone brings the key only where the host has a list of names to hand on.
        remedy = fix_commands.remedy(entry) if entry.host.stdio.names else None
        return of_entry(problem("key", what, _UNPAID, fix_commands.renewed(entry), remedy))
    if not (missing and missing.source):
        return problem("key", "there is no API key", _UNPAID, fix_commands.login())
    config = missing.source == CONFIG_FILE
    mend = fix_commands.edit(_config(means)) if config else _replacing(means, missing.source)
    return problem("key", missing.happened.rstrip("."), _UNPAID, mend)


def _replacing(means: Means, source: str) -> str:
    """What puts another key in the place of the one from there, which would go before it."""
    if source in KEY_NAMES:
        return f"{_correcting(means, source)} && {fix_commands.login()}"
    return fix_commands.login()


def _correcting(means: Means, name: str) -> str:
    """What takes a variable away, where it is set."""
    if means.configured and means.said_in_entry(name):
        return fix_commands.rewritten(means.configured)
    return fix_commands.unset(name)


def _open_file(means: Means) -> Iterator[Finding]:
    path = _config(means)
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if os.name != "posix" or not stat.S_ISREG(mode) or not mode & 0o077:
        return
    mend = f"chmod 600 {shlex.quote(str(path))}"
    why = "your key can be read there"
    yield warning("secret", f"{path} is open to other users", why, mend, "protect")


def _config(means: Means) -> Path:
    # A user without a home has no such file, wherever it is said to be.
    return config_path(means.environ) or Path("config.json")
