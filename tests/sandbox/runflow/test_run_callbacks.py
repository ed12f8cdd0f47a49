"""A finished run is posted, signed, to the address its maker named: on this machine only."""

import hmac
from hashlib import sha256

import httpx
import pytest

from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.sandbox.runflow.run_routes import CALLBACK_SECRET
from tests.support.receiver import Receiver
from tests.support.runflow_client import create_run, order, read_run

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Real time, as there are sockets."""
    return "asyncio"


@pytest.fixture
def sandbox() -> Sandbox:
    """It draws at once; in one process, a create ends with its callback."""
    return Sandbox(draw_seconds=0)


@pytest.mark.parametrize(
    ("prompt", "event", "status"),
    [
        ("a red fox", "run.completed", "succeeded"),
        ("a red fox [[fail: no foxes today]]", "run.failed", "failed"),
        ("a red fox [[ends canceled]]", "run.cancelled", "canceled"),
        ("a red fox [[ends partial_succeeded]]", "run.partial_succeeded", "partial_succeeded"),
    ],
)
async def test_a_finished_run_is_posted_once_as_an_event_of_its_own_form(
    client: httpx.AsyncClient, receiver: Receiver, prompt: str, event: str, status: str
) -> None:
    body = {**order(prompt), "callback_url": receiver.url(), "metadata": {"mine": 1}}
    run = await read_run(client, await create_run(client, body))
    [posted] = receiver.received
    same = ("duration_ms", "created_at", "completed_at")
    assert {name: posted.body[name] for name in same} == {name: run[name] for name in same}
    told = {name: posted.body[name] for name in ("event", "run_id", "status", "metadata")}
    expected = {"event": event, "run_id": run["id"], "status": status, "metadata": {"mine": 1}}
    assert told == expected
    failed = {"code": run["failure_code"], "message": run["failure_message"]}
    assert posted.body["output"] == (run["output"] or failed)


async def test_a_callback_is_signed_over_its_very_bytes(
    client: httpx.AsyncClient, receiver: Receiver
) -> None:
    await create_run(client, {**order(), "callback_url": receiver.url()})
    [posted] = receiver.received
    signature = hmac.new(CALLBACK_SECRET.encode(), posted.content, sha256).hexdigest()
    assert posted.headers["Runflow-Signature"] == signature


@pytest.mark.parametrize("prompt", ["a red fox", "a red fox [[never]]"])
async def test_nothing_is_posted_to_other_machines_or_of_a_run_that_never_ends(
    client: httpx.AsyncClient, receiver: Receiver, prompt: str
) -> None:
    # 127.1 reaches the receiver as well, but does not say that it is this machine.
    host = "127.0.0.1" if "never" in prompt else "127.1"
    await create_run(client, {**order(prompt), "callback_url": receiver.url(host)})
    assert receiver.received == []
