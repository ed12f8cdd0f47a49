"""Commands as entries have them, read up to the program that they start."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import dropwhile
from typing import Final

MOST_WORDS: Final = 200
"""Each may be a launcher that starts the next."""
_OURS: Final = re.compile(r"runapi[-_.]mcp(\.exe|\.cmd|\.git)?([@=<>!~:\[].*)?", re.IGNORECASE)
_PYTHON: Final = re.compile(r"(python|pypy|graalpy|py)w?[\d.]*t?", re.IGNORECASE)
_SUFFIX: Final = re.compile(r"\.(exe|cmd|bat)$")
_FOREIGN: Final = ("npx", "bunx", "pnpm", "yarn", "node", "bun", "deno")
"""What they start is not Python, whatever its name."""
_ASSIGNMENT: Final = re.compile(r"(RUNAPI_\w+)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Command:
    """How a command starts this program."""

    added: tuple[str, ...] = ()
    """What follows the program: a user's own words for it."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the launcher sets for it."""
    is_clear: bool = True
    """False where a launcher is not known, so that nobody can tell which words are whose."""


def guess_command(words: Sequence[str]) -> Command | None:
    """How a command seems to start this program; None for one that does not.

    Good enough for editing text. What may be executed, `doctor/start_rule.py` decides.
    """
    if not words:
        return None
    if len(words) > MOST_WORDS:
        return _unclear([*words])
    first, *rest = words
    if _names_us(first):
        return Command(tuple(rest))
    program = _SUFFIX.sub("", _base(first).lower())
    if _PYTHON.fullmatch(program):
        program = "python"
    launched = _LAUNCHERS.get(program)
    return launched(rest) if launched else _by_a_stranger(program, rest)


@dataclass(frozen=True, slots=True)
class _Options:
    """The options of a launcher: which have a value, and which end them."""

    valued: str = ""
    bare: str = ""
    """All that have none, for a launcher whose others all have one."""
    last: tuple[str, ...] = ()
    """Those whose value is the program."""

    def split(self, words: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
        """The options that a command begins with, and the words from its program on."""
        found: list[tuple[str, str]] = []
        while words and words[0].startswith("-"):
            word, *words = words
            if word == "--":
                break
            name, value = self._named(word)
            if value is None and self._has_value(name):
                value, words = (words[0], words[1:]) if words else ("", words)
            if name in self.last:
                return found, [value or "", *words]
            found.append((name, value or ""))
        return found, words

    def _named(self, word: str) -> tuple[str, str | None]:
        """An option and what is written right behind it; of some in one word, the last."""
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            return name, value if equals else None
        for number, letter in enumerate(word[1:], 2):
            if self._has_value(f"-{letter}"):
                return f"-{letter}", word[number:].removeprefix("=") or None
        return word, ""

    def _has_value(self, name: str) -> bool:
        if name in self.last:
            return True
        return name not in self.bare.split() if self.bare else name in self.valued.split()


_UV: Final = _Options(
    (
        "--from --with -w --with-editable --with-requirements --python -p --directory --project"
        " --index --default-index --index-url -i --extra-index-url --find-links -f --cache-dir"
        " --config-file --index-strategy --keyring-provider --resolution --prerelease"
        " --fork-strategy --exclude-newer --link-mode --config-setting -C --color --constraints -c"
        " --overrides --build-constraints -b --upgrade-package -P --reinstall-package"
        " --refresh-package --no-build-package --no-binary-package --python-platform"
        " --torch-backend --allow-insecure-host --extra --no-extra --group --no-group --only-group"
        " --package --env-file --python-preference --no-build-isolation-package"
    ),
    last=("-m", "--module", "-s", "--script"),
)
_PIPX: Final = _Options("--spec --python --pip-args --index-url -i --with")
_PYTHON_OPTIONS: Final = _Options("-W -X --check-hash-based-pycs", last=("-m", "-c"))
_ENV: Final = _Options("-u --unset -C --chdir", last=("-S", "--split-string"))
_DOCKER: Final = _Options(
    bare=(
        "-d --detach -i --interactive -t --tty --rm --init --privileged --read-only -P"
        " --publish-all --no-healthcheck --oom-kill-disable --disable-content-trust --sig-proxy"
        " -q --quiet -D --debug --tls --tlsverify --replace"
    )
)
_UNCLEAR: Final = ("--env-file", "--entrypoint")
"""Options that decide what runs, or with which settings, in a way that no entry can take over."""


def _names_us(word: str) -> bool:
    return _OURS.fullmatch(_base(word)) is not None


def _base(word: str) -> str:
    return word.replace("\\", "/").rpartition("/")[2]


def _by_env(words: list[str]) -> Command | None:
    given, words = _ENV.split(words)
    start = next((at for at, word in enumerate(words) if "=" not in word), len(words))
    return _launched(given, words[start:], _assigned(words[:start]))


def _by_docker(words: list[str]) -> Command | None:
    given, words = _DOCKER.split(words)
    if words[:1] == ["container"]:
        words = words[1:]
    if words[:1] != ["run"]:
        return _unclear(words)
    options, words = _DOCKER.split(words[1:])
    set_there = _assigned(value for name, value in options if name in ("-e", "--env"))
    # A path inside a container is none outside.
    env = {name: value for name, value in set_there.items() if not value.startswith("/")}
    # An image that is not ours may still be told to start this program.
    inside = words if words and _names_us(words[0]) else words[1:]
    return _launched([*given, *options], inside, env)


def _run(
    options: _Options, given: list[tuple[str, str]], words: list[str], group: str | None = None
) -> Command | None:
    """What a launcher starts by its command `run`, also as one of a group of commands."""
    words = words[1:] if words[:1] == [group] else words
    if words[:1] != ["run"]:
        return _unclear(words)
    more, words = options.split(words[1:])
    return _launched([*given, *more], words)


def _launched(
    options: list[tuple[str, str]], words: list[str], env: Mapping[str, str] | None = None
) -> Command | None:
    found = guess_command(words)
    if found is None:
        return None
    is_clear = found.is_clear and not any(name in _UNCLEAR for name, _ in options)
    return replace(found, env={**(env or {}), **found.env}, is_clear=is_clear)


def _by_a_stranger(program: str, words: list[str]) -> Command | None:
    if program in _FOREIGN:
        return None
    # Any interpreter is started so, whatever its name.
    _, module = _PYTHON_OPTIONS.split(words)
    if len(module) < len(words) and _names_us(module[0] if module else ""):
        return Command(tuple(module[1:]))
    return _unclear(words)


def _unclear(words: list[str]) -> Command | None:
    return Command(is_clear=False) if any(map(_names_us, words)) else None


def _assigned(words: Iterable[str]) -> dict[str, str]:
    found = (_ASSIGNMENT.fullmatch(word) for word in words)
    return {each[1]: each[2] for each in found if each}


_LAUNCHERS: Final[Mapping[str, Callable[[list[str]], Command | None]]] = {
    "uvx": lambda words: _launched(*_UV.split(words)),
    "uv": lambda words: _run(_UV, *_UV.split(words), "tool"),
    "pipx": lambda words: _run(_PIPX, *_PIPX.split(words)),
    "python": lambda words: _launched(*_PYTHON_OPTIONS.split(words)),
    "env": _by_env,
    "docker": _by_docker,
    "podman": _by_docker,
    "nerdctl": _by_docker,
    "cmd": lambda words: _launched([], [*dropwhile(lambda word: word.startswith("/"), words)]),
}
