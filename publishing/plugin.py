"""One folder that is a plugin of Claude Code, a plugin of Codex and an extension of Gemini CLI.

Each program reads its own manifest in it; the skill, the page and the icon are shared. The
marketplaces stand where the programs look for them: at the repository's root.
"""

from collections.abc import Mapping
from typing import Final

from publishing import skill
from publishing.host_entries import entry
from publishing.json_file import as_json
from publishing.project import ICON, Project
from runapi_mcp.base.hosts.host import ENTRY_NAME, KEY_VARIABLE
from runapi_mcp.base.identity import DESCRIPTION, TITLE
from runapi_mcp.base.settings.keys import KEY_PAGE

PLUGIN_FOLDER: Final = "manifests/plugin"
CODEX_SERVERS: Final = "codex.mcp.json"
"""A file of its own: only Codex needs to be told which variables a server may have."""


def files(project: Project) -> Mapping[str, str]:
    """The plugin, and both marketplaces that offer it."""
    inside = {
        ".claude-plugin/plugin.json": as_json(_claude(project)),
        # No `env`: the user's variables are handed on, and an unset ${VAR} arrives literally.
        ".mcp.json": as_json(_servers(project, "claude-code")),
        ".codex-plugin/plugin.json": as_json(_codex(project)),
        CODEX_SERVERS: as_json(_servers(project, "codex")),
        "gemini-extension.json": as_json(_gemini(project)),
        f"skills/{skill.NAME}/SKILL.md": skill.text(project),
        "README.md": _page(project),
    }
    return {
        **{f"{PLUGIN_FOLDER}/{name}": text for name, text in inside.items()},
        ".claude-plugin/marketplace.json": as_json(_claude_marketplace(project)),
        ".agents/plugins/marketplace.json": as_json(_codex_marketplace(project)),
    }


def _common(project: Project) -> dict[str, object]:
    """What Claude Code and Codex want to know of any plugin."""
    return {
        "name": ENTRY_NAME,
        "version": project.version,
        "description": DESCRIPTION,
        "author": project.authors,
        "homepage": project.repository,
        "repository": project.repository,
        "license": project.license,
        "keywords": list(project.keywords),
    }


def _claude(project: Project) -> dict[str, object]:
    return {**_common(project), "displayName": TITLE}


def _servers(project: Project, host: str, *handed_on: str) -> dict[str, object]:
    """The plugin's one server, as a host wants it written."""
    return {"mcpServers": {ENTRY_NAME: entry(host, project.starts.pinned, *handed_on)}}


def _codex(project: Project) -> dict[str, object]:
    return {
        **_common(project),
        "skills": "./skills/",
        "mcpServers": f"./{CODEX_SERVERS}",
        "interface": {
            "displayName": TITLE,
            "shortDescription": "Draw and edit images with Flux 2",
            "longDescription": DESCRIPTION,
            "developerName": str(project.authors["name"]),
            "category": "Creativity",
            "capabilities": ["Interactive", "Write"],
            "websiteURL": project.repository,
            "defaultPrompt": [
                "Draw a hero image for this project's page.",
                "What does a picture cost?",
            ],
            "composerIcon": f"./{ICON}",
            "logo": f"./{ICON}",
        },
    }


def _gemini(project: Project) -> dict[str, object]:
    return {
        "name": ENTRY_NAME,
        "version": project.version,
        "description": DESCRIPTION,
        # Gemini keeps variables that look like secrets from servers that do not name them.
        **_servers(project, "gemini", KEY_VARIABLE),
    }


def _claude_marketplace(project: Project) -> dict[str, object]:
    return {
        "name": project.package,
        "description": f"{TITLE}, for Claude Code.",
        "owner": project.authors,
        "plugins": [
            {
                "name": ENTRY_NAME,
                "source": f"./{PLUGIN_FOLDER}",
                "description": DESCRIPTION,
                "category": "design",
            }
        ],
    }


def _codex_marketplace(project: Project) -> dict[str, object]:
    return {
        "name": project.package,
        "interface": {"displayName": TITLE},
        "plugins": [
            {
                "name": ENTRY_NAME,
                "source": {"source": "local", "path": f"./{PLUGIN_FOLDER}"},
                "policy": {"installation": "AVAILABLE", "authentication": "ON_INSTALL"},
                "category": "Creativity",
            }
        ],
    }


def _page(project: Project) -> str:
    command = " ".join((project.starts.pinned.command, *project.starts.pinned.args))
    return f"""# {TITLE}

Draws and edits images with Black Forest Labs' Flux 2 through [RunAPI]({KEY_PAGE}): one checked
tool per variant, the price before a call and the charge after it, pictures saved on your disk, and
a task id to come back to. The skill in it teaches an agent to choose a variant, ask the price,
wait, save and remix.

It starts `{command}`, so
[uv](https://docs.astral.sh/uv/) must be installed. The key is read from `{KEY_VARIABLE}`, or from \
where
`runapi-mcp login` saved it; `RUNAPI_SANDBOX=1` practises without a key and without a cost.

The folder is a plugin of Claude Code and of Codex, and an extension of Gemini CLI:

```sh
claude plugin marketplace add {project.owner}/{project.package}
claude plugin install {ENTRY_NAME}@{project.package}

codex plugin marketplace add {project.owner}/{project.package}
codex plugin add {ENTRY_NAME}@{project.package}

gemini extensions install ./{PLUGIN_FOLDER}  # from a clone
```

What it may spend, where pictures go and every setting: [the project's page]({project.repository}).
"""
