"""Links that install the server with one click."""

import base64
import json
from collections.abc import Mapping
from urllib.parse import quote

from publishing.host_entries import asked_key, entry, vs_code
from publishing.project import Project
from runapi_mcp.base.hosts.host import ENTRY_NAME


def files(project: Project) -> Mapping[str, str]:
    """The links on a page of their own."""
    return {"manifests/links.md": f"# Install links\n\n{install_links(project)}\n"}


def install_links(project: Project) -> str:
    """A list of them, in Markdown. GitHub shows no link but to the web, so the rest is text."""
    code, insiders = _vs_code(project, "vscode"), _vs_code(project, "vscode-insiders")
    return "\n".join(
        [
            f"- [Install in Cursor]({_cursor(project)})",
            f"- [Install in VS Code]({_on_the_web(code)}) or [Insiders]({_on_the_web(insiders)})",
            "",
            "The same as addresses of the programs themselves, for where those pages are blocked:",
            "",
            f"```\n{_cursor_own(project)}\n{code}\n```",
        ]
    )


def _cursor(project: Project) -> str:
    return f"https://cursor.com/en/install-mcp?{_cursor_query(project)}"


def _cursor_own(project: Project) -> str:
    return f"cursor://anysphere.cursor-deeplink/mcp/install?{_cursor_query(project)}"


def _cursor_query(project: Project) -> str:
    given = entry("cursor", project.starts.newest)
    config = base64.b64encode(_compact(given).encode()).decode()
    return f"name={ENTRY_NAME}&config={quote(config, safe='')}"


def _vs_code(project: Project, scheme: str) -> str:
    given = {"name": ENTRY_NAME, **vs_code(project.starts.newest), "inputs": [asked_key()]}
    return f"{scheme}:mcp/install?{quote(_compact(given), safe='')}"


def _on_the_web(link: str) -> str:
    return f"https://vscode.dev/redirect?url={quote(link, safe='')}"


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
