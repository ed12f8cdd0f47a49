"""Finding runs by the caller's own reference, a page after the other."""

from collections.abc import Mapping

import httpx
import pytest

from tests.support.runflow_client import create_run, find_runs, order, refused
from tests.support.sandbox_client import answered, later

pytestmark = pytest.mark.anyio


async def walked(client: httpx.AsyncClient, query: Mapping[str, str]) -> list[list[str]]:
    """The ids of every page of a list."""
    pages: list[list[str]] = []
    cursor: Mapping[str, str] = {}
    while True:
        status, body = answered(await client.get("/v1/runs", params={**query, **cursor}))
        assert status == 200
        pages.append([run["id"] for run in body["items"]])
        if body["next"] is None:
            return pages
        cursor = {"pq": body["next"]}


async def test_a_run_is_found_by_its_reference_at_once_and_no_other_is(
    client: httpx.AsyncClient,
) -> None:
    for reference in ("mine", "mine-2", "MINE"):
        run_id = await create_run(client, {**order(), "client_ref": reference})
        assert await find_runs(client, reference) == [run_id]
    await create_run(client, order())
    assert await find_runs(client, "none") == []


async def test_a_list_is_walked_by_its_cursor_to_the_end(client: httpx.AsyncClient) -> None:
    ids = [await create_run(client, {**order(), "client_ref": "mine"}) for _ in range(5)]
    newest = ids[::-1]
    assert await walked(client, {}) == [newest]
    asked = {"q": "client_ref.EQ:'mine'", "limit": "2"}
    assert await walked(client, asked) == [newest[:2], newest[2:4], newest[4:]]
    oldest = {**asked, "sort_by": "created_at:asc", "limit": "5"}
    assert await walked(client, oldest) == [ids]


async def test_a_prompt_asks_that_its_run_be_listed_late(client: httpx.AsyncClient) -> None:
    body = {**order("a fox [[listed-after 90s]]"), "client_ref": "mine"}
    run_id = await create_run(client, body)
    await later(89.9)
    assert await find_runs(client, "mine") == []
    await later(0.1)
    assert await find_runs(client, "mine") == [run_id]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"q": "client_ref.EQ:mine"}, "The filter expression was not understood."),
        ({"q": "client_ref.EQ:'it's'"}, "The filter expression was not understood."),
        ({"q": "status_code.EQ:'queued'"}, "The filter expression was not understood."),
        ({"q": ""}, "The filter expression was not understood."),
        ({"limit": "0"}, "limit must be 1 to 500."),
        ({"limit": "501"}, "limit must be 1 to 500."),
        ({"limit": "ten"}, "limit must be 1 to 500."),
        ({"limit": "9" * 5000}, "limit must be 1 to 500."),
        ({"pq": "mine"}, "pq is no cursor of this list."),
        ({"cursor": "mine"}, "This list knows no cursor."),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_a_list_does_not_understand_it_refuses(
    client: httpx.AsyncClient, query: Mapping[str, str], message: str
) -> None:
    response = await client.get("/v1/runs", params=query)
    assert answered(response) == (400, refused("REQUEST_FAILED", message))
