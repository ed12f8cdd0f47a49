"""What clients and models write when they mean it: nothing, one thing, names of other services."""

import json
from typing import Any

import pytest

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.tools import offered
from runapi_mcp.tools.added_names import HOST_ADDED
from tests.support.world import ERAS, facts, said, world

pytestmark = pytest.mark.anyio

SOURCE = "https://example.com/a.png"
PRO, KLEIN, MAX = (f"flux_2_{tier}_text_to_image" for tier in ("pro", "klein", "max"))
REMIX = "flux_2_pro_remix_image"
SMALLEST: dict[str, dict[str, object]] = {
    PRO: {"prompt": "a red fox"},
    KLEIN: {"prompt": "a red fox"},
    MAX: {"prompt": "a red fox", "aspect_ratio": "1:1"},
    REMIX: {"prompt": "a red fox", "source_image_urls": [SOURCE]},
    "get_task": {"task_id": "3f2a6b0e-0000-4000-8000-000000000000"},
    "list_tasks": {},
    "check_pricing": {},
    "check_balance": {},
    "login": {},
}
NOTHING = (None, "", "  ", "null", "None", " NONE ", "undefined", "\tUndefined\n")
OPTIONAL = {
    tool.name: [
        n for model in tool.inputs for n, f in model.model_fields.items() if not f.is_required()
    ]
    for tool in offered(VARIANTS)
}


@pytest.mark.parametrize("nothing", NOTHING, ids=repr)
@pytest.mark.parametrize("tool", [PRO, MAX, REMIX])
async def test_whatever_says_nothing_for_an_optional_argument_leaves_it_unset(
    tool: str, nothing: object
) -> None:
    async with world() as w:
        filled = dict.fromkeys(OPTIONAL[tool], nothing)
        drawn = await w.call(tool, SMALLEST[tool] | filled)
        assert not drawn.is_error, said(drawn)
        [body] = [json.loads(sent.body) for sent in w.wire.sent if sent.method == "POST"]
        assert body == {"model": tool.replace("_", "-"), **SMALLEST[tool]}
        # It is the very call without them.
        assert facts(await w.call(tool, SMALLEST[tool]))["task_id"] == facts(drawn)["task_id"]


@pytest.mark.parametrize("nothing", NOTHING, ids=repr)
@pytest.mark.parametrize("tool", ["list_tasks", "check_pricing"])
async def test_whatever_says_nothing_leaves_a_question_as_wide_as_it_was(
    tool: str, nothing: object
) -> None:
    async with world() as w:
        asked = await w.call(tool, dict.fromkeys(OPTIONAL[tool], nothing))
        assert facts(asked) == facts(await w.call(tool))


@pytest.mark.parametrize("word", ["none", "null", "undefined", "None "])
async def test_a_prompt_of_such_a_word_is_a_prompt(word: str) -> None:
    async with world() as w:
        assert not (await w.call(PRO, {"prompt": word})).is_error
        [body] = [json.loads(sent.body) for sent in w.wire.sent if sent.method == "POST"]
        assert body["prompt"] == word.strip()


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (SOURCE, [SOURCE]),
        (json.dumps(SOURCE), [SOURCE]),
        (json.dumps([SOURCE]), [SOURCE]),
        (f' ["{SOURCE}", "{SOURCE}?2"]\n', [SOURCE, f"{SOURCE}?2"]),
    ],
)
async def test_one_source_or_a_list_in_a_text_is_a_list(given: str, meant: list[str]) -> None:
    async with world() as w:
        drawn = await w.call(REMIX, SMALLEST[REMIX] | {"source_image_urls": given})
        assert not drawn.is_error, said(drawn)
        [body] = [json.loads(sent.body) for sent in w.wire.sent if sent.method == "POST"]
        assert body["source_image_urls"] == meant


@pytest.mark.parametrize("given", [1, "1", 1.0, None, ""])
async def test_maxs_count_of_one_is_taken_and_says_nothing(given: object) -> None:
    async with world() as w:
        drawn = await w.call(MAX, SMALLEST[MAX] | {"output_count": given, "count": 2})
        assert not drawn.is_error, said(drawn)
        assert w.task_count == 2
        assert all(b"output_count" not in sent.body for sent in w.wire.sent)


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("tool", [PRO, REMIX, "list_tasks", "check_pricing", "check_balance"])
async def test_what_hosts_add_is_dropped_and_named(tool: str, era: str) -> None:
    async with world(era=era) as w:
        added: dict[str, Any] = dict.fromkeys(HOST_ADDED, "x")
        answer = await w.call(tool, SMALLEST[tool] | added)
        assert not answer.is_error, said(answer)
        told = f"Not used, because hosts add them for themselves: {', '.join(HOST_ADDED)}."
        assert facts(answer)["notice"].endswith(told)
        assert told in said(answer)
        assert all(b'"x"' not in sent.body for sent in w.wire.sent)
        assert told not in said(await w.call(tool, SMALLEST[tool]))


def test_every_tool_can_tell_what_was_dropped() -> None:
    assert all("notice" in tool.output.model_fields for tool in offered(VARIANTS))


NOT_ONE = "is not a parameter"
SHAPE = f"{NOT_ONE}: aspect_ratio sets the shape, and convert_image makes a copy of an exact size."
SUFFIX = f"{NOT_ONE}: the suffix of save_as decides the format, .png, .jpg or .webp."
HINTS: dict[str, dict[str, str]] = {
    "n num_images num_outputs samples number_of_images numImages": {
        **dict.fromkeys([PRO, KLEIN, MAX, REMIX], f"{NOT_ONE}; did you mean count?"),
        **dict.fromkeys(["get_task", "check_pricing", "check_balance", "login"], f"{NOT_ONE}. T"),
    },
    "output_count": dict.fromkeys([PRO, KLEIN, REMIX], f"{NOT_ONE}; did you mean count?"),
    "n count max_results": {"list_tasks": f"{NOT_ONE}; did you mean limit?"},
    "filename file_name output_path outputPath output_file": {
        **dict.fromkeys([PRO, KLEIN, MAX, REMIX], f"{NOT_ONE}; did you mean save_as?"),
        "get_task": NOT_ONE,
    },
    "size image_size width height": {
        **dict.fromkeys([PRO, KLEIN, MAX, REMIX], SHAPE),
        **dict.fromkeys(["get_task", "list_tasks"], f"{NOT_ONE}. The parameters are"),
    },
    "output_format outputFormat format": {
        **dict.fromkeys([PRO, KLEIN, MAX, REMIX], SUFFIX),
        "get_task": f"{NOT_ONE}. The parameters are",
    },
    "seed steps guidance negative_prompt": dict.fromkeys(
        [PRO, KLEIN, MAX, REMIX, "get_task"], "RunAPI's Flux 2 has no such setting."
    ),
    "model variant": {
        PRO: f"{NOT_ONE}: each model is a tool of its own.",
        "get_task": f"{NOT_ONE}. The parameters are",
    },
}


@pytest.mark.parametrize(
    ("tool", "name", "hint"),
    [
        (tool, name, hint)
        for names, hints in HINTS.items()
        for name in names.split()
        for tool, hint in hints.items()
    ],
)
async def test_an_unknown_name_is_refused_with_what_works_in_that_tool(
    tool: str, name: str, hint: str
) -> None:
    async with world() as w:
        refused = await w.call(tool, SMALLEST[tool] | {name: 2})
        assert refused.is_error
        assert hint in said(refused)
        assert "output_count" not in said(refused).replace(repr(name), "")
        assert w.wire.sent == []
