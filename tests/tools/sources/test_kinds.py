"""A picture is made from files, addresses and earlier pictures, in the order they are given."""

import json
from pathlib import Path
from typing import Any

import pytest

from runapi_mcp.base.catalog import VARIANTS
from tests.support.photos import (
    REMIX,
    UPLOADING,
    URL,
    asking,
    bodies,
    photo,
    remixing,
    seed_of,
    way,
)
from tests.support.pictures import DRAW, held, story_of
from tests.support.processes import host, network, program
from tests.support.world import ERAS, KEY, facts, said

pytestmark = pytest.mark.anyio
ERA = pytest.mark.parametrize("era", ERAS)
IN_REAL_TIME = pytest.mark.parametrize("anyio_backend", ["asyncio"])
QUICK = "a fox [[poll-after 0.05s]]"


@ERA
async def test_sources_of_all_kinds_keep_their_order(
    era: str, tmp_path: Path, fox: Path, project: Path
) -> None:
    photo(project / "web" / "owl.png", seed=90)
    async with remixing(tmp_path, era=era) as w:
        drawn = facts(await w.call(DRAW, {"prompt": "a fox"}))
        given = ["owl.png", URL, drawn["task_id"].upper(), fox.as_uri(), "owl.png", str(fox)]
        await w.call(REMIX, asking(*given))
        owl, url, task, first, again, second = bodies(w)[0]["source_image_urls"]
        assert (url, task) == (URL, drawn["image_urls"][0])
        assert (owl, first) == (again, second)
        assert [seed_of(await held(w, each)) for each in (owl, first)] == [90, 50]
        assert way(w).count("POST /api/v1/files/prepare") == 2


@pytest.mark.parametrize("indent", [None, 2])
async def test_an_array_may_come_as_a_json_string(
    indent: int | None, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path) as w:
        listed = json.dumps([str(fox), URL], indent=indent)
        await w.call(REMIX, {"prompt": "a fox", "source_image_urls": listed})
        local, url = bodies(w)[0]["source_image_urls"]
        assert seed_of(await held(w, local)) == 50
        assert url == URL


@pytest.mark.parametrize("variant", [v for v in VARIANTS if "source_image_urls" in v.field_names])
async def test_every_variant_that_takes_images_takes_files(
    variant: Any, tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path) as w:
        more = {"aspect_ratio": "1:1"} if variant.tier.name == "max" else {}
        result = await w.call(variant.tool_name, asking(fox) | more)
        assert facts(result)["status"] == "completed"
        assert way(w)[:3] == UPLOADING


async def test_the_json_beside_a_picture_says_what_it_was_made_from(
    tmp_path: Path, fox: Path
) -> None:
    async with remixing(tmp_path, saves=True) as w:
        drawn = facts(await w.call(DRAW, {"prompt": "a fox"}))
        made = facts(await w.call(REMIX, asking(fox.as_uri(), drawn["task_id"], URL)))
        [path] = made["image_paths"]
        story = story_of(path)
        local, task, url = story["made_from"]
        assert local.keys() == {"path", "sha256"}
        assert local["path"] == str(fox)
        assert (task, url) == ({"task_id": drawn["task_id"]}, {"url": URL})
        assert "source_image_urls" not in story.get("arguments", {})
        made = facts(await w.call(REMIX, asking(URL)))
        assert story_of(made["image_paths"][0])["made_from"] == [{"url": URL}]


@IN_REAL_TIME
@ERA
async def test_over_http_a_path_is_refused_and_a_task_id_is_not(
    era: str, tmp_path: Path, fox: Path
) -> None:
    command = ("serve", "--http", "--port", "0")
    async with network() as net:
        settings = net.environment() | {"RUNAPI_INPUT_DIRS": str(fox.parent)}
        async with program(*command, environment=settings) as running:
            line = await running.stderr.holding("runapi-mcp serves ")
            url = line.split()[2].removesuffix("/mcp")
            async with host(url, "/mcp", era, KEY) as client:
                for name in (str(fox), fox.as_uri(), "fox.png", "~/fox.png", "/etc/passwd", "no"):
                    refused = await client.call_tool(REMIX, asking(URL, name))
                    assert said(refused) == (
                        "source_image_urls[1] is a path, and this server runs on another machine "
                        "than its file. Give an http(s) URL, or the task_id of an earlier image. "
                        "This call uploaded and paid nothing."
                    )
                assert [each for each in net.asked if each[0] != "GET"] == []
                drawn = facts(await client.call_tool(DRAW, {"prompt": QUICK}))
                remixed = await client.call_tool(REMIX, asking(drawn["task_id"], prompt=QUICK))
                assert facts(remixed)["status"] == "completed"
        assert ("POST", "/api/v1/files/prepare") not in net.asked
