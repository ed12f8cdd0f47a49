"""What the doctor may start: of a user's file only what is exactly ours, of a project's nothing.

`launchers.guess_command` is good enough for editing text. It is no leave to execute: here every
word of a command is accounted for.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from runapi_mcp.base.hosts.launch_environment import has_reference
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.findings import Finding, note
from runapi_mcp.setup.doctor.launch_plan import ConnectPlan, LaunchPlan
from runapi_mcp.setup.doctor.mcp_config import ConfigEntry

_VERSION: Final = r"[0-9A-Za-z.+!*-]+"
_PACKAGE: Final = rf"runapi[-_.]mcp(\[[\w,-]*\])?((==|>=|<=|~=|@){_VERSION})?"
_IMAGE: Final = r"(ghcr\.io/runapi-mcp/)?runapi-mcp(:[\w.-]+)?(@sha256:[0-9a-f]{64})?"
_PATH: Final = r"(/|[A-Za-z]:[\\/]).*"
_PYTHON: Final = rf"(python|cpython|pypy)?@?\d[\d.]*t?|{_PATH}"
_MOUNT: Final = r"([\w.-]+|(/|[A-Za-z]:[\\/])[^:]*):/.*"
_UV: Final = {"--python": _PYTHON, "-p": _PYTHON, "--directory": _PATH, "--project": _PATH}
_UV_BARE: Final = "-q --quiet --isolated --offline --no-config --no-progress --refresh --no-cache"


class _Launcher(NamedTuple):
    """One way to start this program: the words that lead to it, and the options among them."""

    commands: tuple[tuple[str, ...], ...] = ((),)
    bare: str = ""
    """Options without a value."""
    valued: Mapping[str, str] = {}
    """Options with a value, and the pattern of those that change nothing of what starts."""
    target: str = _PACKAGE


_LAUNCHERS: Final = {
    "runapi-mcp": _Launcher(target=""),
    "uvx": _Launcher(bare=_UV_BARE, valued={**_UV, "--from": _PACKAGE}),
    "uv": _Launcher((("tool", "run"), ("run",)), _UV_BARE, {**_UV, "--from": _PACKAGE}),
    "pipx": _Launcher((("run",),), "-q --quiet", {"--spec": _PACKAGE, "--python": _PYTHON}),
    "docker": _Launcher(
        (("run",), ("container", "run")),
        "-i --interactive -t --tty -it -ti --rm --init -q --quiet",
        {
            **dict.fromkeys(("-e", "--env"), r"\w+(=.*)?"),
            **dict.fromkeys(("-v", "--volume"), _MOUNT),
            "--name": r"[\w.-]+",
        },
        _IMAGE,
    ),
    "python": _Launcher((("-m",),), "-P -I -E -s -B -u", target="runapi_mcp"),
}
_ALIASES: Final = {"podman": "docker", "nerdctl": "docker"}
_NAME: Final = re.compile(r"(python)[\d.]*|([a-z-]+)")
_SERVING: Final = ((), ("--sandbox",), ("serve",), ("serve", "--sandbox"))
"""What may follow the program: all that serves on stdio."""


def is_exactly_ours(words: Sequence[str]) -> bool:
    """Whether a command by the bare name of a launcher starts this server and nothing else."""
    program = words[0].lower().removesuffix(".exe") if words else ""
    named = _NAME.fullmatch(program)
    name = (named[1] or named[2]) if named else ""
    launcher = _LAUNCHERS.get(_ALIASES.get(name, name))
    if launcher is None:
        return False
    return any(_leads_to_us(launcher, command, [*words[1:]]) for command in launcher.commands)


def _leads_to_us(launcher: _Launcher, command: tuple[str, ...], words: list[str]) -> bool:
    """Whether the words are a command, options before and after each of its words, and ours."""
    for word in command:
        rest = _past_options(launcher, words)
        if rest is None or rest[:1] != [word]:
            return False
        words = rest[1:]
    # Python's module comes right behind -m.
    rest = words if command == ("-m",) else _past_options(launcher, words)
    if rest is None or not launcher.target:
        return rest is not None and tuple(rest) in _SERVING
    return _is_like(launcher.target, "".join(rest[:1])) and tuple(rest[1:]) in _SERVING


def _past_options(launcher: _Launcher, words: list[str]) -> list[str] | None:
    """The words behind the options; None where one is not understood."""
    while words and words[0].startswith("-") and words[0] != "-m":
        option, equals, value = words[0].partition("=")
        words = words[1:]
        if option in launcher.bare.split() and not equals:
            continue
        if option not in launcher.valued or not (equals or words):
            return None
        if not equals:
            value, words = words[0], words[1:]
        if not _is_like(launcher.valued[option], value):
            return None
    return words


def _is_like(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None


def why_only_read(
    entry: ConfigEntry, plan: LaunchPlan | ConnectPlan, machine: Machine
) -> Finding | None:
    """Why an entry is neither started nor connected to; None where it may be."""
    if entry.is_of_project:
        what = "the project's file is read here, and not started or connected to"
        again = fix_commands.runapi(f"doctor {entry.host.name} --run-project")
        return note("start", what, mend=again if may_be_asked_about(entry) else "")
    reason = "" if isinstance(plan, ConnectPlan) else _reason(entry, plan, machine)
    what = f"its command is read here, and not started: {reason}"
    return note("start", what, mend=fix_commands.renew(entry)) if reason else None


def may_be_asked_about(entry: ConfigEntry) -> bool:
    """Whether a person may say that a project's command is started: its words are all of it."""
    return entry.is_of_project and not entry.url and can_be_looked_for(entry)


def can_be_looked_for(entry: ConfigEntry) -> bool:
    """Whether its program and directory are known, and to look for them asks no other machine."""
    said = (*entry.words, entry.directory)
    if entry.is_of_project:
        return not any(has_reference(text, entry.host) or _is_share(text) for text in said)
    # What a relative path is relative to, the host alone knows.
    return not any(map(_is_relative, (*entry.words[:1], entry.directory)))


def _reason(entry: ConfigEntry, plan: LaunchPlan, machine: Machine) -> str:
    written, program = entry.words[0], plan.words[0]
    if not _is_absolute(plan.directory, machine) or machine.is_in_project(plan.directory):
        return "it would run in the project's folder"
    if _is_absolute(written, machine) or is_exactly_ours(entry.words):
        return ""
    if _is_absolute(program, machine) and not machine.is_in_project(program):
        return ""
    return "it is neither an absolute path outside the project nor exactly what starts this server"


def _is_relative(path: str) -> bool:
    is_path = bool({"/", "\\"} & set(path)) or path in (".", "..")
    return is_path and path[:1] not in ("/", "\\", "$", "{") and path[1:2] != ":"


def _is_share(path: str) -> bool:
    return path.replace("\\", "/").startswith("//")


def _is_absolute(path: str, machine: Machine) -> bool:
    return machine.path(path).is_absolute()
