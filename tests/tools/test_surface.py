"""What a host sees: names, schemas, annotations and instructions, in both eras."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from mcp_types import Tool

from runapi_mcp.base.catalog import VARIANTS, select
from tests.support.world import ERAS, world

pytestmark = pytest.mark.anyio
SNAPSHOT = Path(__file__).parents[2] / "manifests" / "tools.json"
BYTES_PER_TOKEN = 3.82
"""Of tools/list in the o200k encoding, as benchmarks/surface.py measured it."""


def surface(tools: list[Tool]) -> list[dict[str, Any]]:
    return [
        {"name": tool.name, "description": tool.description, "inputSchema": tool.input_schema}
        for tool in tools
    ]


def tokens(value: object) -> float:
    return len(json.dumps(value, separators=(",", ":")).encode()) / BYTES_PER_TOKEN


def nodes(schema: object) -> Iterator[dict[str, Any]]:
    """Every schema inside a schema."""
    if isinstance(schema, list):
        for item in cast("list[object]", schema):
            yield from nodes(item)
    if isinstance(schema, dict):
        entries = cast("dict[str, Any]", schema)
        yield entries
        for name, value in entries.items():
            yield from (
                (n for v in value.values() for n in nodes(v))
                if name == "properties"
                else nodes(value)
            )


@pytest.mark.parametrize("era", ERAS)
async def test_hosts_get_exactly_the_committed_tools(era: str) -> None:
    async with world(era=era, saves=None) as w:
        tools = (await w.client.list_tools()).tools
        seen = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]
        assert seen == json.loads(SNAPSHOT.read_text())


async def test_schemas_are_flat_closed_and_readable_by_every_host() -> None:
    async with world(saves=None) as w:
        for tool in (await w.client.list_tools()).tools:
            assert tool.input_schema["additionalProperties"] is False
            for schema in (*nodes(tool.input_schema), *nodes(tool.output_schema)):
                assert not {"$ref", "$defs", "title", "format", "anyOf", "oneOf", "allOf"} & set(
                    schema
                )
                assert schema.get("type") != "null"
                assert not isinstance(schema.get("type"), list)


async def test_every_tool_says_what_it_is_and_what_it_may_do() -> None:
    async with world(saves=None) as w:
        for tool in (await w.client.list_tools()).tools:
            pays, writes = tool.name.startswith("flux_2_"), tool.name == "convert_image"
            assert tool.annotations is not None
            assert tool.annotations.model_dump(exclude_none=True) == {
                "read_only_hint": not (pays or writes or tool.name == "login"),
                "destructive_hint": False,
                "idempotent_hint": not (pays or writes),
                "open_world_hint": not writes,
            }
            assert tool.title
            assert tool.output_schema is not None
            assert len(tool.name) <= 30
            assert 20 <= len(tool.description or "") <= 157


async def test_the_first_sentence_of_each_tool_says_when_to_choose_it() -> None:
    when = re.compile(r"\b(?:when|default choice|prefer|before drawing|still being drawn)\b")
    async with world() as w:
        for tool in (await w.client.list_tools()).tools:
            first, _, _ = (tool.description or "").partition(". ")
            assert when.search(first), first


async def test_a_shape_that_runapi_chooses_is_promised_nowhere() -> None:
    async with world() as w:
        for tool in (await w.client.list_tools()).tools:
            shape = tool.input_schema["properties"].get("aspect_ratio", {})
            if "auto" in shape.get("enum", ()):
                assert shape["description"] == "Width to height; unset or auto: RunAPI's choice."


async def test_what_is_taken_for_the_sake_of_older_calls_is_not_advertised() -> None:
    async with world() as w:
        for tool in (await w.client.list_tools()).tools:
            assert "output_count" not in tool.input_schema["properties"]


async def test_descriptions_repeat_ranges_and_defaults() -> None:
    async with world() as w:
        tools = {tool.name: tool for tool in (await w.client.list_tools()).tools}
        fields = tools["flux_2_max_remix_image"].input_schema["properties"]
        assert "3-5000" in fields["prompt"]["description"]
        assert "Exactly 1" in fields["source_image_urls"]["description"]
        assert "default" in fields["output_resolution"]["description"]
        assert "0-512" in fields["preview_px"]["description"]
        assert "0-600 s" in fields["wait_seconds"]["description"]
        assert (
            "1-8"
            in tools["flux_2_pro_remix_image"].input_schema["properties"]["source_image_urls"][
                "description"
            ]
        )


async def test_fifteen_tools_cost_3260_tokens_at_most_and_one_tier_1500() -> None:
    async with world(saves=None) as w:
        tools = (await w.client.list_tools()).tools
        assert len(tools) == len(VARIANTS) + 6
        assert tokens(surface(tools)) <= 3260
        assert tokens(surface([tool for tool in tools if tool.name == "convert_image"])) <= 190
    async with world(variants=select(["pro"]), saves=None) as w:
        assert tokens(surface((await w.client.list_tools()).tools)) <= 1500


@pytest.mark.parametrize("era", ERAS)
async def test_instructions_begin_with_what_the_server_does_and_the_first_tool(era: str) -> None:
    async with world(era=era) as w:
        instructions = w.client.instructions or ""
        assert instructions.startswith("Draw and edit images with Flux 2 through RunAPI.")
        assert "flux_2_pro_text_to_image" in instructions[:250]
        assert "flux_2_pro_remix_image" in instructions[:250]
        assert len(instructions) <= 1200


@pytest.mark.parametrize(("names", "advised"), [(["klein", "pro"], True), (["klein"], False)])
async def test_a_draft_with_klein_is_advised_where_pro_is_offered_too(
    names: list[str], *, advised: bool
) -> None:
    async with world(variants=select(names)) as w:
        assert ("Draft with klein, then pro." in (w.client.instructions or "")) is advised


@pytest.mark.parametrize("names", [["max"], ["flux-2-flex-remix-image"], ["pro", "flex"]])
async def test_instructions_name_only_tools_that_are_offered(names: list[str]) -> None:
    async with world(variants=select(names)) as w:
        offered = {tool.name for tool in (await w.client.list_tools()).tools}
        named = {word.strip(".,:;") for word in (w.client.instructions or "").split()}
        assert {word for word in named if word.startswith("flux_2_")} <= offered


async def test_the_static_lists_may_be_kept_for_an_hour() -> None:
    async with world() as w:
        listed = await w.client.list_tools()
        assert (listed.ttl_ms, listed.cache_scope) == (3_600_000, "public")
