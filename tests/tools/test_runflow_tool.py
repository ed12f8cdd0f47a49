"""The one tool of Runflow: there with a key, and like RunAPI's in all that is ours."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from runapi_mcp.base.catalog import VARIANTS, select
from runapi_mcp.base.catalog.runflow_variants import RUNFLOW_VARIANTS
from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.images.folders import Folders
from runapi_mcp.orders.limits import Limits
from tests.server.test_tasks_extension import SPEAKS, ask, followed
from tests.support.ledgers import ledger_at
from tests.support.processes import LIMIT_SECONDS, opening, request
from tests.support.sellers import RUNFLOW_SELLER
from tests.support.world import ERAS, World, facts, said, world
from tests.tools.test_surface import nodes, surface, tokens

pytestmark = pytest.mark.anyio
FLEX = RUNFLOW_SELLER.tool
KNOWN = (*VARIANTS, *RUNFLOW_VARIANTS)
OURS = {"count", "redraw", "save_as", "wait_seconds", "preview_px", "callback_url"}
FLEXS = {
    "prompt", "image_size", "guidance_scale", "num_inference_steps", "seed", "output_format",
    "safety_tolerance", "enable_safety_checker",
}  # fmt: skip


@pytest.mark.parametrize("era", ERAS)
async def test_with_the_key_there_is_one_more_tool_within_3640_tokens(era: str) -> None:
    async with world(saves=None, era=era) as w:
        without = surface((await w.client.list_tools()).tools)
    async with world(seller=RUNFLOW_SELLER, saves=None, era=era) as w:
        tools = (await w.client.list_tools()).tools
        instructions = w.client.instructions or ""
    names = [tool.name for tool in tools]
    assert [name for name in names if name not in {each["name"] for each in without}] == [FLEX]
    assert tokens(surface(tools)) <= 3640
    [flex] = [tool for tool in tools if tool.name == FLEX]
    assert {*flex.input_schema["properties"]} == OURS | FLEXS
    assert flex.title == "Flux 2 Flex at Runflow: text to image"
    for tool in tools:
        for schema in (*nodes(tool.input_schema), *nodes(tool.output_schema)):
            assert not {"anyOf", "oneOf", "allOf", "$ref"} & {*schema}
    assert instructions.index("New image: flux_2_pro_text_to_image") < instructions.index(FLEX)


async def test_without_the_key_nothing_of_runflow_is_listed() -> None:
    async with world(saves=None) as w:
        told = str(await w.client.list_tools()) + (w.client.instructions or "")
    assert "runflow" not in told.lower()


def test_without_the_key_nothing_of_runflow_is_imported() -> None:
    script = (
        "import sys; from runapi_mcp.__main__ import main\n"
        "sys.argv[1:] = []\n"
        "try: main()\n"
        "finally: print(*[name for name in sys.modules if 'runflow' in name], file=sys.stderr)"
    )
    lines = [*opening("auto"), request(1, "tools/call", "auto", name="check_balance", arguments={})]
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", script],
        input="".join(f"{line}\n" for line in lines),
        env={**os.environ, "RUNAPI_LEDGER": "off", "RUNAPI_API_KEY": "", "RUNFLOW_API_KEY": ""},
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT_SECONDS,
    )
    assert "No RunAPI API key is set." in done.stdout
    # Its settings are what tells that there is no key.
    assert done.stderr.split() == ["runapi_mcp.base.settings.runflow_settings"]


@pytest.mark.parametrize(
    ("names", "tools"),
    [
        (["runflow-flux-2-flex-text-to-image"], [FLEX]),
        (["runflow_flex_text_to_image"], [FLEX]),
        (["flex"], ["flux_2_flex_text_to_image", "flux_2_flex_remix_image"]),
        (
            ["klein", "runflow-flux-2-flex-text-to-image"],
            ["flux_2_klein_text_to_image", FLEX],
        ),
    ],
    ids=str,
)
def test_the_setting_of_variants_names_it_by_its_model_and_tiers_mean_runapis(
    names: list[str], tools: list[str]
) -> None:
    chosen = [variant.tool_name for variant in select(names, KNOWN)]
    assert [name for name in chosen if "image_to_image" not in name] == tools


def test_without_the_key_the_setting_cannot_name_it() -> None:
    with pytest.raises(NotConfigured, match="runflow-flux-2-flex-text-to-image"):
        select(["runflow-flux-2-flex-text-to-image"])


async def test_only_runflows_tool_may_be_offered() -> None:
    async with world(seller=RUNFLOW_SELLER, variants=RUNFLOW_VARIANTS, saves=None) as w:
        names = [tool.name for tool in (await w.client.list_tools()).tools]
        assert names[0] == FLEX
        assert f"New image: {FLEX}." in (w.client.instructions or "")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"guidance_scale": 1.4}, "guidance_scale must be a number from 1.5 to 10"),
        ({"guidance_scale": "nan"}, "guidance_scale must be a number from 1.5 to 10"),
        ({"num_inference_steps": 51}, "num_inference_steps must be a whole number from 2 to 50"),
        ({"num_inference_steps": 2.5}, "num_inference_steps must be a whole number from 2 to 50"),
        ({"seed": -1}, "seed must be a whole number from 0 to 4294967295"),
        ({"seed": True}, "seed must be a whole number"),
        ({"safety_tolerance": 6}, "safety_tolerance must be one of 1, 2, 3, 4, 5"),
        ({"output_format": "webp"}, "output_format must be one of jpeg, png"),
        ({"aspect_ratio": "1:1"}, "did you mean image_size?"),
        ({"size": "square"}, "did you mean image_size?"),
        ({"steps": 10}, "did you mean num_inference_steps?"),
        ({"guidance": 4}, "did you mean guidance_scale?"),
        ({"width": 512}, "image_size takes WIDTHxHEIGHT"),
        ({"source_image_urls": ["https://x.example/1.png"]}, "source_image_urls"),
        ({"seed": 7, "count": 2}, "would be the same one, and be paid"),
    ],
    ids=str,
)
async def test_what_flex_does_not_take_is_refused_before_money_is_spent(
    arguments: dict[str, Any], why: str
) -> None:
    async with world(seller=RUNFLOW_SELLER) as w:
        refused = await w.call(FLEX, {"prompt": "a fox", **arguments})
        assert refused.is_error
        assert why in said(refused)
        assert w.wire.paths("POST") == []


async def test_a_seed_with_a_count_of_one_is_one_picture() -> None:
    async with world(seller=RUNFLOW_SELLER) as w:
        arguments = {"prompt": "a fox", "seed": 7, "count": 1, "wait_seconds": 60}
        assert facts(await w.call(FLEX, arguments))["status"] == "completed"
        assert w.task_count == 1


async def test_two_new_draws_with_one_seed_are_the_same_picture_and_without_are_not(
    tmp_path: Path,
) -> None:
    async def draw(w: World, name: str, **arguments: Any) -> tuple[str, bytes]:
        told = facts(await w.call(FLEX, {"prompt": "a fox", "save_as": name, **arguments}))
        return told["task_id"], content_of(told["image_paths"][0])

    folders = Folders(tmp_path, (tmp_path,))
    async with world(seller=RUNFLOW_SELLER, folders=folders) as w:
        small = {"image_size": "64x64", "wait_seconds": 60}
        first, one = await draw(w, "one", seed=7, **small)
        _, two = await draw(w, "one", seed=7, redraw=first, **small)
        third, three = await draw(w, "three", **small)
        _, four = await draw(w, "three", redraw=third, **small)
        assert w.task_count == 4
    assert one == two
    assert len({one, three, four}) == 3


def content_of(path: str) -> bytes:
    return Path(path).read_bytes()


@pytest.mark.parametrize("size", ["square", "64x96"])
async def test_a_picture_is_saved_previewed_and_found_again_as_any_other(
    size: str, tmp_path: Path
) -> None:
    folders = Folders(tmp_path, (tmp_path,))
    arguments = {"prompt": "a fox", "image_size": size, "output_format": "png", "save_as": "fox"}
    async with world(seller=RUNFLOW_SELLER, folders=folders) as w:
        result = await w.call(FLEX, {**arguments, "wait_seconds": 60})
        told = facts(result)
        assert (told["status"], told["cost_cents"]) == ("completed", 5)
        assert told["image_paths"] == [str(tmp_path / "fox.png")]
        assert told["image_sizes"] == ["512x512" if size == "square" else size]
        again = facts(await w.call("get_task", {"task_id": told["task_id"]}))
        assert again["image_paths"] == told["image_paths"]
        assert again["model"] == "runflow-flux-2-flex-text-to-image"
        listed = facts(await w.call("list_tasks", {}))
        assert [task["task_id"] for task in listed["tasks"]] == [told["task_id"]]
        remixed = facts(
            await w.call(
                "flux_2_pro_remix_image",
                {"prompt": "a hat", "source_image_urls": [told["task_id"]], "wait_seconds": 60},
            )
        )
        assert remixed["status"] == "completed"
        # Whoever remixes a picture has it: the same call draws a new one.
        new = facts(await w.call(FLEX, {**arguments, "save_as": "fox", "wait_seconds": 60}))
        assert new["task_id"] != told["task_id"]


async def test_its_addresses_last_three_days() -> None:
    async with world(seller=RUNFLOW_SELLER) as w:
        told = facts(await w.call(FLEX, {"prompt": "a fox", "wait_seconds": 60}))
        assert told["expires"].startswith("2026-11-23")
        assert "about 3 days after drawing" in told["next"]
        await anyio.sleep(3.2 * 86_400)
        # What is neither at Runflow nor on the disk any more cannot be given again.
        anew = facts(await w.call(FLEX, {"prompt": "a fox", "wait_seconds": 60}))
        assert anew["task_id"] != told["task_id"]


async def test_without_the_key_earlier_tasks_are_listed_and_get_task_says_what_is_missing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger.db"
    async with (
        ledger_at(path) as ledger,
        world(seller=RUNFLOW_SELLER, ledger=ledger) as w,
    ):
        made = facts(await w.call(FLEX, {"prompt": "a fox", "wait_seconds": 0}))
    async with ledger_at(path) as ledger, world(ledger=ledger, sandbox=w.sandbox) as w:
        listed = facts(await w.call("list_tasks", {}))
        assert [task["task_id"] for task in listed["tasks"]] == [made["task_id"]]
        assert listed["tasks"][0]["model"] == "runflow-flux-2-flex-text-to-image"
        told = said(await w.call("get_task", {"task_id": made["task_id"]}))
        assert "Set RUNFLOW_API_KEY in the server's environment." in told


async def test_a_person_is_asked_before_a_dear_one_and_limits_hold() -> None:
    limits = Limits(per_call_cents=9)
    async with world(seller=RUNFLOW_SELLER, limits=limits) as w:
        refused = said(await w.call(FLEX, {"prompt": "a fox", "image_size": "1920x1080"}))
        assert "limit $0.09, this call $0.10" in refused
        assert w.wire.paths("POST") == []
    async with world(seller=RUNFLOW_SELLER, limits=Limits(confirm_over_cents=9)) as w:
        refused = said(await w.call(FLEX, {"prompt": "a fox", "image_size": "1920x1080"}))
        assert "RUNAPI_CONFIRM_OVER" in refused
        assert w.wire.paths("POST") == []


async def test_with_runflows_key_alone_all_but_runapis_tools_work() -> None:
    async with world(seller=RUNFLOW_SELLER, key=None) as w:
        told = facts(await w.call(FLEX, {"prompt": "a fox", "wait_seconds": 60}))
        assert told["status"] == "completed"
        listed = facts(await w.call("list_tasks", {}))
        assert [task["task_id"] for task in listed["tasks"]] == [told["task_id"]]
        [balance] = facts(await w.call("check_balance", {}))["balances"]
        assert (balance["vendor"], balance["balance_cents"]) == ("Runflow", 995)
        refused = said(await w.call("flux_2_pro_text_to_image", {"prompt": "a fox"}))
        assert "Call login" in refused


async def test_a_client_of_the_tasks_extension_follows_its_task() -> None:
    arguments = {"prompt": "a fox"}
    async with world(seller=RUNFLOW_SELLER, client=SPEAKS) as w:
        task = await ask(w, "tools/call", name=FLEX, arguments=arguments)
        assert task["resultType"] == "task"
        done = await followed(w, task)
    assert done["status"] == "completed"
    assert len(done["result"]["structuredContent"]["image_urls"]) == 1
    assert task["ttlMs"] == 3 * 86_400_000


async def test_the_gallery_knows_the_tool_and_that_its_price_goes_by_the_size() -> None:
    async with world(seller=RUNFLOW_SELLER) as w:
        [page] = (await w.client.read_resource("ui://runapi/gallery.html")).contents
        text = page.model_dump()["text"]
        assert f'"tool": "{FLEX}", "tier": "Flex at Runflow"' in text
        assert '"pricedBySize": true' in text
    async with world() as w:
        [page] = (await w.client.read_resource("ui://runapi/gallery.html")).contents
        assert "unflow" not in page.model_dump()["text"]
