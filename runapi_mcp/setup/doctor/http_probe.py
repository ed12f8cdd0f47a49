"""Connecting to a server that runs elsewhere, as its host would."""

from collections.abc import Mapping
from typing import Final, cast

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from runapi_mcp.setup.doctor.probe import Trial

CONNECT_SECONDS: Final = 5.0


async def visited(url: str, headers: Mapping[str, str], wait_seconds: float) -> Trial:
    """What the server at an address says; `not_started` says why it does not."""
    trial = Trial(not_started=f"no answer within {wait_seconds:g} s")
    began = anyio.current_time()
    try:
        with anyio.move_on_after(wait_seconds):
            await _look(url, headers, trial)
            trial.started_seconds = anyio.current_time() - began
            trial.not_started = ""
    except Exception as error:  # noqa: BLE001 - an address can fail in any way, and each is an answer
        trial.not_started = _innermost(error)
    return trial


async def _look(url: str, headers: Mapping[str, str], trial: Trial) -> None:
    timeout = httpx2.Timeout(CONNECT_SECONDS, read=None)
    async with (
        httpx2.AsyncClient(headers=dict(headers), timeout=timeout) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        info = client.server_info
        trial.server, trial.version = (info.name, info.version) if info else ("", "")
        trial.tools = tuple(tool.name for tool in (await client.list_tools()).tools)


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return next(iter(str(error).splitlines()), type(error).__name__)
