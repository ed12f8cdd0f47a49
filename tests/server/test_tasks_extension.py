"""The Tasks extension: a client that speaks it gets a task at once and asks for it by itself."""

import json
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import anyio
import httpx
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.extension import advertise
from mcp.client.streamable_http import streamable_http_client
from mcp_types import Implementation, Request
from pydantic import RootModel

from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.tools.facts import utc
from tests.support.ledgers import ledger_at
from tests.support.processes import LIMIT_SECONDS, QUICK, Network, network, program
from tests.support.world import KEY, NOON, Pass, Sent, World, clock, facts, world

pytestmark = pytest.mark.anyio
Json = dict[str, Any]  # Any: JSON as the protocol has it

DRAW = "flux_2_pro_text_to_image"
FLUX = "flux-2-pro-text-to-image"
TASKS = "io.modelcontextprotocol/tasks"
SPEAKS: Json = {"extensions": [advertise(TASKS)]}
FOX = {"prompt": "a fox [[takes 12s]]"}
NEEDED: Json = {"requiredCapabilities": {"extensions": {TASKS: {}}}}
METHODS = ("tasks/get", "tasks/update", "tasks/cancel")


async def nobody(*question: object) -> NoReturn:
    """Whoever can be asked, but is not in these tests."""
    raise AssertionError(question)


class Bare(RootModel[Json]):
    """An answer as it came."""


async def test_a_drawing_call_is_answered_with_a_task_at_once() -> None:
    async with world(client=SPEAKS) as w:
        task = await ordered(w, **FOX, wait_seconds=60)
        [runapi_id] = w.sandbox.accounts.of(KEY).tasks
        assert task == {
            "resultType": "task",
            "taskId": f"{runapi_id}.{FLUX}.{NOON:.0f}.0",
            "status": "working",
            "createdAt": task["createdAt"],
            "lastUpdatedAt": task["createdAt"],
            "ttlMs": 7 * 86_400_000,
            "pollIntervalMs": pytest.approx(2000, abs=5),
        }
        assert task["createdAt"][:16].replace("T", " ") == utc(NOON)[:16]
        assert anyio.current_time() == 0


async def test_a_host_that_keeps_a_tasks_picture_from_its_model_is_answered_plainly() -> None:
    named = SPEAKS | {"client_info": Implementation(name="claude-code", version="2.1.332")}
    async with world(client=named) as w:
        assert facts(await w.call(DRAW, FOX))["status"] == "completed"


async def test_tools_that_pay_nothing_answer_plainly() -> None:
    async with world(client=SPEAKS) as w:
        task_id = (await ordered(w, **FOX))["taskId"].partition(".")[0]
        assert facts(await w.call("get_task", {"task_id": task_id}))["status"] == "completed"
        assert facts(await w.call("check_pricing"))["prices"]


async def test_a_task_ends_with_what_the_plain_call_would_have_said() -> None:
    async with world() as plain, world(client=SPEAKS) as w:
        expected = await plain.call(DRAW, FOX)
        ended = await followed(w, await ordered(w, **FOX))
        assert ended["status"] == "completed"
        assert anyio.current_time() == pytest.approx(24, abs=3)
        [old], [new] = ([*each.sandbox.accounts.of(KEY).tasks] for each in (plain, w))
        wire = expected.model_dump_json(by_alias=True, exclude_none=True, exclude={"meta"})
        assert ended["result"] == json.loads(wire.replace(old, new))
        again = await ask(w, "tasks/get", taskId=ended["taskId"])
        assert again["result"] == ended["result"]


async def test_another_server_that_remembers_nothing_answers_for_the_task() -> None:
    async with world(client=SPEAKS) as w, world(client=SPEAKS, sandbox=w.sandbox) as other:
        task = await ordered(w, **FOX)
        ended = await followed(other, task)
        told = (await followed(w, task))["result"]["structuredContent"]
        # When it was ordered, and what today has cost, the other does not know.
        assert told.pop("image_seconds")
        assert told.pop("spent_today_cents") == 5
        assert ended["result"]["structuredContent"] == told
        assert ended["createdAt"] == task["createdAt"]
        assert w.spent_cents == 5


async def test_a_failed_image_is_a_completed_task_with_an_error() -> None:
    async with world(client=SPEAKS) as w:
        ended = await followed(w, await ordered(w, prompt="a fox [[fail: no foxes today]]"))
        assert ended["status"] == "completed"
        assert ended["result"]["isError"]
        assert ended["result"]["structuredContent"]["error"] == (
            'RunAPI\'s sandbox says: "no foxes today"'
        )


@pytest.mark.parametrize("kind", ["404", "503", "torn"])
async def test_a_passing_failure_of_a_look_leaves_a_task_working(kind: str) -> None:
    async with world(client=SPEAKS) as w:
        ended = await followed(w, await ordered(w, prompt=f"a fox [[poll {kind} x2]]"))
        assert ended["result"]["structuredContent"]["status"] == "completed"


async def test_a_client_that_asks_as_often_as_it_is_told_gets_a_look_each_time() -> None:
    async with world(client=SPEAKS) as w:
        answers = await answers_about(w, await ordered(w, **FOX))
        looks = [path for path in w.wire.paths() if path.startswith("/api/v1/flux_2/")]
        assert len(answers) == len(looks)


async def test_a_client_that_asks_too_often_makes_no_more_looks() -> None:
    async with world(client=SPEAKS) as w:
        task = await ordered(w, **FOX)
        for _ in range(240):
            await anyio.sleep(0.05)
            await ask(w, "tasks/get", taskId=task["taskId"])
        assert len(w.wire.paths()) <= 10


@pytest.mark.parametrize("method", METHODS)
async def test_a_task_of_another_key_does_not_exist(method: str) -> None:
    async with (
        aclosing(SqliteLedger.in_memory(clock)) as ledger,
        world(client=SPEAKS, ledger=ledger) as w,
        world(client=SPEAKS, ledger=ledger, sandbox=w.sandbox, key="sandbox-key-2") as other,
    ):
        task = await ordered(w, **FOX)
        with pytest.raises(MCPError) as refused:
            await about(other, method, task["taskId"])
        assert refused.value.error.code == -32602


async def test_get_task_takes_the_id_too() -> None:
    async with world(client=SPEAKS) as w:
        task = await ordered(w, **FOX)
        found = facts(await w.call("get_task", {"task_id": task["taskId"]}))
        assert task["taskId"].startswith(found["task_id"])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "form",
    ["", "a-fox", "{0}", "{0}.{1}", "{0}.{1}.1", "{0}.{1}.1.", "{0}.{1}.-1.0", "{0}.{1}.1e9.0",
     "{0}.{1}.01.0", "{0}.{1}.1.0.0", "{0}.{1}.9999999999999.0", "{0}.{1}.\u00b9.0",
     "{0}.flux-9.1.0", "../{0}.{1}.1.0", "{0}.{1}.1795176000.0",
     "{0}.{1}.253402300800.0", "{0}.{1}.1.253402300800"],
)  # fmt: skip
async def test_an_id_that_names_no_task_is_refused(method: str, form: str) -> None:
    async with world(client=SPEAKS) as w:
        with pytest.raises(MCPError) as refused:
            await about(w, method, form.format(uuid.uuid4(), FLUX))
        assert refused.value.error.code == -32602


async def test_update_and_cancel_are_acknowledged_and_the_task_tells_the_truth() -> None:
    async with world(client=SPEAKS) as w:
        task = await ordered(w, **FOX)
        assert await about(w, "tasks/update", task["taskId"]) == {"resultType": "complete"}
        assert await about(w, "tasks/cancel", task["taskId"]) == {"resultType": "complete"}
        assert (await ask(w, "tasks/get", taskId=task["taskId"]))["status"] == "working"
        assert (await followed(w, task))["result"]["structuredContent"]["cost_cents"] == 5
        assert await about(w, "tasks/cancel", task["taskId"]) == {"resultType": "complete"}


async def test_a_cancelled_task_is_continued_by_the_same_call_which_says_so() -> None:
    async with world(client=SPEAKS) as w:
        await about(w, "tasks/cancel", (await ordered(w, **FOX))["taskId"])
        task = await ordered(w, **FOX)
        assert "of the identical call" in task["statusMessage"]
        assert "joined" in (await followed(w, task))["result"]["structuredContent"]
        assert w.task_count == 1


async def test_a_call_that_continues_what_was_drawn_meanwhile_gets_it_at_once() -> None:
    async with world(client=SPEAKS) as w:
        await about(w, "tasks/cancel", (await ordered(w, **FOX))["taskId"])
        await anyio.sleep(20)
        assert "joined" in (await ordered(w, **FOX))["structuredContent"]


async def test_the_same_call_gets_the_same_task_until_a_quarter_of_an_hour_after_it_was_got() -> (
    None
):
    async with world(client=SPEAKS) as w:
        first = await ordered(w, **FOX)
        second = await ordered(w, **FOX)
        for task in (first, second):
            await followed(w, task)
        assert "joined" in (await ordered(w, **FOX))["structuredContent"]
        assert w.task_count == 1
        await anyio.sleep(15 * 60)
        assert (await ordered(w, **FOX))["resultType"] == "task"
        assert w.task_count == 2


@pytest.mark.parametrize(
    ("arguments", "limit_cents", "words"),
    [
        ({"prompt": "a fox", "aspect_ratio": "2:7"}, None, "aspect_ratio must be"),
        ({"prompt": "a fox"}, 1, "limit $0.01, this call $0.05"),
        ({"prompt": "a fox [[402]]"}, None, "Nothing was paid."),
    ],
)
async def test_a_refusal_is_a_plain_answer(
    arguments: Json, limit_cents: float | None, words: str
) -> None:
    async with world(client=SPEAKS, limits=Limits(limit_cents)) as w:
        refused = await ordered(w, **arguments)
        assert refused["isError"]
        assert words in refused["content"][0]["text"]
        assert w.task_count == 0


async def test_a_person_is_asked_before_there_is_a_task() -> None:
    client = {**SPEAKS, "elicitation_callback": nobody}
    async with world(client=client, limits=Limits(confirm_over_cents=1)) as w:
        question = await ordered(w, **FOX)
        assert question["resultType"] == "input_required"
        assert w.task_count == 0
        yes = {"confirm": {"action": "accept", "content": {"pay": "Yes, pay $0.05"}}}
        answer = {"inputResponses": yes, "requestState": question["requestState"]}
        task = await ask(w, "tools/call", name=DRAW, arguments=FOX, **answer)
        assert task["resultType"] == "task"
        assert w.task_count == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("era", "client", "code"),
    [("auto", {}, -32021), ("legacy", {}, -32601), ("legacy", SPEAKS, -32601)],
)
async def test_a_client_that_does_not_speak_of_tasks_gets_none(
    method: str, era: str, client: Json, code: int
) -> None:
    async with world(era=era, client=client) as w:
        assert facts(await w.call(DRAW, {"prompt": "a fox"}))["status"] == "completed"
        with pytest.raises(MCPError) as refused:
            await about(w, method, "a-fox")
        assert refused.value.error.code == code
        if code == -32021:
            assert refused.value.error.data == NEEDED


async def test_without_tasks_a_client_that_speaks_of_them_gets_the_image() -> None:
    async with world() as usual, world(client=SPEAKS, gives_tasks=False) as w:
        assert TASKS in (usual.client.server_capabilities.extensions or {})
        assert TASKS not in (w.client.server_capabilities.extensions or {})
        assert facts(await w.call(DRAW, {"prompt": "a fox"}))["status"] == "completed"
        with pytest.raises(MCPError) as refused:
            await about(w, "tasks/get", "a-fox")
        assert refused.value.error.code == -32601


async def test_several_are_one_task_by_the_first_ones_id_in_any_process(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    async with (
        ledger_at(path) as first,
        ledger_at(path) as second,
        world(client=SPEAKS, ledger=first) as w,
        world(client=SPEAKS, ledger=second, sandbox=w.sandbox) as other,
    ):
        task = await ordered(w, **FOX, count=4)
        ids = list(w.sandbox.accounts.of(KEY).tasks)
        assert task["taskId"].partition(".")[0] == ids[0]
        ended = await followed(other, task)
        told = ended["result"]["structuredContent"]
        assert (told["task_ids"], len(told["image_urls"])) == (ids, 4)
        assert ended["result"] == (await followed(w, task))["result"]
        assert (w.task_count, w.spent_cents) == (4, 20)
        rows = facts(await w.call("list_tasks"))["tasks"]
        assert [row["delivered"] for row in rows] == [True] * 4


async def test_a_task_of_several_works_until_the_last_one_ended(tmp_path: Path) -> None:
    async with ledger_at(tmp_path / "ledger") as ledger, world(client=SPEAKS, ledger=ledger) as w:
        task = await ordered(w, **FOX, count=3)
        *_, last = (tasks := w.sandbox.accounts.of(KEY).tasks)
        tasks[last] = replace(tasks[last], seconds=60)
        ended = await followed(w, task)
        assert anyio.current_time() == pytest.approx(60, abs=6)
        assert len(ended["result"]["structuredContent"]["image_urls"]) == 3


@pytest.mark.parametrize(
    ("end", "number"),
    [("failed", 1), ("refused", 1), ("in doubt", 1),
     ("failed", 2), ("refused", 2), ("in doubt", 2), ("lost", 2)],
)  # fmt: skip
async def test_a_task_of_several_names_the_one_that_there_is_none_of(
    end: str, number: int, tmp_path: Path
) -> None:
    async with ledger_at(tmp_path / "ledger") as ledger, world(client=SPEAKS, ledger=ledger) as w:
        spoil(w, end, number)
        task = await ordered(w, **FOX, count=3)
        if end == "lost":
            await anyio.sleep(61)
            tasks = w.sandbox.accounts.of(KEY).tasks
            del tasks[list(tasks)[number - 1]]
        ended = await followed(w, task)
        told = ended["result"]["structuredContent"]
        assert ended["status"] == "completed"
        assert not ended["result"].get("isError")
        assert len(told["image_urls"]) == 2
        [why] = told["failed"]
        assert why.startswith(f"Image {number}: ")


def spoil(w: World, end: str, number: int) -> None:
    """So ends the picture of this number; what is lost is lost later."""

    async def meddle(sent: Sent, go_on: Pass) -> httpx.Response:
        key = sent.headers.get("idempotency-key")
        if key is None or w.wire.keys.index(key) != number - 1:
            return await go_on()
        if end == "refused":
            return httpx.Response(402)
        answer, tasks = await go_on(), w.sandbox.accounts.of(KEY).tasks
        made = tasks[json.loads(await answer.aread())["id"]]
        if end == "failed":
            tasks[made.id] = replace(made, script=replace(made.script, failure="no foxes"))
        return httpx.Response(403) if end == "in doubt" else answer

    w.wire.meddle = meddle


async def test_without_a_ledger_that_lasts_several_are_answered_plainly() -> None:
    async with world(client=SPEAKS) as w:
        told = await ordered(w, **FOX, count=2)
        assert told["resultType"] == "complete"
        assert len(told["structuredContent"]["task_ids"]) == 2
        assert told["structuredContent"]["next"].startswith("Make the same call again")
        await anyio.sleep(20)
        again = await ordered(w, **FOX, count=2)
        assert len(again["structuredContent"]["image_urls"]) == 2
        assert w.task_count == 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_over_http_a_task_is_followed_by_its_own_name_only() -> None:
    async with network() as net, serving(net) as client:
        task = await sent(client, "tools/call", name=DRAW, arguments={"prompt": QUICK})
        with pytest.raises(MCPError) as refused:
            await sent(client, "tasks/get", header="another", taskId=task["taskId"])
        assert refused.value.error.code == -32020
        while task["status"] == "working":
            await anyio.sleep(task["pollIntervalMs"] / 1000)  # as it was told
            task = await sent(client, "tasks/get", header=task["taskId"], taskId=task["taskId"])
        assert task["result"]["structuredContent"]["status"] == "completed"
        runapi_id = task["taskId"].partition(".")[0]
        asked = {"prompt": QUICK, "redraw": runapi_id}
        new = await sent(client, "tools/call", name=DRAW, arguments=asked)
        assert new["taskId"].partition(".")[0] != runapi_id


@asynccontextmanager
async def serving(net: Network) -> AsyncGenerator[Client]:
    """A client that speaks of tasks to a server of its own."""
    command = ("serve", "--http", "--port", "0", "--share-key")
    async with program(*command, environment=net.environment()) as running:
        url = (await running.stderr.holding("runapi-mcp serves ")).split()[2]
        async with (
            httpx2.AsyncClient(timeout=LIMIT_SECONDS) as http,
            Client(streamable_http_client(url, http_client=http), **SPEAKS) as client,
        ):
            yield client


class Named(Request[Json, str]):
    """A request whose Mcp-Name header is of the test's choice."""

    name_param = "header"


async def sent(client: Client, method: str, **params: object) -> Json:
    """The bare answer to a request, whether the SDK knows it or not."""
    shape = Named if "header" in params else Request[Json, str]
    answer = await client.session.send_request(shape(method=method, params=params), Bare)
    answer.root.pop("_meta", None)
    return answer.root


async def ask(w: World, method: str, **params: object) -> Json:
    return await sent(w.client, method, **params)


async def about(w: World, method: str, task_id: str) -> Json:
    answers = {"inputResponses": {"nobody-asked": {"action": "accept"}}}
    return await ask(w, method, taskId=task_id, **(answers if method == "tasks/update" else {}))


async def ordered(w: World, **arguments: object) -> Json:
    """The answer to a drawing call."""
    return await ask(w, "tools/call", name=DRAW, arguments=arguments)


async def followed(w: World, task: Json) -> Json:
    """The task at its end."""
    return (await answers_about(w, task))[-1]


async def answers_about(w: World, task: Json) -> list[Json]:
    """All answers about a task until its end, asked for as often as it says."""
    answers = [task]
    while answers[-1]["status"] == "working":
        await anyio.sleep(answers[-1]["pollIntervalMs"] / 1000)
        answers.append(await ask(w, "tasks/get", taskId=task["taskId"]))
    return answers[1:]
