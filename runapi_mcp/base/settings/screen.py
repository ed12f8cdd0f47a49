"""Whether a person sits in front of this machine, as far as the environment tells."""

import os
import sys
from collections.abc import Mapping
from typing import Final

_REMOTE: Final = ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")
_SCREENS: Final = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


def has_browser(environ: Mapping[str, str] | None = None) -> bool:
    """Whether a browser that opens here is one that the person sees.

    Without a screen, Python would start a text browser in the middle of the terminal.
    """
    environ = os.environ if environ is None else environ
    if any(environ.get(name) for name in _REMOTE):
        return False
    return sys.platform in ("darwin", "win32") or any(environ.get(name) for name in _SCREENS)
