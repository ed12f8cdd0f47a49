"""An agent of pydantic-ai. Usage: COMMAND..."""

import asyncio
import os
import sys

from fastmcp.client.transports import StdioTransport
from model_stand_in import model_stand_in
from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


async def main(command: str, *arguments: str) -> None:
    server = MCPToolset(StdioTransport(command, list(arguments), env=dict(os.environ)))
    with model_stand_in() as url:
        model = OpenAIResponsesModel("stand-in", provider=OpenAIProvider(url, api_key="none"))
        async with Agent(model, toolsets=[server]) as agent:
            await agent.run("draw")


asyncio.run(main(*sys.argv[1:]))
