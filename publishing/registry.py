"""The entry of the MCP Registry."""

from collections.abc import Mapping
from typing import Final

from publishing.json_file import as_json
from publishing.project import Project
from runapi_mcp.base.hosts.host import KEY_VARIABLE
from runapi_mcp.base.identity import DESCRIPTION, REGISTRY_NAME, TITLE

SCHEMA: Final = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"


def files(project: Project) -> Mapping[str, str]:
    """`server.json`, which `mcp-publisher publish` sends."""
    return {"manifests/server.json": as_json(_entry(project))}


def _entry(project: Project) -> dict[str, object]:
    return {
        "$schema": SCHEMA,
        "name": REGISTRY_NAME,
        "title": TITLE,
        "description": DESCRIPTION,
        "repository": {"url": project.repository, "source": "github"},
        "version": project.version,
        "packages": [
            {
                "registryType": "pypi",
                "identifier": project.package,
                "version": project.version,
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "environmentVariables": [
                    _variable(
                        KEY_VARIABLE, "RunAPI API key; RUNAPI_SANDBOX=1 needs none.", secret=True
                    ),
                    _variable("RUNAPI_SANDBOX", "1 to practise without a key or a cost."),
                ],
            }
        ],
    }


def _variable(name: str, description: str, *, secret: bool = False) -> dict[str, object]:
    return {"name": name, "description": description, "isRequired": False, "isSecret": secret}
