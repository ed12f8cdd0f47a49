"""A sandbox, and clients of it with and without a key."""

from collections.abc import AsyncGenerator, Iterator

import httpx
import pytest

from runapi_mcp.sandbox.app import Sandbox
from tests.support.receiver import Receiver, receiving
from tests.support.world import BASE_URL, KEY, Wire


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
async def anybody(sandbox: Sandbox) -> AsyncGenerator[httpx.AsyncClient]:
    """A client without a key."""
    async with httpx.AsyncClient(transport=Wire(sandbox), base_url=BASE_URL) as client:
        yield client


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncGenerator[httpx.AsyncClient]:
    """A client with a key."""
    async with httpx.AsyncClient(
        transport=Wire(sandbox), base_url=BASE_URL, headers={"Authorization": f"Bearer {KEY}"}
    ) as client:
        yield client
