"""The client of fastmcp. Usage: ENDPOINT, or a COMMAND..."""

import asyncio
import os
import sys

from conversation import next_call, report
from fastmcp import Client
from fastmcp.client.transports import StdioTransport
from fastmcp.exceptions import ToolError


async def main(first: str, *rest: str) -> None:
    stdio = StdioTransport(first, list(rest), env=dict(os.environ))
    async with Client(first if first.startswith("http") else stdio) as client:
        tools = [tool.name for tool in await client.list_tools()]
        answers, sent = [], []
        while call := next_call(answers):
            try:
                result = await client.call_tool(*call)
            except ToolError as refused:
                answers.append(str(refused))
            else:
                answers.append(result.content[0].text)
                sent.append(
                    [block.model_dump(by_alias=True, mode="json") for block in result.content]
                )
    if len(sent) == len(answers):
        sys.exit("no call was refused as an error")
    report(tools, answers, sent)


asyncio.run(main(*sys.argv[1:]))
