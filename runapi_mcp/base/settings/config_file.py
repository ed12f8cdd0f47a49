"""RunAPI's config file, which its own programs write too."""

import json
from collections.abc import Mapping
from pathlib import Path

from runapi_mcp.base.json_values import is_object


def config_path(environ: Mapping[str, str]) -> Path | None:
    """RunAPI's config file, which its own CLI and servers share; None for a user without a home."""
    home = environ.get("HOME") or environ.get("USERPROFILE")
    try:
        folder = Path(home) if home else Path.home()
    except RuntimeError:
        return None
    return folder / ".config" / "runapi" / "config.json"


def irregularity(path: Path) -> str | None:
    """What is wrong with something else in a file's place: a pipe would be waited for forever."""
    if path.is_file() or not path.exists():
        return None
    return f"{path} cannot be read: it is not a regular file."


def read_config(path: Path | None) -> tuple[Mapping[str, object], str | None]:
    """The file's entries, and a sentence naming the file when it cannot be used."""
    if path is None:
        return {}, None
    try:
        if irregular := irregularity(path):
            return {}, irregular
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}, None
    except (OSError, UnicodeDecodeError) as error:
        return {}, f"{path} cannot be read: {error}."
    try:
        entries: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        return {}, f"{path} is not valid JSON: {error}."
    if not is_object(entries):
        return {}, f"{path} must hold a JSON object."
    return entries, None
