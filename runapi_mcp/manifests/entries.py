"""Entries to paste into the configuration of a host."""

import json
from collections.abc import Mapping

from runapi_mcp.manifests.facts import (
    CALL_TIMEOUT_SECONDS,
    KEY,
    SERVER,
    START_TIMEOUT_SECONDS,
    Project,
)
from runapi_mcp.manifests.text import as_json


def files(project: Project) -> Mapping[str, str]:
    """One file for each host that keeps its servers in one."""
    common = as_json({"mcpServers": {SERVER: _entry(project, f"${{env:{KEY}}}")}})
    return {
        "manifests/claude-code.mcp.json": as_json(_claude_code(project)),
        "manifests/codex.config.toml": codex(project),
        "manifests/cursor.mcp.json": common,
        "manifests/windsurf.mcp_config.json": common,
        "manifests/vscode.mcp.json": as_json(_vs_code(project)),
    }


def codex(project: Project) -> str:
    """The table for Codex's config.toml."""
    start = project.starts.newest
    return (
        f"[mcp_servers.{SERVER}]\n"
        f"command = {json.dumps(start.command)}\n"
        f"args = {json.dumps(list(start.args))}\n"
        "# Codex hands a server only the variables named here.\n"
        f"env_vars = {json.dumps([KEY])}\n"
        f"startup_timeout_sec = {START_TIMEOUT_SECONDS}\n"
        f"tool_timeout_sec = {CALL_TIMEOUT_SECONDS}\n"
    )


def _entry(project: Project, key: str) -> dict[str, object]:
    """What most hosts share; `key` is how the host names the user's own variable."""
    return {**project.starts.newest.fields, "env": {KEY: key}}


def _claude_code(project: Project) -> dict[str, object]:
    timeout_ms = CALL_TIMEOUT_SECONDS * 1000
    entry = {"type": "stdio", **_entry(project, f"${{{KEY}}}"), "timeout": timeout_ms}
    return {"mcpServers": {SERVER: entry}}


def _vs_code(project: Project) -> dict[str, object]:
    return {
        "inputs": [asked_key()],
        "servers": {SERVER: {"type": "stdio", **_entry(project, "${input:runapi-api-key}")}},
    }


def asked_key() -> dict[str, object]:
    """VS Code's question for the key."""
    return {
        "type": "promptString",
        "id": "runapi-api-key",
        "description": "RunAPI API key",
        "password": True,
    }
