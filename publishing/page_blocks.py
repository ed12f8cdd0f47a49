"""The generated blocks of the README and the pages that it names first."""

from collections.abc import Mapping

from publishing import host_entries
from publishing.project import Project
from runapi_mcp.base.catalog import SNAPSHOT_AS_OF, VARIANTS
from runapi_mcp.base.identity import REGISTRY_NAME
from runapi_mcp.tools import offered

_UNPRICED = "not published; ask `check_pricing`"


def page_blocks(project: Project) -> Mapping[str, str]:
    """What stands between the markers, by their name."""
    return {
        "tools": _tools_table(),
        "codex": f"```toml\n{host_entries.codex(project)}```",
        "cursor": f"```json\n{host_entries.cursor(project)}```",
        "registry": f"<!-- mcp-name: {REGISTRY_NAME} -->",
    }


def _tools_table() -> str:
    rows = ["| tool | what for | price of a call |", "| --- | --- | --- |"]
    rows += [f"| `{v.tool_name}` | {v.purpose} | {v.price_words or _UNPRICED} |" for v in VARIANTS]
    rows += [f"| `{tool.name}` | {tool.description} | free |" for tool in offered(())]
    rows += [
        "",
        f"Prices are RunAPI's published ones of {SNAPSHOT_AS_OF}; `check_pricing` asks live.",
    ]
    return "\n".join(rows)
