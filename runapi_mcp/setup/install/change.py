"""What is to happen to a host's file, and how that is shown."""

import difflib
from dataclasses import dataclass, replace
from io import StringIO
from itertools import islice
from typing import Final, Literal

from runapi_mcp.base.hosts.host import ENTRY_NAME, Host
from runapi_mcp.base.json_values import as_object
from runapi_mcp.base.redaction import Secrets, plain_words_in, secrets_by_sight, secrets_in
from runapi_mcp.base.texts import (
    KeyPath,
    ServerEntry,
    UnusableText,
    parse_text,
    read_entry,
    remove_entry,
)
from runapi_mcp.setup.install.host_file import HostFile
from runapi_mcp.setup.install.install_log import InstallRecord
from runapi_mcp.setup.install.installed_entry import entry_path

ChangeOutcome = Literal["added", "updated", "already there", "removed", "not there", "restored"]

_NO_NEWLINE: Final = "\\ No newline at end of file"


@dataclass(frozen=True, slots=True)
class Change:
    """What is to happen to a host's file."""

    host: Host
    file: HostFile
    outcome: ChangeOutcome
    text: str
    """The file's text afterwards."""
    record: InstallRecord

    @property
    def changes_nothing(self) -> bool:
        if self.outcome == "restored":
            return self.file.data is not None and self.text == self.file.text
        return self.outcome in ("already there", "not there")

    @property
    def entry(self) -> ServerEntry | None:
        """What the file says of this server afterwards."""
        return read_entry(self.text, self.host.dialect, entry_path(self.host))

    @property
    def deletes(self) -> bool:
        """Whether the file goes, which was made for the entry alone."""
        return self.outcome == "removed" and self.record.new_file and not self.text

    def diff(self) -> str:
        """The change as a unified diff that `patch` understands, but for secrets in it."""
        path = str(self.file.path)
        before = "/dev/null" if self.file.data is None else path
        after = "/dev/null" if self.deletes else path
        # No lines around it, which are other servers'.
        rows = difflib.unified_diff(_lines(self.file.text), _lines(self.text), before, after, n=0)
        head, body = "".join(islice(rows, 2)), "".join(map(_whole, rows))
        return head + self._secrets().hide(body)

    def _secrets(self) -> Secrets:
        secrets, plain = set[str](), set[str]()
        for text in (self.file.text, self.text):
            try:
                value = parse_text(text, self.host.dialect).value
            except UnusableText:
                secrets.update(secrets_by_sight(text))
            else:
                secrets.update(secrets_in(value, ENTRY_NAME))
                plain.update(plain_words_in(value, ENTRY_NAME))
        return Secrets(secrets - plain)


def written_since(change: Change) -> str:
    """What a restored backup undoes besides this server's entry, as a diff; empty for nothing."""
    if change.file.data is None:
        return ""
    now, then = (_without_entry(change, text) for text in (change.file.text, change.text))
    if not change.record.sha256 and _others(change, now) == _others(change, then):
        # What uninstall left behind can only be told by what it means.
        return ""
    return replace(change, file=replace(change.file, text=now), text=then).diff()


def _without_entry(change: Change, text: str) -> str:
    dialect, path = change.host.dialect, entry_path(change.host)
    try:
        if read_entry(text, dialect, path) is None:
            return text
        return remove_entry(text, dialect, path, change.record.around)
    except UnusableText:
        return text


def _others(change: Change, text: str) -> object:
    """What a text says without this server's entry and what only leads to it."""
    try:
        return _pruned(parse_text(text, change.host.dialect).value, entry_path(change.host))
    except UnusableText:
        return text


def _pruned(value: object, path: KeyPath) -> object:
    name, *rest = path
    kept = dict(as_object(value))
    if name not in kept:
        return value
    below = kept.pop(name)
    inner = _pruned(below, tuple(rest)) if rest else None
    return {**kept, name: inner} if inner else kept


def _whole(row: str) -> str:
    return row if row.endswith("\n") else f"{row}\n{_NO_NEWLINE}\n"


def _lines(text: str) -> list[str]:
    # Not splitlines, which also ends lines where diff and patch do not.
    return list(StringIO(text, newline="\n"))
