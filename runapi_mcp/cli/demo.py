"""`runapi-mcp demo`: a real MCP client draws a picture in the sandbox, and remixes it."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import anyio
import click

from runapi_mcp.base.catalog import VARIANTS, Action, Variant, tiers_of
from runapi_mcp.base.catalog.tiers import PRO
from runapi_mcp.base.errors import Failure
from runapi_mcp.cli.command_words import require_usable
from runapi_mcp.cli.event_loop import run_interruptible
from runapi_mcp.cli.spinner import Spinner, spinning

if TYPE_CHECKING:
    from mcp import Client
    from mcp_types import CallToolResult

    from runapi_mcp.cli.demo_view import Stage

DEFAULT_PROMPT: Final = "a red fox in the snow"
DEFAULT_RESOLUTION: Final = "1k"
DEFAULT_REMIX: Final = "the same scene on a violet night"
_SOME_TASK: Final = "00000000-0000-4000-8000-000000000000"
"""In the place of the first picture's, before that is drawn."""


class DemoFailed(Failure):
    """The demo's tool call came back as an error."""


@dataclass(frozen=True, slots=True)
class Wishes:
    tier: str
    aspect_ratio: str
    output_resolution: str
    folder: Path | None

    def variant(self, action: Action) -> Variant:
        """The tier's; the first tier's, where this one has none."""
        able = [variant for variant in VARIANTS if variant.action == action]
        own = (variant for variant in able if variant.tier.name == self.tier)
        return next(own, able[0])

    def call(self, prompt: str, sources: Sequence[str] = ()) -> tuple[Variant, dict[str, object]]:
        """The tool that draws it from the sources, if there are any, and the arguments."""
        arguments: dict[str, object] = {"prompt": prompt, "aspect_ratio": self.aspect_ratio}
        # Unset is the same, and right for a variant that has no resolutions.
        if self.output_resolution != DEFAULT_RESOLUTION:
            arguments["output_resolution"] = self.output_resolution
        if not sources:
            return self.variant("text_to_image"), arguments
        return self.variant("remix_image"), {**arguments, "source_image_urls": list(sources)}


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
    help="Folder for the pictures.  [default: RUNAPI_OUTPUT_DIR, else a temporary one]",
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
    with spinning("starting the server") as spinner:
        for text, sources in zip(prompts, ([], [_SOME_TASK]), strict=False):
            require_usable(*wishes.call(text, sources))
        try:
            run_interruptible(partial(_run, prompts, wishes, spinner))
        except KeyboardInterrupt:
            spinner.end()
            click.echo("\nStopped. It was practice: nothing was paid.", err=True)
            sys.exit(130)


async def _run(prompts: list[str], wishes: Wishes, spinner: Spinner) -> None:
    from mcp import MCPError

    # What the server logs is told where it fails: as it is stopped, it names tasks that end too.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as file:
        log = cast("TextIO", file)  # its type is one of the file it wraps
        try:
            await _perform(prompts, wishes, spinner, log)
        except* MCPError as errors:
            spinner.end()
            log.seek(0)
            click.echo(log.read(), nl=False, err=True)
            reason = errors.exceptions[0]
            happened = f"The server ended the session ({reason})."
            raise DemoFailed(happened, "It says why in the line above.") from reason


async def _perform(prompts: list[str], wishes: Wishes, spinner: Spinner, log: TextIO) -> None:
    from mcp import Client, StdioServerParameters, stdio_client

    from runapi_mcp.base.settings import OUTPUT_DIR, sandbox_environment
    from runapi_mcp.cli.demo_view import Stage

    environment = sandbox_environment()
    if wishes.folder or not environment.get(OUTPUT_DIR):
        environment[OUTPUT_DIR] = str(wishes.folder.absolute() if wishes.folder else _new_folder())
    server = StdioServerParameters(
        command=sys.executable, args=["-P", "-m", "runapi_mcp", "--sandbox"], env=environment
    )
    started = anyio.current_time()
    async with Client(stdio_client(server, errlog=log)) as client:
        tools = (await client.list_tools()).tools
        spinner.end()
        stage = Stage()
        stage.ready(anyio.current_time() - started, [tool.name for tool in tools])
        sources: list[str] = []
        for prompt in prompts:
            sources = await _draw(client, stage, wishes, prompt, sources)
    stage.close()


def _new_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="runapi-demo-"))


async def _draw(
    client: Client, stage: Stage, wishes: Wishes, prompt: str, sources: list[str]
) -> list[str]:
    """Draw one picture, from the sources if there are any, and show it; returns its task's id."""
    variant, arguments = wishes.call(prompt, sources)
    tool = variant.tool_name
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
