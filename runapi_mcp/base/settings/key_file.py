"""The key kept in RunAPI's config file, with the address that it is for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from runapi_mcp.base.atomic_files import make_folders, write_whole
from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings.config_file import config_path, irregularity, read_config
from runapi_mcp.base.settings.values import kept_address, may_go_to

_NAME: Final = "api_key"
_OLDER_NAME: Final = "apiKey"
_ADDRESS_NAME: Final = "base_url"
_OLDER_ADDRESS_NAME: Final = "baseUrl"
_BOM: Final = "\ufeff"
_EMPTY: Final = "{}\n"
_ADVICE: Final = "Correct it, or move it away; a key may also be set as RUNAPI_API_KEY."


class KeyFile:
    """The file as the place of the key; nothing else of it is touched. Whatever it does blocks.

    A file that cannot be understood or written stays as it was, and raises NotConfigured.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, environ: Mapping[str, str] | None = None) -> KeyFile:
        """The file of this user.

        Raises:
            NotConfigured: this user has no home.
        """
        path = config_path(os.environ if environ is None else environ)
        if path is None:
            raise NotConfigured("This user has no home to keep a key in.", "Set HOME.")
        return cls(path)

    def require_usable(self) -> None:
        """Nothing, when a key can be saved: asked before a person is bothered."""
        self._texts("")
        try:
            target = self._target()
        except OSError as error:
            raise self._unwritable(error) from error
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise self._unwritable(PermissionError("its folder is read-only"))

    def is_for(self, base_url: str) -> bool:
        """Whether a key that is saved here may be sent to an address."""
        return may_go_to(base_url, read_config(self.path)[0])

    def names_another(self, base_url: str) -> bool:
        """Whether it names an address for its key, and not this one."""
        return kept_address(read_config(self.path)[0]) not in (None, base_url)

    def save(self, key: SecretStr, base_url: str | None = None) -> None:
        """Keep the key, readable by this user only; with the address that it is for, if given."""
        _, text = self._texts(key.get_secret_value(), base_url)
        self._replace(text)

    def remove(self) -> bool:
        """Whether there was a key, which is gone now."""
        before, text = self._texts(None)
        if text == before:
            return False
        self._replace(text)
        return True

    def _texts(self, key: str | None, base_url: str | None = None) -> tuple[str, str]:
        """The file's text, and the same with this key and address, or without a key."""
        # Imported here, because every start would pay for what only a login needs.
        from runapi_mcp.base.texts import UnusableText

        text = self._read()
        bom = _BOM if text.startswith(_BOM) else ""
        try:
            return text, bom + _with_key(text.removeprefix(_BOM), key, base_url)
        except UnusableText as error:
            line = "" if error.line is None else f" (line {error.line})"
            happened = f"{self.path} is not valid JSON: {error.why}{line}."
            raise NotConfigured(happened, _ADVICE) from error

    def _read(self) -> str:
        if irregular := irregularity(self.path):
            raise NotConfigured(irregular, _ADVICE)
        try:
            # Bytes, so that line ends stay; in an empty file there is nothing to lose.
            text = self.path.read_bytes().decode()
        except FileNotFoundError:
            return _EMPTY
        except OSError as error:
            happened = f"{self.path} cannot be read: {error.strerror or error}."
            raise NotConfigured(happened, _ADVICE) from error
        except UnicodeDecodeError as error:
            raise NotConfigured(f"{self.path} is not UTF-8.", _ADVICE) from error
        return text if text.strip() else _EMPTY

    def _replace(self, text: str) -> None:
        try:
            target = self._target()
            write_whole(target, text.encode(), 0o600)
        except OSError as error:
            raise self._unwritable(error) from error

    def _target(self) -> Path:
        """The file itself, where links lead to it; in a folder for this user only."""
        folder = self.path.parent
        make_folders(folder, 0o700)
        with suppress(OSError):
            # What it forbids its owner stays forbidden.
            folder.chmod(folder.stat().st_mode & 0o700)
        # Whoever made the file a link wants it to stay one.
        return Path(os.path.realpath(self.path))

    def _unwritable(self, error: OSError) -> NotConfigured:
        return NotConfigured(
            f"The key was not saved: {self.path} cannot be written ({error.strerror or error}).",
            "Make it writable; a key may also be set as RUNAPI_API_KEY.",
        )


def _with_key(text: str, key: str | None, base_url: str | None) -> str:
    """A text with this key and address, or without a key; nothing else of it changes."""
    if base_url is not None:
        text = _with_entry(text, _ADDRESS_NAME, _OLDER_ADDRESS_NAME, base_url)
    return _with_entry(text, _NAME, _OLDER_NAME, key)


def _with_entry(text: str, name: str, older_name: str, value: str | None) -> str:
    from runapi_mcp.base.texts import parse_text

    for gone in (older_name, name) if value is None else (older_name,):
        text = parse_text(text, "json").cut((gone,))
    return text if value is None else parse_text(text, "json").put((name,), value)
