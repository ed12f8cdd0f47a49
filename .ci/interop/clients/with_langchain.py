"""langchain's agent, with the tools of langchain-mcp-adapters. Usage: ENDPOINT, or a COMMAND..."""

import asyncio
import os
import sys

from langchain.agents import create_agent
from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_openai import ChatOpenAI
from model_stand_in import model_stand_in


async def main(first: str, *rest: str) -> None:
    server = {"transport": "stdio", "command": first, "args": rest, "env": dict(os.environ)}
    if first.startswith("http"):
        server = {"transport": "streamable_http", "url": first}
    tools = await MultiServerMCPClient({"runapi": server}).get_tools()
    with model_stand_in() as url:
        model = ChatOpenAI(model="stand-in", base_url=url, api_key="none", max_retries=0)
        await create_agent(model, tools).ainvoke({"messages": "draw"})


asyncio.run(main(*sys.argv[1:]))
