"""The API key, judged: there or not, from where, well-formed, taken by RunAPI."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from runapi_mcp.catalog.money import dollars
from runapi_mcp.doctor import mends
from runapi_mcp.doctor.asking import LetIn
from runapi_mcp.doctor.findings import Finding, fine, note, problem, warning
from runapi_mcp.doctor.means import KEY_NAMES, Means
from runapi_mcp.errors import KeyRejected, RateLimited
from runapi_mcp.settings import Key, config_path

_UNPAID: Final = "every call that draws is refused"


def settings_findings(means: Means) -> Iterator[Finding]:
    """Settings that cannot be used."""
    if means.refusal is None:
        return
    named = re.search(r"\bRUNAPI_[A-Z_]+", str(means.refusal))
    mend = mends.edit(_config(means)) if named is None else _correcting(means, named[0])
    what = means.refusal.happened.rstrip(".")
    yield problem("settings", what, "the server does not start", mend)


def held_back_findings(means: Means) -> Iterator[Finding]:
    """Settings of this shell that the host's server will not hear of."""
    configured = means.configured
    held_back = [name for name in means.around if name.startswith("RUNAPI_")]
    for name in held_back:
        if configured and name not in KEY_NAMES and means.is_held_back(name):
            what = f"{name} is set in this shell, and {configured.host.title} does not hand it on"
            mend = f"{mends.install(configured.host, configured.scope)} --env {name}=${name}"
            yield warning("settings", what, "it does not hold for that server", mend)


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
        yield _missing(means, settings.key)
    else:
        for said in settings.warnings:
            what, mend = said.rstrip("."), _correcting_said(means, said)
            yield warning("key", what, "it is passed over for another one", mend)


def taken_findings(means: Means, answer: LetIn) -> Iterator[Finding]:
    """What RunAPI makes of the key."""
    key = means.settings.key if means.settings else Key(None)
    source = means.whence(key.source)
    if isinstance(answer.failure, KeyRejected):
        what = f"RunAPI does not accept the key from {source}"
        yield problem("key", what, _UNPAID, _replacing(means, key.source))
    elif isinstance(answer.failure, RateLimited):
        yield note("key", "RunAPI limits requests of this key just now", "ask again in a minute")
    elif answer.failure is not None:
        what = f"the balance cannot be read: {answer.failure.happened.rstrip('.')}"
        yield warning("key", what, "whether the key is accepted is not known", "runapi-mcp doctor")
    elif answer.balance_cents <= 0:
        yield warning("credit", "there is no credit on the account", _UNPAID, mends.ADD_CREDIT)
    else:
        yield fine("key", f"key from {source}, accepted; {dollars(answer.balance_cents)} left")


def _missing(means: Means, key: Key) -> Finding:
    held_back = next((name for name in KEY_NAMES if means.is_held_back(name)), None)
    if held_back and means.configured:
        host, scope = means.configured.host, means.configured.scope
        what = f"{held_back} is set in this shell, and {host.title} does not hand it on"
        return problem("key", what, _UNPAID, mends.install(host, scope), "install")
    happened = key.missing.happened.rstrip(".") if key.missing else "no key is set"
    what = happened.replace("No RunAPI API key is set", "there is no API key")
    return problem("key", what, _UNPAID, _correcting_said(means, happened))


def _correcting_said(means: Means, said: str) -> str:
    """What mends a sentence about the key, which begins with where it was looked for."""
    config = _config(means)
    if said.startswith(str(config)):
        return mends.edit(config)
    name = said.split(" ", 1)[0]
    return _replacing(means, name) if name in KEY_NAMES else mends.LOGIN


def _replacing(means: Means, source: str) -> str:
    """What puts another key in the place of the one from there, which would go before it."""
    if source in KEY_NAMES:
        return f"{_correcting(means, source)} && {mends.LOGIN}"
    return mends.LOGIN


def _correcting(means: Means, name: str) -> str:
    """What takes a variable away, where it is set."""
    if means.configured and means.said_in_entry(name):
        return mends.reinstall(means.configured.host, means.configured.scope)
    return f"unset {name}"


def _open_file(means: Means) -> Iterator[Finding]:
    path = _config(means)
    if os.name != "posix" or not path.is_file() or not path.stat().st_mode & 0o077:
        return
    mend = f"chmod 600 {shlex.quote(str(path))}"
    why = "your key can be read there"
    yield warning("secret", f"{path} is open to other users", why, mend, "protect")


def _config(means: Means) -> Path:
    # A user without a home has no such file, wherever it is said to be.
    return config_path(means.environ) or Path("config.json")
