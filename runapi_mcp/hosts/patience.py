"""How long each host lets a call go on, measured. docs/waiting.md has the table for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MARGIN_SECONDS: Final = 15.0
"""What an answer needs at most to be made and to arrive once the wait is over."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When a host gives up a call, in seconds."""

    silent_seconds: float
    with_progress_seconds: float
    """For a call that reports progress."""


_UNKNOWN: Final = Patience(60, 60)

# By the name that the host's client gives itself.
_HOSTS: Final[Mapping[str, Patience]] = {
    "claude-code": Patience(300, 300),  # 30 minutes over stdio, 5 over HTTP
    "codex-mcp-client": Patience(300, 300),
    "copilot-cli": Patience(180, 300),
    "gemini-cli-mcp-client": Patience(600, 600),
    "opencode": Patience(60, 300),
}


def patience_of(client_name: str | None) -> Patience:
    """The patience of a host; of one that is not known, that of the strictest."""
    return _HOSTS.get((client_name or "").lower(), _UNKNOWN)
