"""Clients of the sandbox's Runflow, with and without a key."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from runapi_mcp.sandbox.app import Sandbox
from tests.support.runflow_client import authorized
from tests.support.world import BASE_URL, Wire


@pytest.fixture
async def anybody(sandbox: Sandbox) -> AsyncGenerator[httpx.AsyncClient]:
    """A client without a key."""
    base_url = f"{BASE_URL}/runflow"
    async with httpx.AsyncClient(transport=Wire(sandbox), base_url=base_url) as client:
        yield client


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncGenerator[httpx.AsyncClient]:
    """A client with a key."""
    async with httpx.AsyncClient(
        transport=Wire(sandbox), base_url=f"{BASE_URL}/runflow", headers=authorized()
    ) as client:
        yield client
