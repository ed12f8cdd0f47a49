"""Who has a picture drawn and waits for it: our server, or a plain loop that polls."""

import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, cast
from uuid import uuid4

import anyio
import httpx
from host import RUNAPI_MCP, Json, clean_environ
from loopback import KEY, Loopback
from mcp import Client, MCPError, StdioServerParameters

WAIT_SECONDS: Final = 120

_TOOL: Final = "flux_2_pro_text_to_image"
_PATH: Final = "/api/v1/flux_2/text_to_image"
_MODEL: Final = "flux-2-pro-text-to-image"
_LONGEST_REQUEST_SECONDS: Final = 60.0

Draw = Callable[[str], Awaitable[str | None]]
"""Has a prompt drawn; returns with the task's id once the client has it, None if it never came."""
Waiter = Callable[[Loopback], AbstractAsyncContextManager[Draw]]
"""Begins to serve one client on this RunAPI."""


@asynccontextmanager
async def our_server(runapi: Loopback) -> AsyncGenerator[Draw]:
    """Our server in a process and a home of its own, asked by an MCP client over stdio.

    It takes no picture home, as the pollers take none: benchmarks/pictures.py measures that.
    """
    with clean_environ() as environ:
        environ["RUNAPI_BASE_URL"] = runapi.base_url
        environ["RUNAPI_API_KEY"] = KEY
        environ["RUNAPI_SAVE"] = environ["RUNAPI_PREVIEW"] = "off"
        environ["XDG_STATE_HOME"] = str(Path(environ["HOME"], "state"))
        server = StdioServerParameters(command=RUNAPI_MCP[0], args=[*RUNAPI_MCP[1:]], env=environ)
        async with Client(server) as client:
            yield partial(_call, client)


@asynccontextmanager
async def poller(every_seconds: float, runapi: Loopback) -> AsyncGenerator[Draw]:
    """A loop that looks at its task so often, first after as long."""
    async with httpx.AsyncClient(
        base_url=runapi.base_url,
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=_LONGEST_REQUEST_SECONDS,
        limits=httpx.Limits(),  # none: a crowd would wait for places
        trust_env=False,
    ) as http:
        yield partial(_poll, http, every_seconds)


async def _call(client: Client, prompt: str) -> str | None:
    arguments: Json = {"prompt": prompt, "wait_seconds": WAIT_SECONDS}
    try:
        result = await client.call_tool(_TOOL, arguments)
    except MCPError as error:
        return _not_delivered(error)
    facts = cast("Json", result.structured_content or {})
    if facts.get("status") != "completed":
        return _not_delivered(facts or result.content)
    return str(facts["task_id"])


def _not_delivered(reason: object) -> None:
    print(f"not delivered: {reason}", file=sys.stderr)


async def _poll(http: httpx.AsyncClient, every_seconds: float, prompt: str) -> str | None:
    body, headers = {"model": _MODEL, "prompt": prompt}, {"Idempotency-Key": str(uuid4())}
    task = (await http.post(_PATH, json=body, headers=headers)).raise_for_status().json()
    with anyio.move_on_after(WAIT_SECONDS):
        while task["status"] != "completed":
            await anyio.sleep(every_seconds)
            task = (await http.get(f"{_PATH}/{task['id']}")).raise_for_status().json()
        return str(task["id"])
    return None
