"""Bad arguments are refused before anything is sent, in words that say what is allowed."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp import MCPError

from runapi_mcp.base.catalog import VARIANTS, Variant
from tests.support.world import ERAS, facts, said, world
from tests.tools.test_drawing import SOURCE, smallest_arguments

pytestmark = pytest.mark.anyio

DRAW, REMIX = "flux_2_pro_text_to_image", "flux_2_pro_remix_image"
MAX_DRAW, MAX_REMIX = "flux_2_max_text_to_image", "flux_2_max_remix_image"
FOX: dict[str, object] = {"prompt": "a red fox"}
MAX_FOX: dict[str, object] = {**FOX, "aspect_ratio": "1:1"}
REMIX_FOX: dict[str, object] = {**FOX, "source_image_urls": [SOURCE]}

REFUSED: list[tuple[str, dict[str, object], str]] = [
    (
        DRAW,
        FOX | {"aspectRatio": "1:1"},
        "'aspectRatio' is not a parameter; did you mean aspect_ratio?",
    ),
    (DRAW, FOX | {"aspect-ratio": "1:1"}, "did you mean aspect_ratio?"),
    (DRAW, FOX | {"promt": "x"}, "'promt' is not a parameter; did you mean prompt?"),
    (DRAW, FOX | {"seed": 7}, "'seed' is not a parameter: RunAPI's Flux 2 has no such setting."),
    (DRAW, FOX | {"guidance_scale": 3.5}, "RunAPI's Flux 2 has no such setting."),
    (DRAW, FOX | {"zzz": 1}, "'zzz' is not a parameter. The parameters are prompt, aspect_ratio,"),
    (REMIX, REMIX_FOX | {"image_url": SOURCE}, "did you mean source_image_urls?"),
    (
        DRAW,
        FOX | {"image_url": SOURCE},
        "source_image_urls is a parameter of flux_2_pro_remix_image,",
    ),
    (DRAW, FOX | {"source_image_urls": [SOURCE]}, "is a parameter of flux_2_pro_remix_image,"),
    (DRAW, FOX | {"output_count": 1}, "'output_count' is not a parameter; did you mean count?"),
    (
        MAX_DRAW,
        MAX_FOX | {"enable_safety_checker": True},
        "is a parameter of flux_2_pro_text_to_image,",
    ),
    (DRAW, FOX | {"model": "flux"}, "'model' is not a parameter: each model is a tool of its own."),
    (DRAW, {}, "prompt is required: text of 3-5000 characters."),
    (DRAW, {"prompt": ""}, "prompt must be text of 3-5000 characters, not ''."),
    (DRAW, {"prompt": "      "}, "prompt must be text of 3-5000 characters"),
    (DRAW, {"prompt": "ab"}, "prompt must be text of 3-5000 characters, not 'ab'."),
    (DRAW, {"prompt": "x" * 5001}, "prompt must be text of 3-5000 characters, not 5001 characters"),
    (DRAW, {"prompt": 12345}, "prompt must be text of 3-5000 characters, not 12345."),
    (DRAW, {"prompt": None}, "prompt is required"),
    (DRAW, FOX | {"aspect_ratio": "16:10"}, "aspect_ratio must be one of 1:1, 4:3, 3:4, 16:9,"),
    (DRAW, FOX | {"aspect_ratio": "auto"}, "aspect_ratio must be one of 1:1,"),
    (DRAW, FOX | {"output_resolution": "2K"}, "not '2K'. Did you mean 2k?"),
    (DRAW, FOX | {"output_resolution": "4k"}, "output_resolution must be one of 1k, 2k, not '4k'."),
    (DRAW, FOX | {"enable_safety_checker": "maybe"}, "enable_safety_checker must be true or false"),
    (
        DRAW,
        FOX | {"enable_safety_checker": 1},
        "enable_safety_checker must be true or false, not 1.",
    ),
    (DRAW, FOX | {"wait_seconds": 601}, "wait_seconds must be a whole number, 0-600 s"),
    (
        DRAW,
        FOX | {"wait_seconds": -1},
        "wait_seconds must be a whole number, 0-600 s, not -1.",
    ),
    (DRAW, FOX | {"wait_seconds": True}, "wait_seconds must be a whole number"),
    (DRAW, FOX | {"wait_seconds": 1.5}, "wait_seconds must be a whole number"),
    (DRAW, FOX | {"wait_seconds": "١٢"}, "wait_seconds must be a whole number"),
    (DRAW, FOX | {"wait_seconds": "9" * 5_000}, "wait_seconds must be a whole number, 0-600 s"),
    (
        DRAW,
        FOX | {"callback_url": "ftp://x.y/z"},
        "callback_url must be a full http:// or https:// URL",
    ),
    (
        DRAW,
        FOX | {"callback_url": "http://"},
        "callback_url must be a full http:// or https:// URL",
    ),
    (DRAW, FOX | {"callback_url": "http://[::1"}, "callback_url must be a full http://"),
    (DRAW, FOX | {"callback_url": "https://a.b:99999/"}, "callback_url must be a full http://"),
    (
        DRAW,
        FOX | {"callback_url": "https://a.b/\nHost: c"},
        "callback_url must be a full http:// or https:// URL, in ASCII",
    ),
    (REMIX, FOX, "source_image_urls is required: an array of 1-8 URLs, paths or task_ids."),
    (
        REMIX,
        FOX | {"source_image_urls": []},
        "an array of 1-8 URLs, paths or task_ids, not a list of 0.",
    ),
    (
        REMIX,
        FOX | {"source_image_urls": [SOURCE] * 9},
        "an array of 1-8 URLs, paths or task_ids, not a list of 9.",
    ),
    *[
        (REMIX, FOX | {"source_image_urls": given}, "source_image_urls must be an array")
        for given in ("", " ", "null", 7, {"url": SOURCE})
    ],
    (
        REMIX,
        FOX | {"source_image_urls": [SOURCE, "ftp://example.com/a.png"]},
        "source_image_urls[1] must be an http or https URL, a path or a task_id (ftp: is another",
    ),
    (
        REMIX,
        FOX | {"source_image_urls": [SOURCE, 7]},
        "source_image_urls[1] must be a string, not 7.",
    ),
    (
        REMIX,
        FOX | {"source_image_urls": ["data:image/png;base64,AAAA"]},
        "source_image_urls[0] must",
    ),
    (MAX_DRAW, FOX, "aspect_ratio is required: one of 1:1, 4:3,"),
    (MAX_DRAW, MAX_FOX | {"output_resolution": "2k"}, "output_resolution must be 1k, not '2k'."),
    *[
        (MAX_DRAW, MAX_FOX | {"output_count": given}, " Set count to draw several.")
        for given in (2, "2", True, "many")
    ],
    *[
        (DRAW, FOX | {"count": given}, f"must be a whole number, 1-8 new images, not {given!r}.")
        for given in (0, 9, -1, True, "many", 1.5)
    ],
    (DRAW, FOX | {"redraw": "yes"}, "redraw must be a UUID, the task_id of an earlier answer,"),
    (
        MAX_REMIX,
        MAX_FOX | {"source_image_urls": [SOURCE] * 2},
        "an array of one URL, path or task_id, not a list of 2.",
    ),
    (MAX_REMIX, REMIX_FOX | {"aspect_ratio": "auto"}, "aspect_ratio must be one of 1:1,"),
    ("get_task", {}, "task_id is required"),
    (
        "get_task",
        {"task_id": "42"},
        "task_id must be a UUID, the task_id of an earlier answer, not '42'.",
    ),
    ("get_task", {"task_id": "../../api/v1/me"}, "task_id must be a UUID"),
    ("get_task", {"id": "x"}, "did you mean task_id?"),
    ("check_pricing", {"model": "flux-3"}, "model must be one of flux-2-pro-text-to-image,"),
    (
        "check_pricing",
        {"model": "flux-2-max-remix-image", "output_resolution": "2k"},
        "flux-2-max-remix-image does not draw at 2k.",
    ),
    ("check_balance", {"currency": "EUR"}, "'currency' is not a parameter. This tool takes no"),
]


@pytest.mark.parametrize(("tool", "arguments", "sentence"), REFUSED)
async def test_a_bad_argument_is_refused_before_anything_is_sent(
    tool: str, arguments: dict[str, object], sentence: str
) -> None:
    async with world() as w:
        result = await w.call(tool, arguments)
        assert sentence in said(result)
        assert result.is_error
        assert w.wire.sent == []


async def test_every_problem_of_a_call_is_named_at_once() -> None:
    async with world() as w:
        result = await w.call(
            MAX_REMIX, {"prompt": "a", "sourceImageUrls": [SOURCE], "wait_seconds": 999}
        )
        assert said(result) == (
            "'sourceImageUrls' is not a parameter; did you mean source_image_urls? "
            "The parameters are prompt, source_image_urls, aspect_ratio, output_resolution, "
            "callback_url, count, save_as, wait_seconds, preview_px, redraw. "
            "prompt must be text of 3-5000 characters, not 'a'. "
            "source_image_urls is required: an array of one URL, path or task_id. "
            "aspect_ratio is required: one of 1:1, 4:3, 3:4, 16:9, 9:16, 3:2, 2:3. "
            "wait_seconds must be a whole number, 0-600 s, not 999. "
            "Nothing was sent or paid; correct this and call again."
        )


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.model)
async def test_each_variant_takes_exactly_its_own_fields(variant: Variant) -> None:
    fields = {name for other in VARIANTS for name in other.field_names}
    async with world() as w:
        for name in sorted(fields - {*variant.field_names, "output_count"}):
            result = await w.call(variant.tool_name, {**smallest_arguments(variant), name: True})
            assert f"{name} is a parameter of flux_2_" in said(result)
        assert w.wire.sent == []


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"enable_safety_checker": "true"}, {"enable_safety_checker": True}),
        ({"enable_safety_checker": "False"}, {"enable_safety_checker": False}),
        ({"wait_seconds": "30"}, {}),
        ({"wait_seconds": 30.0}, {}),
        (
            {"source_image_urls": f'["{SOURCE}", "{SOURCE}?2"]'},
            {"source_image_urls": [SOURCE, f"{SOURCE}?2"]},
        ),
        ({"aspect_ratio": None}, {}),
        ({"wait_for_previous": True}, {}),
        ({"prompt": "  a red fox \n"}, {}),
    ],
)
async def test_form_is_forgiven_and_only_what_was_meant_is_sent(
    given: dict[str, object], sent: dict[str, object]
) -> None:
    async with world() as w:
        result = await w.call(REMIX, REMIX_FOX | given)
        body = next(json.loads(s.body) for s in w.wire.sent if s.method == "POST")
        assert body == {"model": "flux-2-pro-remix-image", **REMIX_FOX, **sent}
        assert not result.is_error


async def test_a_count_as_a_string_is_understood() -> None:
    async with world() as w:
        assert not (await w.call(MAX_DRAW, MAX_FOX | {"count": "1"})).is_error


@pytest.mark.parametrize("era", ERAS)
async def test_a_tool_that_does_not_exist_is_a_protocol_error(era: str) -> None:
    async with world(era=era) as w:
        with pytest.raises(MCPError, match="Did you mean flux_2_pro_text_to_image") as error:
            await w.call("flux-2-pro-text-to-image", FOX)
        assert error.value.code == -32602


@pytest.mark.parametrize("era", ERAS)
async def test_a_call_without_arguments_is_a_call_with_none(era: str) -> None:
    async with world(era=era) as w:
        assert not (await w.call("check_balance", None)).is_error
        assert "prompt is required" in said(await w.call(DRAW, None))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(sorted({n for v in VARIANTS for n in v.field_names} | {"wait_seconds"}))


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    tool=st.sampled_from([v.tool_name for v in VARIANTS]),
    arguments=st.dictionaries(names | st.text(), json_values),
)
async def test_any_json_is_either_drawn_or_refused_with_a_reason(
    tool: str, arguments: dict[str, object]
) -> None:
    async with world(draw_seconds=0) as w:
        result = await w.call(tool, arguments)
        if result.is_error:
            assert "call again" in said(result)
            assert w.task_count == 0
        else:
            assert facts(result)["task_id"]
            assert w.task_count == 1


async def test_a_flood_of_names_is_answered_in_a_few_lines() -> None:
    async with world() as w:
        result = await w.call(DRAW, FOX | {f"name_{number}": 1 for number in range(20_000)})
        assert "So are 19995 more names." in said(result)
        assert len(said(result)) < 1000


async def test_an_array_too_deep_to_read_is_refused() -> None:
    async with world() as w:
        result = await w.call(REMIX, FOX | {"source_image_urls": "[" * 100_000})
        assert "source_image_urls[0] must be at most 4096 characters" in said(result)


async def test_a_model_that_is_nearly_one_is_asked_about() -> None:
    async with world() as w:
        result = await w.call("check_pricing", {"model": "flux-2-pro-text-image"})
        assert "(did you mean flux-2-pro-text-to-image?)" in said(result)
