"""What other programs and readers are given of this server, generated from the tools.

Each is a file of the repository and its text; a check compares them, so none can drift.
"""

import json
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import metadata
from pathlib import Path
from typing import Any, Final

from runapi_mcp import __version__
from runapi_mcp.catalog import SNAPSHOT_AS_OF, VARIANTS
from runapi_mcp.server import SERVER_NAME, described
from runapi_mcp.tools import offered

COMMAND: Final = "uvx"
ARGUMENTS: Final = ("runapi-mcp",)
KEY: Final = "RUNAPI_API_KEY"
CALL_TIMEOUT_SECONDS: Final = 600
REGISTRY_SCHEMA: Final = (
    "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
)
DESCRIPTION: Final = (
    "Draw and edit images with Flux 2 through RunAPI: checked calls, visible prices."
)

UNPUBLISHED: Final = "not published; ask `check_pricing`"


def generated(root: Path) -> Iterator[tuple[Path, str]]:
    """Every generated file below the repository's root, with the text it must have."""
    for name, text in _manifests().items():
        yield root / "manifests" / name, text
    readme = root / "README.md"
    yield readme, _with_blocks(readme.read_text(encoding="utf-8"))


def repository() -> str:
    """The project's address, as its packaging metadata has it."""
    urls = (entry.split(", ", 1) for entry in metadata(SERVER_NAME).get_all("Project-URL") or [])
    return next(url for label, url in urls if label == "Repository")


def registry_name() -> str:
    """The server's name in the MCP Registry."""
    owner = repository().rstrip("/").rsplit("/", 2)[-2]
    return f"io.github.{owner}/{SERVER_NAME}"


def _manifests() -> Mapping[str, str]:
    return {
        "server.json": _json(_registry_entry()),
        "tools.json": _json(_tools()),
        "claude-code.mcp.json": _json(_claude_code()),
        "codex.config.toml": _codex(),
        "cursor.mcp.json": _json({"mcpServers": {"runapi": _started(f"${{env:{KEY}}}")}}),
        "windsurf.mcp_config.json": _json({"mcpServers": {"runapi": _started(f"${{env:{KEY}}}")}}),
        "vscode.mcp.json": _json(_vs_code()),
    }


def _tools() -> list[dict[str, Any]]:
    """The answer to tools/list."""
    tools = (described(tool) for tool in offered(VARIANTS))
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]


def _registry_entry() -> dict[str, object]:
    return {
        "$schema": REGISTRY_SCHEMA,
        "name": registry_name(),
        "title": "Flux 2 on RunAPI",
        "description": DESCRIPTION,
        "repository": {"url": repository(), "source": "github"},
        "version": __version__,
        "packages": [
            {
                "registryType": "pypi",
                "identifier": SERVER_NAME,
                "version": __version__,
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "environmentVariables": [
                    {
                        "name": KEY,
                        "description": "RunAPI API key; RUNAPI_SANDBOX=1 needs none.",
                        "isRequired": False,
                        "isSecret": True,
                    },
                    {
                        "name": "RUNAPI_SANDBOX",
                        "description": "1 to practise without a key or a cost.",
                        "isRequired": False,
                        "isSecret": False,
                    },
                ],
            }
        ],
    }


def _started(key: str) -> dict[str, object]:
    """The entry that most hosts share; `key` is how the host names the user's own variable."""
    return {"command": COMMAND, "args": list(ARGUMENTS), "env": {KEY: key}}


def _claude_code() -> dict[str, object]:
    timeout_ms = CALL_TIMEOUT_SECONDS * 1000
    entry = {"type": "stdio", **_started(f"${{{KEY}}}"), "timeout": timeout_ms}
    return {"mcpServers": {"runapi": entry}}


def _vs_code() -> dict[str, object]:
    return {
        "inputs": [
            {
                "type": "promptString",
                "id": "runapi-api-key",
                "description": "RunAPI API key",
                "password": True,
            }
        ],
        "servers": {"runapi": {"type": "stdio", **_started("${input:runapi-api-key}")}},
    }


def _codex() -> str:
    return (
        "[mcp_servers.runapi]\n"
        f"command = {json.dumps(COMMAND)}\n"
        f"args = {json.dumps(list(ARGUMENTS))}\n"
        "# Codex hands a server only the variables named here.\n"
        f"env_vars = {json.dumps([KEY])}\n"
        "startup_timeout_sec = 60\n"
        f"tool_timeout_sec = {CALL_TIMEOUT_SECONDS}\n"
    )


def _with_blocks(readme: str) -> str:
    """The README with its generated blocks anew."""
    entries = _manifests()
    blocks = {
        "tools": _tools_table(),
        "codex": f"```toml\n{entries['codex.config.toml']}```",
        "cursor": f"```json\n{entries['cursor.mcp.json']}```",
        "registry": f"<!-- mcp-name: {registry_name()} -->",
    }
    for name, text in blocks.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        readme = marked.sub(lambda found, text=text: f"{found[1]}{text}\n{found[2]}", readme)
    return readme


def _tools_table() -> str:
    rows = ["| tool | what for | price of a call |", "| --- | --- | --- |"]
    rows += [
        f"| `{v.tool_name}` | {v.purpose} | {v.price_words or UNPUBLISHED} |" for v in VARIANTS
    ]
    for tool in offered(()):
        rows.append(f"| `{tool.name}` | {tool.description} | free |")
    rows.append("")
    rows.append(
        f"Prices are RunAPI's published ones of {SNAPSHOT_AS_OF}; `check_pricing` asks live."
    )
    return "\n".join(rows)


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
