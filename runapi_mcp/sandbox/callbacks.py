"""Callbacks: a finished task posted to the address its maker named, on this machine only."""

import logging

import anyio

from runapi_mcp.base.sockets import is_loopback
from runapi_mcp.sandbox.answers import envelope
from runapi_mcp.sandbox.task_store import Accounts, StoredTask

logger = logging.getLogger(__name__)

CALLBACK_SECONDS = 5.0


async def call_back(url: str, task: StoredTask, accounts: Accounts) -> None:
    """Post the task's envelope once it has ended. One try; a callback is only a hint."""
    # Imported here, as few tasks name a callback.
    import httpx

    if task.script.never_ends or not is_loopback(url):
        return
    await anyio.sleep(max(0.0, task.started + task.seconds - accounts.clock()))
    body = {**envelope(task, task.status(accounts.clock())), "sandbox": True}
    try:
        async with httpx.AsyncClient(timeout=CALLBACK_SECONDS, trust_env=False) as client:
            await client.post(url, json=body)
    except httpx.HTTPError as error:
        logger.warning("the callback to %s failed: %s", url, error)
