"""The MCP bundle that Claude Desktop installs: the program's own source, started by uv.

What uv would choose by itself is held to the versions that the project is checked with.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from publishing.json_file import as_json
from publishing.plugin import ICON, PLUGIN_FOLDER
from publishing.project import Project
from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.hosts.host import KEY_VARIABLE
from runapi_mcp.base.identity import DESCRIPTION, TITLE
from runapi_mcp.base.settings.keys import KEY_PAGE
from runapi_mcp.setup.install.start_command import PACKAGE
from runapi_mcp.tools import offered

BUNDLE_FOLDER: Final = "manifests/mcpb"
PROGRAM: Final = "runapi_mcp"
"""The program's folder, in the repository and in the bundle."""


def files(project: Project) -> Mapping[str, str]:
    """The bundle's own files; `bundled` adds the program."""
    return {
        f"{BUNDLE_FOLDER}/manifest.json": as_json(_manifest(project)),
        f"{BUNDLE_FOLDER}/pyproject.toml": _pyproject(project),
    }


def bundled(root: Path) -> Iterator[tuple[str, Path]]:
    """What goes into the bundle: each name in it, and the file of the repository."""
    for path in sorted((root / PROGRAM).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(root).as_posix(), path
    for name in ("manifest.json", "pyproject.toml"):
        yield name, root / BUNDLE_FOLDER / name
    yield "icon.png", root / PLUGIN_FOLDER / ICON
    yield "README.md", root / PLUGIN_FOLDER / "README.md"
    yield "LICENSE", root / "LICENSE"


def _manifest(project: Project) -> dict[str, object]:
    return {
        "manifest_version": "0.4",
        "name": project.package,
        "display_name": TITLE,
        "version": project.version,
        "description": DESCRIPTION,
        "author": project.authors,
        "repository": {"type": "git", "url": project.repository},
        "homepage": project.repository,
        "documentation": f"{project.repository}#readme",
        "support": f"{project.repository}/issues",
        "icon": "icon.png",
        "server": {
            "type": "uv",
            "entry_point": f"{PROGRAM}/__main__.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", "python", "-m", PROGRAM],
                "env": {
                    KEY_VARIABLE: "${user_config.api_key}",
                    "RUNAPI_OUTPUT_DIR": "${user_config.output_dir}",
                    "RUNAPI_DAILY_BUDGET": "${user_config.daily_budget}",
                    "RUNAPI_SANDBOX": "${user_config.sandbox}",
                },
            },
        },
        "tools": [
            {"name": tool.name, "description": tool.description} for tool in offered(VARIANTS)
        ],
        "keywords": list(project.keywords),
        "license": project.license,
        "compatibility": {
            "platforms": ["darwin", "win32", "linux"],
            "runtimes": {"python": project.python},
        },
        "user_config": _asked(),
    }


def _asked() -> dict[str, object]:
    """What Claude Desktop asks its user; nothing of it is needed to start."""
    return {
        "api_key": {
            "type": "string",
            "title": "RunAPI API key",
            "description": f"From {KEY_PAGE}. Empty: the key of `{PACKAGE} login`, if any.",
            "sensitive": True,
            "required": False,
        },
        "output_dir": {
            "type": "directory",
            "title": "Folder for pictures",
            "description": "Empty: a folder called runapi in your pictures.",
            "required": False,
        },
        "daily_budget": {
            "type": "string",
            "title": "Most to spend a day",
            "description": "In US dollars, such as 2. Empty: no limit.",
            "required": False,
        },
        "sandbox": {
            "type": "boolean",
            "title": "Practise",
            "description": "The sandbox: practice pictures, without a key and without a cost.",
            "required": False,
            "default": False,
        },
    }


def _pyproject(project: Project) -> str:
    return (
        "[project]\n"
        f"name = {json.dumps(project.package + '-bundle')}\n"
        f"version = {json.dumps(project.version)}\n"
        f"requires-python = {json.dumps(project.python)}\n"
        f"dependencies = {_list(project.dependencies)}\n"
        "\n"
        "[tool.uv]\n"
        "package = false\n"
        f"constraint-dependencies = {_list(project.constraints)}\n"
    )


def _list(items: tuple[str, ...]) -> str:
    return "[\n" + "".join(f"    {json.dumps(item)},\n" for item in items) + "]"
