"""A finished task is posted to the address its maker named, on this machine only and only once."""

import logging

import httpx
import pytest

from runapi_mcp.sandbox.app import Sandbox
from tests.support.receiver import Receiver

pytestmark = pytest.mark.anyio

DRAW = "/api/v1/flux_2/text_to_image"


@pytest.fixture
def anyio_backend() -> str:
    """Real time, as there are sockets."""
    return "asyncio"


@pytest.fixture
def sandbox() -> Sandbox:
    """It draws at once; in one process, a create ends with its callback."""
    return Sandbox(draw_seconds=0)


async def created(
    client: httpx.AsyncClient, callback_url: str, prompt: str = "a red fox", key: str = "one"
) -> str:
    body = {
        "model": "flux-2-pro-text-to-image",
        "prompt": prompt,
        "callback_url": callback_url,
    }
    response = await client.post(DRAW, json=body, headers={"Idempotency-Key": key})
    assert response.status_code == 202
    return response.json()["id"]


@pytest.mark.parametrize("prompt", ["a red fox", "a red fox [[fail: no foxes today]]"])
async def test_a_finished_task_is_posted_as_its_own_address_gives_it(
    client: httpx.AsyncClient, receiver: Receiver, prompt: str
) -> None:
    task_id = await created(client, receiver.url(), prompt)
    task = (await client.get(f"{DRAW}/{task_id}")).json()
    assert [(each.path, each.body) for each in receiver.received] == [("/done", task)]
    assert task["sandbox"]


async def test_a_create_repeated_with_its_idempotency_key_makes_no_second_callback(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    ids = [await created(client, receiver.url(), key=key) for key in ("one", "one", "two")]
    assert ids[0] == ids[1]
    assert [each.body["id"] for each in receiver.received] == [ids[0], ids[2]]


async def test_nothing_is_posted_for_a_task_that_never_ends(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    await created(client, receiver.url(), "a red fox [[never]]")
    assert receiver.received == []


# 127.1 reaches the receiver as well, but does not say that it is this machine.
@pytest.mark.parametrize(("host", "count"), [("localhost", 1), ("127.1", 0)])
async def test_only_an_address_that_names_this_machine_is_called(
    client: httpx.AsyncClient, receiver: Receiver, host: str, count: int
) -> None:
    await created(client, receiver.url(host))
    assert len(receiver.received) == count


async def test_a_callback_that_nobody_takes_harms_nothing(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    task_id = await created(client, "http://127.0.0.1:1/")
    assert (await client.get(f"{DRAW}/{task_id}")).json()["status"] == "completed"
    warned = [record.levelno for record in caplog.records if "callback" in record.message]
    assert warned == [logging.WARNING]
