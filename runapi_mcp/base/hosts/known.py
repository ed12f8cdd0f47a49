"""What is known of each host: how long it lets a call go on, and whether its model sees images.

Measured. docs/waiting.md and docs/pictures.md say it for people.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MARGIN_SECONDS: Final = 15.0
"""What an answer needs at most to be made and to arrive once the wait is over."""


@dataclass(frozen=True, slots=True)
class Host:
    """When a host gives up a call, in seconds, and what it does with images in an answer."""

    silent_seconds: float = 60
    with_progress_seconds: float = 60
    """For a call that reports progress."""
    shows_images: bool = True
    """False for one that gives its model an image's base64 to read."""


_UNKNOWN: Final = Host()

# By the name that the host's client gives itself.
_HOSTS: Final[Mapping[str, Host]] = {
    "claude-code": Host(300, 300),  # 30 minutes over stdio, 5 over HTTP
    "cline": Host(shows_images=False),
    "codex-mcp-client": Host(300, 300),
    "copilot-cli": Host(180, 300),
    "gemini-cli-mcp-client": Host(600, 600),
    "opencode": Host(60, 300),
}


def host_of(client_name: str | None) -> Host:
    """What is known of a host; of one that is not known, as of the strictest."""
    return _HOSTS.get((client_name or "").lower(), _UNKNOWN)
