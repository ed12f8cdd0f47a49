"""Names that hosts add to the arguments of any tool: dropped, and told."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from pydantic import MISSING

from runapi_mcp.tools.tool import RawArguments, Tool, ToolResult

HOST_ADDED: Final[Mapping[str, str]] = {
    "wait_for_previous": "Gemini CLI: measured, and google-gemini/gemini-cli#27403",
    "waitForPreviousTools": "Antigravity: its own tools' schemas, as its rules files quote them",
    "toolAction": "Antigravity: reported",
    "toolSummary": "Antigravity: reported",
    "security_risk": "OpenHands: OpenHands/software-agent-sdk#300",
    "toolCallId": "n8n, MCP Client Tool: n8n-io/n8n#21500 and #21716",
    "tool": "n8n, MCP Client Tool: n8n-io/n8n#21500",
    "sessionId": "n8n, behind a chat trigger: sansan0/TrendRadar#768",
    "action": "n8n, behind a chat trigger: sansan0/TrendRadar#768",
    "chatInput": "n8n, behind a chat trigger: sansan0/TrendRadar#768",
}
"""What hosts send along for themselves: the client, and where that was seen. It means nothing."""


def split_added(tool: Tool, raw: RawArguments) -> tuple[RawArguments, list[str]]:
    """The arguments that are the caller's own, and the names that its host added."""
    known = {name for model in tool.inputs for name in model.model_fields}
    added = [name for name in raw if name in HOST_ADDED and name not in known]
    return {name: raw[name] for name in raw if name not in added}, added


def name_added(result: ToolResult, added: Sequence[str]) -> ToolResult:
    """The result; where names were dropped, its notice says which."""
    if not added:
        return result
    told = f"Not used, because hosts add them for themselves: {', '.join(added)}."
    said = getattr(result.facts, "notice", MISSING)
    notice = told if said is MISSING else f"{said} {told}"
    return replace(result, facts=result.facts.model_copy(update={"notice": notice}))
