"""The request that pays, through the port: its bytes, its repeats, and what its failures leave."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import anyio
import httpx
import pytest

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.errors import NotConnected, ProviderFailure, RateLimited
from runapi_mcp.providers.port import Provider
from runapi_mcp.providers.rate_limit import (
    LONGEST_TURN_SECONDS,
    PAYING_SHARE,
    REQUESTS_PER_SECOND,
)
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.providers.runapi.retries import SHORTEST_ATTEMPT_SECONDS
from tests.support.world import MADE_UP_KEY as KEY
from tests.support.world import Answer, call_answered, facts, said

pytestmark = pytest.mark.anyio

TASK_ID = "5e30607a-954f-4c26-800b-9c33eb9d0255"
PRO = VARIANTS[0]
BODY = '{"model":"flux-2-pro-text-to-image","prompt":"a fox"}'
MADE = httpx.Response(202, json={"id": TASK_ID})
DRAW = "flux_2_pro_text_to_image"

NONE: Final[Mapping[str, str]] = {}
NOT_CHARGED = {400, 401, 402, 404, 413, 415, 422}
"""All that may be said of a request that pays without a doubt, where no task is named."""
REPEATED = {408, 409, 425, 429, *range(500, 600)}


def provider_of(answer: Answer) -> Provider:
    """Who sells, where RunAPI answers so."""
    return RunAPI("https://runapi.ai", httpx.MockTransport(answer)).provider(KEY)


async def failure_of(answer: Answer, *, in_doubt: bool = False) -> ProviderFailure:
    with pytest.raises(ProviderFailure) as caught:
        await provider_of(answer).create(PRO, BODY, "key", 10, in_doubt=in_doubt)
    return caught.value


def in_turn(answers: Sequence[httpx.Response | Exception]) -> tuple[Answer, list[httpx.Request]]:
    """An answer to each request, the last for good; and the requests."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        given = answers[min(len(asked), len(answers)) - 1]
        if isinstance(given, Exception):
            raise given
        return given

    return answer, asked


def failing(status: int, headers: Mapping[str, str] = NONE, **named: object) -> httpx.Response:
    """An error answer, with what names a task in its headers or its body."""
    return httpx.Response(status, json={"error": "no", **named}, headers=headers)


@pytest.mark.parametrize("status", [101, 199, *range(300, 600), 600, 999])
async def test_nothing_but_a_refusal_that_is_known_is_no_doubt(status: int) -> None:
    answer, asked = in_turn([failing(status)])
    failure = await failure_of(answer)
    assert failure.in_doubt == (status not in NOT_CHARGED)
    assert failure.answered == (300 <= status < 500)
    repeated = status in REPEATED or not 300 <= status < 600
    assert (len(asked) > 1) == repeated


@pytest.mark.parametrize(
    "names",
    [
        {"headers": {"X-RunAPI-Task-Id": TASK_ID}},
        {"headers": {"Location": f"/api/v1/tasks/{TASK_ID}"}},
        {"id": TASK_ID},
        {"task_id": TASK_ID.upper()},
        {"data": {"id": TASK_ID}},
    ],
    ids=["header", "location", "id", "task_id", "data"],
)
async def test_a_task_that_an_error_names_is_a_doubt_whatever_the_status(
    names: dict[str, Any],
) -> None:
    for status in (*range(300, 600), *NOT_CHARGED):
        failure = await failure_of(lambda _, status=status: failing(status, **names))
        assert (failure.in_doubt, failure.answer.task_id) == (True, TASK_ID), status


UNANSWERED = [
    httpx.ReadError("torn"),
    httpx.ReadTimeout("slow"),
    httpx.RemoteProtocolError("torn"),
    httpx.Response(200, text="<html>"),
    httpx.Response(200, json={"id": 7}),
    httpx.Response(502, text="<html>"),
]


@pytest.mark.parametrize("first", UNANSWERED, ids=repr)
@pytest.mark.parametrize("later", [402, 403, 409])
async def test_a_doubt_with_one_answer_that_never_came_is_unanswered(
    first: httpx.Response | Exception, later: int
) -> None:
    answer, _ = in_turn([first, failing(later)])
    failure = await failure_of(answer)
    assert (failure.in_doubt, failure.answered) == (True, False)


@pytest.mark.parametrize(
    "nothing_sent",
    [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError],
)
async def test_a_request_that_was_never_sent_leaves_no_doubt_and_undoes_none(
    nothing_sent: type[httpx.TransportError],
) -> None:
    answer, asked = in_turn([nothing_sent("no way there")])
    assert not (await failure_of(answer)).in_doubt
    assert len(asked) > 1
    assert (await failure_of(answer, in_doubt=True)).in_doubt
    answer, _ = in_turn([failing(429), nothing_sent("no way there")])
    failure = await failure_of(answer)
    assert (failure.in_doubt, failure.answered) == (True, True)


async def test_no_attempt_begins_without_time_to_end_while_nothing_is_in_doubt() -> None:
    begun: list[float] = []

    def answer(_: httpx.Request) -> httpx.Response:
        begun.append(anyio.current_time())
        raise httpx.ConnectError("refused")

    with pytest.raises(NotConnected):
        await provider_of(answer).create(PRO, BODY, "key", total_seconds=40)
    assert 30 < begun[-1] <= 40 - SHORTEST_ATTEMPT_SECONDS


@pytest.mark.parametrize("in_doubt", [False, True])
async def test_a_turn_that_never_comes_sends_nothing_and_undoes_no_doubt(*, in_doubt: bool) -> None:
    answer, asked = in_turn([failing(402)])
    runapi = RunAPI("https://runapi.ai", httpx.MockTransport(answer))
    limit = runapi.rate_limit(runapi.provider(KEY).caller_id)
    async with anyio.create_task_group() as group:
        for _ in range(2 * int(LONGEST_TURN_SECONDS * REQUESTS_PER_SECOND * PAYING_SHARE)):
            group.start_soon(partial(limit.wait_turn, pays=True, urgency=None))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RateLimited) as caught:
            await runapi.provider(KEY).create(PRO, BODY, "key", in_doubt=in_doubt)
        assert (caught.value.in_doubt, asked) == (in_doubt, [])
        group.cancel_scope.cancel()


@pytest.mark.parametrize("status", [307, 403, 408, 409, 410, 425, 429, 499, 503])
async def test_a_doubt_is_never_called_free(status: int) -> None:
    result = await call_answered(lambda _: failing(status), DRAW, {"prompt": "a fox"})
    assert result.is_error
    assert "RunAPI may or may not have charged this." in said(result)
    assert "Nothing was paid" not in said(result)
    assert ("limiting requests" in said(result)) == (status == 429)


@pytest.mark.parametrize("status", sorted(NOT_CHARGED))
async def test_a_refusal_is_called_free(status: int) -> None:
    result = await call_answered(lambda _: failing(status), DRAW, {"prompt": "a fox"})
    assert "Nothing was paid." in said(result)


ARGUMENTS: list[dict[str, object]] = [
    {"prompt": "a fox"},
    {"prompt": 'ein „Füchslein“ 🦊 \u2028 "\\/', "output_resolution": "2k"},
    {"aspect_ratio": "1:1", "prompt": "x", "enable_safety_checker": False},
    {"source_image_urls": ["https://a.example/ä?b=c&d=1"], "prompt": "x", "output_count": 1},
]


@pytest.mark.parametrize("arguments", ARGUMENTS, ids=str)
async def test_the_bytes_of_a_create_are_those_that_were_always_sent(
    arguments: dict[str, object],
) -> None:
    answer, asked = in_turn([httpx.ReadError("torn"), MADE])
    provider = provider_of(answer)
    body = provider.request_body(PRO, arguments)
    await provider.create(PRO, body, "key")
    before = httpx.Request("POST", "https://a.example", json={"model": PRO.model, **arguments})
    assert [request.content for request in asked] == [before.content] * 2
    assert {request.headers["content-type"] for request in asked} == {"application/json"}
    assert body == provider.request_body(PRO, json.loads(json.dumps(arguments)))


class Told(Exception):
    """What the ledger says instead of letting a request go."""


async def test_each_attempt_is_announced_before_its_bytes_leave() -> None:
    events: list[str] = []

    def answer(_: httpx.Request) -> httpx.Response:
        events.append("sent")
        return MADE if len(events) > 5 else httpx.Response(503)

    async def before_send() -> None:
        events.append("announced")

    await provider_of(answer).create(PRO, BODY, "key", before_send=before_send)
    assert events == ["announced", "sent"] * 3


@pytest.mark.parametrize("error", [Told(), RateLimited("No.", "Never.")], ids=repr)
@pytest.mark.parametrize("sent", [0, 1])
async def test_what_is_raised_before_an_attempt_ends_the_create_unchanged(
    error: Exception, sent: int
) -> None:
    answer, asked = in_turn([httpx.ReadError("torn")])

    async def before_send() -> None:
        if len(asked) == sent:
            raise error

    with pytest.raises(type(error)) as caught:
        await provider_of(answer).create(PRO, BODY, "key", before_send=before_send)
    assert caught.value is error
    assert len(asked) == sent
    assert not getattr(error, "in_doubt", False)


async def test_a_caller_who_leaves_while_a_send_is_noted_does_not_stop_it() -> None:
    answer, asked = in_turn([MADE])
    with anyio.move_on_after(1):
        await provider_of(answer).create(PRO, BODY, "key", before_send=lambda: anyio.sleep(3))
    assert len(asked) == 1


RETRY_AFTER = [
    ("86400", "30 seconds"),
    ("1e999", "30 seconds"),
    ("Fri, 31 Dec 9999 23:59:59 GMT", "30 seconds"),
    ("31", "30 seconds"),
    ("7", "7 seconds"),
    ("0.001", "2 seconds"),
    ("0", "a minute"),
    ("-5", "a minute"),
    ("-inf", "a minute"),
    ("nan", "a minute"),
    ("Mon, 01 Jan 2024 00:00:00 GMT", "a minute"),
    ("Mon, 01 Jan 2024 00:00:00 +9999999999999", "a minute"),
    ("9" * 5000, "30 seconds"),
    ("tomorrow", "a minute"),
]
"""A wish to wait, and what a model is told of it."""
WISH = pytest.mark.parametrize("wish", [wish[:30] for wish, _ in RETRY_AFTER])


@pytest.mark.parametrize(("wish", "words"), RETRY_AFTER, ids=[wish[:30] for wish, _ in RETRY_AFTER])
async def test_a_model_is_never_told_to_wait_for_a_day(wish: str, words: str) -> None:
    limited = httpx.Response(429, headers={"Retry-After": wish})
    result = await call_answered(lambda _: limited, "check_balance", {})
    assert said(result) == (
        f"RunAPI is limiting requests of this key (HTTP 429). Wait {words}, then call again."
    )


@WISH
async def test_a_create_pauses_for_half_a_minute_at_most(wish: str) -> None:
    answer, _ = in_turn([httpx.Response(503, headers={"Retry-After": wish}), MADE])
    await provider_of(answer).create(PRO, BODY, "key")
    assert anyio.current_time() <= 30.1


@WISH
@pytest.mark.parametrize("polled", [200, 429, 503])
async def test_a_picture_is_seen_although_a_longer_wait_was_wished(wish: str, polled: int) -> None:
    hold = {"Retry-After": wish}
    done = {"status": "completed", "images": [{"url": "https://c.example/f.png"}]}
    polls = iter([httpx.Response(polled, json={"status": "processing"}, headers=hold)])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(202, json={"id": TASK_ID}, headers=hold)
        return next(polls, httpx.Response(200, json=done))

    result = await call_answered(answer_tasks(answer), DRAW, {"prompt": "fox", "wait_seconds": 61})
    assert facts(result)["status"] == "completed"


def answer_tasks(answer: Answer) -> Callable[[httpx.Request], httpx.Response]:
    """A RunAPI that tells nothing but what becomes of tasks."""

    def tasks_alone(request: httpx.Request) -> httpx.Response:
        return answer(request) if "/flux_2/" in request.url.path else httpx.Response(404)

    return tasks_alone
