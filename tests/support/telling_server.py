"""A server whose one tool tells when its answers are out, and when its requests came.

Run as a program it serves stdio, and tells on stderr.
"""

import sys
from collections.abc import Callable
from typing import Any, Final

import anyio
from mcp.server.lowlevel import Server
from mcp_types import CallToolRequestParams, CallToolResult, TextContent

from runapi_mcp.base.background import Background
from runapi_mcp.server.arrivals import arrived_at
from runapi_mcp.server.client_capabilities import Context
from runapi_mcp.server.delivery_confirmations import confirm_when_sent
from runapi_mcp.transports.stdio import serve_stdio

TOOL: Final = "tell"
PIPE_BYTES: Final = 65_536
"""What a pipe holds that nobody reads."""


def telling_server(
    tell: Callable[[int], None], came: Callable[[int, float], None] | None = None
) -> Server[Any]:
    """A call has a number, the seconds it takes, its words of progress, and how long its answer is.

    `tell` is called with the number once the answer is out, `came` at the end of a call.
    """

    async def call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
        asked = params.arguments or {}
        number = int(asked["number"])
        for step in range(int(asked.get("words", 0))):
            await context.session.report_progress(step)
        await anyio.sleep(float(asked.get("seconds", 0)))

        async def confirm() -> None:
            await anyio.lowlevel.checkpoint()
            tell(number)

        if came is not None:
            came(number, arrived_at())
        await confirm_when_sent(context.request_id, confirm)
        return CallToolResult(content=[TextContent(text="x" * int(asked.get("size", 1)))])

    return Server("telling", on_call_tool=call_tool, get_tool_input_schema=lambda _: None)


def _print(number: int) -> None:
    print(f"out {number}.", file=sys.stderr, flush=True)  # noqa: T201 - a program's own words


if __name__ == "__main__":
    anyio.run(serve_stdio, telling_server(_print), Background())
