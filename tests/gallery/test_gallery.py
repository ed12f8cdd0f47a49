"""The gallery as hosts of MCP Apps find it: listed, readable, bound to tools, and safe to show."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError
from mcp.client.extension import advertise
from mcp_types import TextResourceContents

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.gallery import page_meta
from tests.support.photos import REMIX, asking, photo, remixing
from tests.support.pictures import DRAW
from tests.support.world import BASE_URL, ERAS, facts, world

pytestmark = pytest.mark.anyio
ERA = pytest.mark.parametrize("era", ERAS)

URI = "ui://runapi/gallery.html"
MIME_TYPE = "text/html;profile=mcp-app"
FRAMING: dict[str, dict[str, Any]] = {
    "ui": {
        "csp": {"resourceDomains": ["https://runapi.ai", "https://*.runapi.ai", BASE_URL]},
        "permissions": {"clipboardWrite": {}},
        "prefersBorder": True,
    }
}
_SHOWS_PAGES = {"extensions": [advertise("io.modelcontextprotocol/ui")]}
_TOOLS_OF_A_TASK = {variant.tool_name for variant in VARIANTS} | {"get_task"}


@ERA
async def test_the_page_is_listed_with_its_frame(era: str) -> None:
    async with world(era=era) as w:
        (listed,) = (await w.client.list_resources()).resources
        assert (str(listed.uri), listed.mime_type, listed.meta) == (URI, MIME_TYPE, FRAMING)
        assert listed.name
        assert listed.title
        assert listed.description


@ERA
async def test_the_page_is_read_with_the_same_frame(era: str) -> None:
    async with world(era=era) as w:
        (contents,) = (await w.client.read_resource(URI)).contents
        assert isinstance(contents, TextResourceContents)
        assert (contents.uri, contents.mime_type, contents.meta) == (URI, MIME_TYPE, FRAMING)
        assert contents.text.startswith("<!doctype html>")


@ERA
async def test_another_resource_is_an_error_that_names_it(era: str) -> None:
    async with world(era=era) as w:
        with pytest.raises(MCPError, match="no such resource"):
            await w.client.read_resource("ui://runapi/elsewhere.html")


@ERA
async def test_the_page_is_bound_to_each_tool_that_answers_with_a_task_and_to_no_other(
    era: str,
) -> None:
    async with world(era=era) as w:
        tools = (await w.client.list_tools()).tools
        bound = {tool.name: tool.meta for tool in tools if tool.meta is not None}
        binding = {"ui": {"resourceUri": URI}, "ui/resourceUri": URI}
        assert bound == dict.fromkeys(_TOOLS_OF_A_TASK, binding)


async def test_the_server_says_that_it_has_apps() -> None:
    async with world() as w:
        assert "io.modelcontextprotocol/ui" in (w.client.server_capabilities.extensions or {})


async def test_the_page_may_be_kept_for_an_hour() -> None:
    async with world() as w:
        read = await w.client.read_resource(URI)
        assert (read.ttl_ms, read.cache_scope) == (60_000, "private")


@pytest.mark.parametrize(
    ("base_url", "origins"),
    [
        ("https://runapi.ai", []),
        ("https://user:word@proxy.example:8443/runapi/", ["https://proxy.example:8443"]),
        ("http://127.0.0.1:43210", ["http://127.0.0.1:43210"]),
    ],
)
def test_images_may_come_from_runapi_and_from_where_the_server_asks(
    base_url: str, origins: list[str]
) -> None:
    csp = {"resourceDomains": ["https://runapi.ai", "https://*.runapi.ai", *origins]}
    assert page_meta(base_url) == {"ui": {**FRAMING["ui"], "csp": csp}}


@ERA
async def test_get_task_tells_the_page_what_was_asked_for(era: str, tmp_path: Path) -> None:
    source = photo(tmp_path / "photos" / "fox.png")
    async with remixing(tmp_path, era=era, client=_SHOWS_PAGES) as w:
        task_id = facts(await w.call(REMIX, asking(source)))["task_id"]
        again = asking(source, task_id) | {"output_resolution": "2k"}
        drawn_from_it = facts(await w.call(REMIX, again))["task_id"]
        for asked, drawn in ((asking(source), task_id), (again, drawn_from_it)):
            told = (await w.call("get_task", _named(drawn))).meta or {}
            assert told["runapi-mcp/asked"].items() >= asked.items()
            assert not (await w.call(REMIX, told["runapi-mcp/asked"])).is_error


@ERA
async def test_what_was_asked_for_is_told_to_pages_only_and_only_where_it_is_known(
    era: str,
) -> None:
    async with world(era=era, draw_seconds=0) as w:
        task_id = facts(await w.call(DRAW, {"prompt": "a fox"}))["task_id"]
        assert "runapi-mcp/asked" not in ((await w.call("get_task", _named(task_id))).meta or {})
        async with world(era=era, sandbox=w.sandbox, client=_SHOWS_PAGES) as elsewhere:
            got = await elsewhere.call("get_task", _named(task_id))
            assert "runapi-mcp/asked" not in (got.meta or {})


def _named(task_id: str) -> dict[str, str]:
    return {"task_id": task_id}


class _Page(HTMLParser):
    """What the page's markup names and what it has for scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(name, value or "") for name, value in attrs]
        self._in_script = tag == "script"

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)
        self._in_script = False


async def _page() -> tuple[str, _Page]:
    async with world() as w:
        (contents,) = (await w.client.read_resource(URI)).contents
        assert isinstance(contents, TextResourceContents)
        return contents.text, _Page(contents.text)


async def test_the_page_is_whole_by_itself() -> None:
    text, page = await _page()
    assert not {"src", "href", "srcset", "action"} & {name for name, _ in page.attributes}
    assert not re.search(r"https?://\w|@import|\burl\(|\bimport\b *[({'\"]", text)
    assert len(page.scripts) == 1
    assert len(text.encode()) < 44_000


async def test_the_page_knows_every_variant() -> None:
    _, page = await _page()
    [rows] = re.findall(r"^const VARIANTS = (.*);$", page.scripts[0], re.MULTILINE)
    known = {row["model"]: row for row in json.loads(rows)}
    assert list(known) == [variant.model for variant in VARIANTS]
    assert known["flux-2-klein"] == {
        "model": "flux-2-klein",
        "tool": "flux_2_klein_text_to_image",
        "tier": "Klein",
        "action": "text_to_image",
        "resolutions": [],
        "needsRatio": False,
    }
    assert [m for m, row in known.items() if row["needsRatio"]] == [
        "flux-2-max-text-to-image",
        "flux-2-max-remix-image",
    ]


async def test_the_page_never_takes_text_for_markup_or_code() -> None:
    text, page = await _page()
    for name in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "srcdoc"):
        assert name not in text
    assert not re.search(r"\beval\(|new Function|setTimeout\(['\"]", text)
    assert not any(name.startswith("on") for name, _ in page.attributes)


async def test_the_page_asks_by_no_window_of_the_browser() -> None:
    _, page = await _page()
    assert not re.search(r"(?<![\w.])(alert|confirm|prompt|open)\(", page.scripts[0])


def test_the_page_is_not_read_before_a_host_asks() -> None:
    script = (
        "import runapi_mcp.server, runapi_mcp.gallery as gallery\n"
        "print(gallery.read_page.cache_info().currsize)"
    )
    command = [sys.executable, "-c", script]
    assert subprocess.check_output(command, text=True).strip() == "0"  # noqa: S603 - our own code
