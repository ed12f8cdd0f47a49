"""RunAPI's config file, which its own programs write too: where it is, and what it says."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runapi_mcp.base.json_values import is_bounded, is_object

if TYPE_CHECKING:
    from pathlib import Path


def config_path(environ: Mapping[str, str]) -> Path | None:
    """RunAPI's config file, which its own CLI and servers share; None for a user without a home."""
    # Imported here, because an idle server gets along without.
    from pathlib import Path

    location = config_location(environ)
    return None if location is None else Path(location)


def config_location(environ: Mapping[str, str]) -> str | None:
    """The same as a text."""
    home = environ.get("HOME") or environ.get("USERPROFILE") or os.path.expanduser("~")  # noqa: PTH111 - as above
    # It stays a ~ for a user without a home.
    return None if home == "~" else os.path.join(home, ".config", "runapi", "config.json")  # noqa: PTH118 - as above


def irregularity(path: str | Path) -> str | None:
    """What is wrong with something else in a file's place: a pipe would be waited for forever."""
    if os.path.isfile(path) or not os.path.exists(path):  # noqa: PTH110, PTH113 - as above
        return None
    return f"{path} cannot be read: it is not a regular file."


def read_config(path: str | Path | None) -> tuple[Mapping[str, object], str | None]:
    """The file's entries, and a sentence naming the file when it cannot be used."""
    if path is None:
        return {}, None
    if irregular := irregularity(path):
        return {}, irregular
    try:
        with open(path, encoding="utf-8-sig") as file:  # noqa: PTH123 - as above
            text = file.read()
    except FileNotFoundError:
        return {}, None
    except (OSError, UnicodeDecodeError) as error:
        return {}, f"{path} cannot be read: {error}."
    return _entries_in(text, path)


def _entries_in(text: str, path: str | Path) -> tuple[Mapping[str, object], str | None]:
    try:
        entries: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        return {}, f"{path} is not valid JSON: {error}."
    if not is_bounded(entries, len(text)):
        return {}, f"{path} is not valid JSON: it is nested too deeply."
    if not is_object(entries):
        return {}, f"{path} must hold a JSON object."
    return entries, None
