"""Entries to paste into the configuration of a host: what install would write there."""

from collections.abc import Mapping
from typing import Final

from publishing.json_file import as_json
from publishing.project import Project, Start
from runapi_mcp.base.hosts.host import KEY_VARIABLE
from runapi_mcp.base.hosts.table import host_named
from runapi_mcp.base.texts import ServerEntry
from runapi_mcp.setup.install.host_entry import EntrySpec, new_entry
from runapi_mcp.setup.install.installed_entry import entry_text

_QUESTION: Final = "runapi-api-key"


def files(project: Project) -> Mapping[str, str]:
    """One file for each host that keeps its servers in one."""
    start = project.starts.newest
    asking = as_json({"inputs": [asked_key()]})
    return {
        "manifests/claude-code.mcp.json": _file("claude-code", entry("claude-code", start)),
        "manifests/codex.config.toml": codex(project),
        "manifests/cursor.mcp.json": cursor(project),
        "manifests/windsurf.mcp_config.json": _file("windsurf", entry("windsurf", start)),
        "manifests/vscode.mcp.json": _file("vscode", vs_code(start), asking),
    }


def cursor(project: Project) -> str:
    """Cursor's file, which Windsurf would take as well."""
    return _file("cursor", entry("cursor", project.starts.newest))


def codex(project: Project) -> str:
    """The table for Codex's config.toml."""
    text = _file("codex", entry("codex", project.starts.newest))
    return text.replace(
        "env_vars", "# Codex hands a server only the variables named here.\nenv_vars"
    )


def entry(name: str, start: Start, *handed_on: str) -> ServerEntry:
    """What a host is given for this command, with the user's own variables that it names.

    No key and no template for one: the server finds what `login` saved, and what a host leaves in
    a template would be no key.
    """
    return new_entry(host_named(name), EntrySpec(start.words, handed_on=handed_on))


def vs_code(start: Start) -> ServerEntry:
    """VS Code's, whose own way is to ask for the key."""
    spec = EntrySpec(start.words, env={KEY_VARIABLE: f"${{input:{_QUESTION}}}"})
    return new_entry(host_named("vscode"), spec)


def asked_key() -> dict[str, object]:
    """VS Code's question for the key."""
    return {
        "type": "promptString",
        "id": _QUESTION,
        "description": "RunAPI API key",
        "password": True,
    }


def _file(name: str, entry: ServerEntry, text: str = "") -> str:
    """A host's file with this entry, laid out as install does it."""
    return entry_text(host_named(name), entry, text)
