"""What hosts see of the server, committed so that a change of it is a visible line in a review."""

from collections.abc import Mapping
from typing import Any

from publishing.json_file import as_json
from publishing.project import Project
from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.server import describe
from runapi_mcp.tools import offered


def files(project: Project) -> Mapping[str, str]:
    """The answer to tools/list."""
    return {"manifests/tools.json": as_json(tools())}


def tools() -> list[dict[str, Any]]:
    """Each tool as the wire has it."""
    each = (describe(tool) for tool in offered(VARIANTS))
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in each]
