"""The environment that a host gives a server: what it hands on, and what its references name."""

import re
from collections.abc import Mapping
from typing import Final

from runapi_mcp.base.hosts.host import Host, LaunchPolicy
from runapi_mcp.base.hosts.machine import Machine, Platform

SYSTEM_PATH: Final[Mapping[Platform, str]] = {
    "linux": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "macos": "/usr/bin:/bin:/usr/sbin:/sbin",
}
"""What the desktop's programs have. On Windows they have the user's own."""

_FEW: Final = re.compile(
    r"HOME|LOGNAME|PATH|SHELL|USER|__CF_USER_TEXT_ENCODING|LANG|LC_ALL|TERM|TMPDIR|TZ"
    r"|APPDATA|COMSPEC|HOMEDRIVE|HOMEPATH|LOCALAPPDATA|PATHEXT|POWERSHELL|PROGRAMDATA"
    r"|PROGRAMFILES(\(X86\))?|PROGRAMW6432|PWSH|SYSTEMDRIVE|SYSTEMROOT|TEMP|TMP|USERDOMAIN"
    r"|USERNAME|USERPROFILE|WINDIR",
    re.IGNORECASE,
)
"""Codex's own list."""
_SESSION: Final = re.compile(
    r"HOME|LOGNAME|USER|SHELL|TMPDIR|TZ|LANG|LC_.*|DISPLAY|WAYLAND_DISPLAY|DBUS_.*|XDG_.*"
)
_SECRET: Final = re.compile(
    "TOKEN|SECRET|PASSWORD|PASSWD|KEY|AUTH|CREDENTIAL|CREDS|PRIVATE|CERT", re.IGNORECASE
)
"""Gemini CLI's own list of names that it holds back."""


def handed_on(policy: LaunchPolicy, machine: Machine) -> dict[str, str]:
    """What a host hands on of its own accord."""
    environ = machine.environ
    match policy.hands_on:
        case "few":
            return {name: value for name, value in environ.items() if _FEW.fullmatch(name)}
        case "no secrets":
            return without_secrets(environ)
        case "session" if machine.platform in SYSTEM_PATH:
            kept = {name: value for name, value in environ.items() if _SESSION.fullmatch(name)}
            return kept | {"PATH": SYSTEM_PATH[machine.platform]}
        case _:
            return dict(environ)


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not _SECRET.search(name)}


def fill_in(text: str, host: Host, environ: Mapping[str, str]) -> str:
    """A text with the host's references to variables replaced."""
    keeps_unset = host.launch.keeps_unset

    def value(found: re.Match[str]) -> str:
        name, default = found["name"], found.groupdict().get("default")
        unset = found[0] if keeps_unset and default is None else default or ""
        return environ.get(name) or unset

    for pattern in _reference_patterns(host.reference):
        text = re.sub(pattern, value, text)
    return text


def has_reference(text: str, host: Host) -> bool:
    """Whether the host would put a variable's value into a text."""
    return any(re.search(pattern, text) for pattern in _reference_patterns(host.reference))


def _reference_patterns(reference: str) -> list[str]:
    name = r"(?P<name>[A-Za-z_]\w*)"
    match reference:
        case "":
            return []
        case "${%s}":
            return [rf"\$\{{{name}(?::-(?P<default>(?:[^}}$]|\$(?!\{{))*+))?\}}"]
        case "$%s":
            return [rf"\$\{{{name}\}}", rf"\${name}"]
        case _:
            return [re.escape(reference).replace("%s", name)]
