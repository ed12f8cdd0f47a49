"""What this machine shows a person outside the terminal: a browser, a viewer, a folder."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.printable import printable_path

_REMOTE: Final = ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")
_SCREENS: Final = ("DISPLAY", "WAYLAND_DISPLAY")
_STARTING_SECONDS: Final = 3.0
"""What still runs after so long has started: some viewers return when they are closed."""
_FILE_MANAGER: Final = (
    "dbus-send",
    "--session",
    "--print-reply",
    "--dest=org.freedesktop.FileManager1",
    "/org/freedesktop/FileManager1",
    "org.freedesktop.FileManager1.ShowItems",
)


def has_browser(environ: Mapping[str, str]) -> bool:
    """Whether a browser that opens here is one that the person sees.

    Without a screen, Python would start a text browser in the middle of the terminal.
    """
    return _is_seen(environ, (*_SCREENS, "BROWSER"))


def open_browser(address: str) -> None:
    import webbrowser

    # Some browsers return when they are closed; a daemon, so that the end does not wait for that.
    threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()


def open_file(path: Path) -> None:
    """Open a file in whatever this system opens it in. Blocks for a moment.

    Raises:
        NotConfigured: nobody would see it, or nothing opens it.
    """
    openers = {"darwin": ["open"], "win32": ["explorer"]}
    _start_first(path, [[*openers.get(sys.platform, ["xdg-open"]), str(path)]])


def show_in_folder(path: Path) -> None:
    """Open the folder of a file, with the file selected where that can be. As `open_file`."""
    match sys.platform:
        case "darwin":
            commands = [["open", "-R", str(path)]]
        case "win32":
            commands = [["explorer", f"/select,{path}"]]
        case _:
            select = [*_FILE_MANAGER, f"array:string:{path.as_uri()}", "string:"]
            commands = [select, ["xdg-open", str(path.parent)]]
    _start_first(path, commands)


def _is_seen(environ: Mapping[str, str], screens: Sequence[str]) -> bool:
    if any(environ.get(name) for name in _REMOTE):
        return False
    return sys.platform in ("darwin", "win32") or any(environ.get(name) for name in screens)


def _start_first(path: Path, commands: Sequence[Sequence[str]]) -> None:
    shown = printable_path(path)
    if not _is_seen(os.environ, _SCREENS):
        raise NotConfigured(f"There is no screen here to show {shown} on.", "Copy it to yours.")
    if not any(map(_starts, commands)):
        raise NotConfigured(f"No program here opens {shown}.", "Open it by hand.")


def _starts(command: Sequence[str]) -> bool:
    try:
        process = subprocess.Popen(  # noqa: S603 - the system's own opener, and no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C here shall not close what the person looks at.
            start_new_session=True,
        )
    except OSError:
        return False
    try:
        # Windows' explorer says 1 of every success.
        return process.wait(_STARTING_SECONDS) == 0 or sys.platform == "win32"
    except subprocess.TimeoutExpired:
        return True
