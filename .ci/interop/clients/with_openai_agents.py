"""An agent of openai-agents. Usage: COMMAND..."""

import asyncio
import os
import sys

from agents import Agent, OpenAIResponsesModel, Runner, set_tracing_disabled
from agents.mcp import MCPServerStdio
from model_stand_in import model_stand_in
from openai import AsyncOpenAI

CALL_SECONDS = 120


async def main(command: str, *arguments: str) -> None:
    set_tracing_disabled(disabled=True)
    started = {"command": command, "args": arguments, "env": dict(os.environ)}
    async with MCPServerStdio(started, client_session_timeout_seconds=CALL_SECONDS) as server:
        with model_stand_in() as url:
            api = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
            model = OpenAIResponsesModel("stand-in", api)
            await Runner.run(Agent("drawer", model=model, mcp_servers=[server]), "draw")


asyncio.run(main(*sys.argv[1:]))
