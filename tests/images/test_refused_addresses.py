"""An address that nobody should go to is not told to anybody, and is said to be refused."""

from pathlib import Path

import httpx
import pytest

from runapi_mcp.images.folders import Folders
from tests.support.pictures import (
    DRAW,
    FOX,
    LINKED,
    ORIGIN,
    TASK_ID,
    URL,
    kinds,
    links,
    made_up,
    png,
)
from tests.support.world import NO_PICTURES, facts, said

pytestmark = pytest.mark.anyio
REFUSED = {
    "https://169.254.169.254/latest/meta-data": "it is not on the public internet",
    "https://10.0.0.1/fox.png": "it is not on the public internet",
    "https://[::1]/fox.png": "it is not on the public internet",
    "https://0x7f.1/fox.png": "it is not on the public internet",
    "https://localhost:8080/fox.png": "it is not on the public internet",
    "https://router.lan/fox.png": "it is not on the public internet",
    "http://93.184.215.14/fox.png": "its address is not https",
    "https://me:secret@93.184.215.14/fox.png": "its address contains a user name",
}


@pytest.mark.parametrize("address", REFUSED)
@pytest.mark.parametrize("server", [{}, NO_PICTURES])
async def test_a_refused_address_is_left_out_and_said_to_be_refused(
    address: str, server: dict[str, bool], tmp_path: Path
) -> None:
    async with made_up(png(), Folders(tmp_path), [address], client=LINKED, **server) as client:
        drawn = await client.call_tool(DRAW, FOX)
        told = facts(drawn)
    assert address not in drawn.model_dump_json()
    assert address not in said(drawn)
    assert REFUSED[address] in told["notice"]
    assert told["notice"].endswith("It was refused, and is left out.")
    assert {"image_urls", "expires"}.isdisjoint(told)
    assert links(drawn) == []
    assert told["next"].startswith("RunAPI gave no address that an image may be fetched from.")
    assert (told["status"], told["task_id"], drawn.is_error) == ("completed", TASK_ID, False)


async def test_where_one_is_redirected_to_a_refused_address_it_is_left_out(tmp_path: Path) -> None:
    def keeper(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"Location": "https://10.0.0.1/fox.png"})

    async with made_up(keeper, Folders(tmp_path)) as client:
        drawn = await client.call_tool(DRAW, FOX)
    assert URL not in drawn.model_dump_json()
    assert "No image is fetched from 10.0.0.1" in facts(drawn)["notice"]


async def test_of_several_only_the_refused_one_is_left_out(tmp_path: Path) -> None:
    urls = [f"{ORIGIN}/1.png", "https://10.0.0.1/2.png", f"{ORIGIN}/3.png"]
    async with made_up(png(), Folders(tmp_path), urls, client=LINKED) as client:
        drawn = await client.call_tool(DRAW, FOX)
    assert facts(drawn)["image_urls"] == [urls[0], urls[2]]
    assert len(facts(drawn)["image_paths"]) == 2
    assert kinds(drawn.content).count("resource_link") == 2


async def test_a_saved_picture_whose_address_is_refused_later_is_told_without_it(
    tmp_path: Path,
) -> None:
    urls = [URL]
    async with made_up(png(), Folders(tmp_path), urls, client=LINKED) as client:
        first = facts(await client.call_tool(DRAW, FOX))
        urls[:] = ["http://10.0.0.1/fox.png"]
        second = await client.call_tool("get_task", {"task_id": TASK_ID})
    assert facts(second)["image_paths"] == first["image_paths"]
    assert "10.0.0.1/" not in second.model_dump_json()
    assert [link.uri for link in links(second)] == [Path(first["image_paths"][0]).as_uri()]
