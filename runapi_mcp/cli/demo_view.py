"""How the demo looks in a terminal: what happens now, and the pictures with their facts."""

import os
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from runapi_mcp.cli.own_name import typed
from runapi_mcp.cli.printing import Printed, can_write
from runapi_mcp.cli.spinner import spinning
from runapi_mcp.cli.terminal_picture import NARROWEST, Draw, choose_protocol

Show = Callable[[str], None]
_PLAIN_MARKS: Final = ("ok", "->")
"""Where stdout has no others."""


class Stage:
    """A terminal, or a log where there is none."""

    def __init__(self) -> None:
        stdout: Any = Printed()  # Any: it is all of a file that is used
        self._console = Console(highlight=False, file=stdout)
        self._draw = _choose_protocol(self._console)
        self._done, self._arrow = "✓→" if can_write("✓→", sys.stdout) else _PLAIN_MARKS
        self._console.print(
            "[bold]runapi-mcp demo[/]  [dim]a client, this server, the sandbox; no key, no cost[/]"
        )

    def ready(self, seconds: float, tools: list[str]) -> None:
        count = len(tools)
        self._console.print(
            f"[green]{self._done}[/] the server started in {seconds:.1f} s with {count} tools"
        )
        self._console.print(Padding(f"[dim]{', '.join(tools)}[/]", (0, 0, 0, 2)))

    @contextmanager
    def calling(self, tool: str, prompt: str) -> Generator[Show]:
        """A call in progress: a spinner in a terminal, a line a message in a log."""
        self._console.print(f"\n[cyan]{self._arrow}[/] {tool}  [italic]{escape(prompt)}[/]")
        if not self._console.is_terminal:
            yield lambda message: self._console.print(f"  [dim]{escape(message)}[/]")
            return
        with spinning("sending") as spinner:
            yield spinner.say

    def picture(self, path: Path, facts: Mapping[str, Any]) -> None:
        with Image.open(path) as image:
            size = f"{image.width} x {image.height}"
            drawn = self._draw(image.convert("RGB")) if self._draw else ""
        # A path that wraps cannot be clicked or copied.
        self._console.print(f"[green]{self._done}[/] [bold]{escape(str(path))}[/]", soft_wrap=True)
        self._console.print(f"  {size}, {path.stat().st_size / 1000:.0f} kB")
        self._console.print(f"  task {facts['task_id']}", soft_wrap=True)
        self._console.print(f"  price ${facts['cost_cents'] / 100:.2f}, in pretend money")
        if drawn:
            self._console.file.write(f"{drawn}\n")

    def close(self) -> None:
        self._console.print(
            "\nThe sandbox stands in for RunAPI: its pictures are stand-ins. For real ones:"
        )
        self._console.print(f"  {typed('login')}\n  {typed('install')}", soft_wrap=True)


def _choose_protocol(console: Console) -> Draw | None:
    """How pictures show on the console; None where there is no terminal, or no wish for colour."""
    # FORCE_COLOR makes a terminal of anything, for rich.
    if not console.file.isatty() or console.is_dumb_terminal or console.no_color:
        return None
    if console.width < NARROWEST or not can_write("▀", sys.stdout):
        return None
    return choose_protocol(os.environ, truecolor=console.color_system == "truecolor")
