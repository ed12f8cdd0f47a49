"""How each host starts a server: what it hands on, where, and how long it waits.

Of hosts in a terminal measured, or read in the host's own program; see docs/doctor.md. Of graphical
ones assumed: one is started by the desktop, and so has neither the PATH nor the variables of a
shell's profile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Handing = Literal["all", "few", "no secrets", "session"]
"""Of the variables around the host, it hands on all; a dozen; those not named like a secret; or it
was started by the desktop and has few itself."""


@dataclass(frozen=True, slots=True)
class Habits:
    """One host's way to start a server."""

    hands_on: Handing = "all"
    start_seconds: float = 60
    """How long it waits for the first answer."""
    start_key: str = ""
    """The entry's own word on that, in seconds."""
    start_variable: str = ""
    """A variable of the host's own on that, in milliseconds."""
    keeps_unset: bool = False
    """Whether a reference to a variable that is not set is handed on as it is written."""

    @property
    def is_graphical(self) -> bool:
        return self.hands_on == "session"


_TERMINAL: Final = Habits()
_GRAPHICAL: Final = Habits(hands_on="session")
_HABITS: Final[Mapping[str, Habits]] = {
    "claude-code": Habits(start_seconds=30, start_variable="MCP_TIMEOUT", keeps_unset=True),
    "codex": Habits(hands_on="few", start_seconds=30, start_key="startup_timeout_sec"),
    "gemini": Habits(hands_on="no secrets", start_seconds=600),
    "qwen": Habits(start_seconds=30, keeps_unset=True),
    "opencode": Habits(start_seconds=30),
    "copilot": Habits(keeps_unset=True),
    "cursor": _GRAPHICAL,
    "windsurf": _GRAPHICAL,
    "vscode": _GRAPHICAL,
    "claude-desktop": _GRAPHICAL,
    "zed": _GRAPHICAL,
    "kiro": _GRAPHICAL,
    "lm-studio": _GRAPHICAL,
    "warp": _GRAPHICAL,
}


def habits_of(host_name: str) -> Habits:
    """A host's habits; of one that is not known, those of a program in a terminal."""
    return _HABITS.get(host_name, _TERMINAL)
