"""`runapi-mcp demo`: a real MCP client draws a picture in the sandbox, and remixes it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
import click

from runapi_mcp.base.catalog import VARIANTS, Action, tiers_of
from runapi_mcp.base.catalog.tiers import PRO
from runapi_mcp.base.errors import Failure
from runapi_mcp.cli.event_loop import run_interruptible

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import CallToolResult

    from runapi_mcp.cli.demo_view import Stage

DEFAULT_PROMPT: Final = "a red fox in the snow"
DEFAULT_RESOLUTION: Final = "1k"
DEFAULT_REMIX: Final = "the same scene on a violet night"


class DemoFailed(Failure):
    """The demo's tool call came back as an error."""


@dataclass(frozen=True, slots=True)
class Wishes:
    tier: str
    aspect_ratio: str
    output_resolution: str
    folder: Path | None

    def tool(self, action: Action) -> str:
        """The tier's tool for it; the first tier's, where this one has none."""
        able = [variant for variant in VARIANTS if variant.action == action]
        own = (variant for variant in able if variant.tier.name == self.tier)
        return next(own, able[0]).tool_name

    def arguments(self, prompt: str) -> dict[str, object]:
        arguments: dict[str, object] = {"prompt": prompt, "aspect_ratio": self.aspect_ratio}
        # Unset is the same, and right for a variant that has no resolutions.
        if self.output_resolution != DEFAULT_RESOLUTION:
            arguments["output_resolution"] = self.output_resolution
        return arguments


@click.command("demo")
@click.argument("prompt", default=DEFAULT_PROMPT)
@click.option(
    "--variant",
    type=click.Choice([tier.name for tier in tiers_of(VARIANTS)]),
    default=PRO.name,
    show_default=True,
    help="The tier to draw with.",
)
@click.option("--remix", default=DEFAULT_REMIX, show_default=True, help="What to make of it next.")
@click.option("--no-remix", is_flag=True, help="Draw one picture only.")
@click.option("--ratio", default="1:1", show_default=True, help="Aspect ratio, e.g. 16:9.")
@click.option(
    "--resolution",
    type=click.Choice(["1k", "2k"]),
    default=DEFAULT_RESOLUTION,
    show_default=True,
    help="About 1 or 4 megapixels.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the pictures.  [default: runapi in your pictures folder]",
)
def command(
    *,
    prompt: str,
    variant: str,
    remix: str,
    no_remix: bool,
    ratio: str,
    resolution: str,
    output: Path | None,
) -> None:
    """Draw PROMPT in the sandbox, as an agent would: no key, no cost.

    Starts the server as a subprocess over stdio, lists its tools, draws a picture, then makes
    another out of it, and saves both.
    """
    for text in (prompt, remix):
        if not text.isprintable():
            raise DemoFailed(f"{text!r} is not text.", "Write the prompt in UTF-8, on one line.")
    wishes = Wishes(variant, ratio, resolution, output)
    prompts = [prompt] if no_remix else [prompt, remix]
    run_interruptible(partial(_run, prompts, wishes))


async def _run(prompts: list[str], wishes: Wishes) -> None:
    from mcp import MCPError

    try:
        await _perform(prompts, wishes)
    except* MCPError as errors:
        reason = errors.exceptions[0]
        happened = f"The server ended the session ({reason})."
        raise DemoFailed(happened, "It says why in the line above.") from reason


async def _perform(prompts: list[str], wishes: Wishes) -> None:
    from mcp import Client, StdioServerParameters, stdio_client

    from runapi_mcp.base.settings import sandbox_environment
    from runapi_mcp.cli.demo_view import Stage

    stage = Stage()
    folder = {"RUNAPI_OUTPUT_DIR": str(wishes.folder.absolute())} if wishes.folder else {}
    server = StdioServerParameters(
        command=sys.executable,
        args=["-P", "-m", "runapi_mcp", "--sandbox"],
        env=sandbox_environment() | folder,
    )
    started = anyio.current_time()
    async with Client(stdio_client(server)) as client:
        tools = (await client.list_tools()).tools
        stage.ready(anyio.current_time() - started, [tool.name for tool in tools])
        sources: list[str] = []
        for prompt in prompts:
            sources = await _draw(client, stage, wishes, prompt, sources)
    stage.close()


async def _draw(
    client: Client, stage: Stage, wishes: Wishes, prompt: str, sources: list[str]
) -> list[str]:
    """Draw one picture, from the sources if there are any, and show it; returns its task's id."""
    tool = wishes.tool("remix_image" if sources else "text_to_image")
    arguments = wishes.arguments(prompt) | ({"source_image_urls": sources} if sources else {})
    with stage.calling(tool, prompt) as show:

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            show(message or f"{progress:.0f} s")

        facts = _facts(await client.call_tool(tool, arguments, progress_callback=on_progress))
        task = {"task_id": str(facts["task_id"])}
        while "image_urls" not in facts:
            facts = _facts(await client.call_tool("get_task", task, progress_callback=on_progress))
    if "image_paths" not in facts:
        happened = facts.get("not_saved", "The picture was not saved.")
        raise DemoFailed(str(happened), "Choose another folder with --output.")
    for path in cast("list[str]", facts["image_paths"]):
        stage.picture(Path(path), facts)
    return [task["task_id"]]


def _facts(result: CallToolResult) -> dict[str, Any]:
    facts = cast("dict[str, Any] | None", result.structured_content)
    if result.is_error or facts is None:
        said = " ".join(str(getattr(block, "text", "")) for block in result.content)
        raise DemoFailed(
            f"The picture was not drawn. The tool answered:\n\n{said}\n\n",
            "Change what it names and run the demo again.",
        )
    return facts
