"""What fetching, saving and previewing a 2k picture costs our server, beside not doing it.

Each server is a process of its own, asked over stdio by an MCP client; two in turn, one as it comes
and one with RUNAPI_SAVE=off and RUNAPI_PREVIEW=off. RunAPI is a sandbox in this process that draws
at once; every picture is one PNG of 2048 x 2048 with the noise of a photograph, about 6 MB. The
benchmark's own work is in a process of its own and counts for neither.

CPU: user and system time of the server and of those that decode for it, in the kernel's ticks of
10 ms. The first picture is told apart, because it imports the room and starts a decoder.
Memory: the largest resident set of a process's life, its decoders' added; one that drew a picture,
then another that drew eight at once.
Event loop: servers that beat beside their work (probed_server.py) say how late each beat was. Of
that, what the loop's thread spent in the kernel's queue for a CPU is the machine's affair; the rest
it was blocked: it computed, or waited for the interpreter's lock, or in a call of the system.
Imports: what a server imports from its start to the answer to tools/list.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from itertools import count
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Final, Literal, cast

import anyio
from figures import Limits, at_least_two
from host import RUNAPI_MCP, Json, clean_environ
from loopback import KEY, Loopback, loopback
from mcp import Client, StdioServerParameters, stdio_client
from PIL import Image, ImageOps

MOST_CPU_MS: Final = 400.0
MOST_MEMORY_MB: Final = 150.0
MOST_BLOCKED_MS: Final = 20.0
PICTURE_PX: Final = 2048
NOISE: Final = 2.5
"""In steps of a channel's 256: what makes a PNG of this size 6 MB."""
AT_ONCE: Final = 8
LATER: Final = 4
"""Pictures after a server's first."""
LONGEST_CALL_SECONDS: Final = 60.0

ONLY_WHEN_NEEDED: Final = (
    "PIL",
    "httpx",
    "platformdirs",
    "runapi_mcp.images.fetching",
    "runapi_mcp.images.download",
    "runapi_mcp.images.workers",
    "runapi_mcp.images.inspection",
    "runapi_mcp.images.saving",
    "runapi_mcp.images.local_image",
)

Side = Literal["pictures", "without"]
SIDES: Final[Sequence[Side]] = ("pictures", "without")

_PROBED: Final = str(Path(__file__).with_name("probed_server.py"))
_TOOL: Final = "flux_2_pro_text_to_image"
_OFF: Final = {"RUNAPI_SAVE": "off", "RUNAPI_PREVIEW": "off"}
_NUMBERS: Final = count(1)


@dataclass(slots=True)
class Costs:
    """What one side cost, a number a round; CPU is of one picture."""

    first_cpu_ms: list[float] = field(default_factory=list[float])
    later_cpu_ms: list[float] = field(default_factory=list[float])
    eight_cpu_ms: list[float] = field(default_factory=list[float])
    one_peak_mb: list[float] = field(default_factory=list[float])
    eight_peak_mb: list[float] = field(default_factory=list[float])
    late_ms: list[float] = field(default_factory=list[float])
    """The latest beat."""
    blocked_ms: list[float] = field(default_factory=list[float])
    """The longest that the loop was blocked between two beats."""
    computed_ms: list[float] = field(default_factory=list[float])
    """The longest that its thread computed between two beats."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs, and where it writes of itself."""

    client: Client
    folder: Path
    pictures: bool
    """Whether it must save and preview them."""

    @property
    def _family(self) -> list[Path]:
        """The process, and those that it has decode."""
        pid = (self.folder / "pid").read_text()
        told = [each.read_text() for each in Path("/proc", pid, "task").glob("*/children")]
        return [Path("/proc", each) for each in (pid, *" ".join(told).split())]

    def cpu_ms(self) -> float:
        """What the processes have computed so far, with all their threads."""
        return sum(map(_cpu_ms, self._family))

    def peak_mb(self) -> float:
        """The largest resident set so far; of several, as if all were largest at once."""
        return sum(map(_peak_mb, self._family))

    def longest_ms(self, since: float) -> tuple[float, float, float]:
        """How late a beat was, how long the loop blocked and computed, each at most."""
        lines = (self.folder / "beats").read_text().splitlines()
        beats = [tuple(map(float, line.split())) for line in lines]
        late, blocked, computed = zip(*(beat[1:] for beat in beats if beat[0] > since), strict=True)
        return max(late) * 1000, max(blocked) * 1000, max(computed) * 1000

    async def draw(self, pictures: int = 1) -> None:
        """Have so many pictures drawn at once."""
        async with anyio.create_task_group() as group:
            for _ in range(pictures):
                group.start_soon(self._draw)

    async def _draw(self) -> None:
        arguments: Json = {
            # No two alike: the same one again would be continued, not drawn.
            "prompt": f"A red fox in the snow, number {next(_NUMBERS)} [[takes 0s]]",
            "aspect_ratio": "1:1",
            "output_resolution": "2k",
        }
        with anyio.fail_after(LONGEST_CALL_SECONDS):
            result = await self.client.call_tool(_TOOL, arguments)
        facts = cast("Json", result.structured_content or {})
        shown = any(block.type == "image" for block in result.content)
        got = facts.get("status"), "image_paths" in facts, shown
        if got != ("completed", self.pictures, self.pictures):
            sys.exit(f"A picture came otherwise than it should: {got}, {result.content}")


def _cpu_ms(process: Path) -> float:
    after_name = (process / "stat").read_text().rpartition(")")[2].split()
    return sum(map(int, after_name[11:13])) * 1000 / os.sysconf("SC_CLK_TCK")


def _peak_mb(process: Path) -> float:
    lines = (process / "status").read_text().splitlines()
    [peak] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(peak) * 1024 / 1e6


def main() -> int:
    """Run the rounds, print the figures, check the limits."""
    parser = argparse.ArgumentParser(description="What pictures cost runapi-mcp.")
    explained = "new servers of each kind (default 5)"
    parser.add_argument("--rounds", type=at_least_two, metavar="N", default=5, help=explained)
    rounds = parser.parse_args().rounds
    if not Path("/proc/self/status").exists():
        sys.exit("Not measured: CPU and memory are read from /proc, which only Linux has.")
    return anyio.run(_measure_all, rounds)


async def _measure_all(rounds: int) -> int:
    png, limits = _photograph(), Limits()
    print(f"{PICTURE_PX} x {PICTURE_PX}, a PNG of {len(png) / 1e6:.1f} MB, {rounds} rounds")
    costs: dict[Side, Costs] = {side: Costs() for side in SIDES}
    async with loopback(png) as runapi:
        for number in range(rounds):
            for side in SIDES[:: -1 if number % 2 else 1]:
                await _measure(runapi, side, costs[side])
        imported = await _imports_of_a_start(runapi)
    _print(costs)
    _check(costs["pictures"], costs["without"], limits)
    early = [name for name in ONLY_WHEN_NEEDED if name in imported]
    limits.fact(
        f"a start imports no {', '.join(early) or 'Pillow, HTTP or images'}", holds=not early
    )
    return limits.exit_status


async def _measure(runapi: Loopback, side: Side, costs: Costs) -> None:
    async with _server(runapi, side) as server:
        await server.client.list_tools()
        before = server.cpu_ms()
        await server.draw()
        first = server.cpu_ms()
        costs.first_cpu_ms.append(first - before)
        costs.one_peak_mb.append(server.peak_mb())
        for _ in range(LATER):
            await server.draw()
        costs.later_cpu_ms.append((server.cpu_ms() - first) / LATER)
    async with _server(runapi, side) as server:
        await server.client.list_tools()
        before = server.cpu_ms()
        await server.draw(AT_ONCE)
        costs.eight_cpu_ms.append((server.cpu_ms() - before) / AT_ONCE)
        costs.eight_peak_mb.append(server.peak_mb())
    async with _server(runapi, side, "--beats") as server:
        await server.client.list_tools()
        # Its first request imports the HTTP client, with pictures or without.
        await server.client.call_tool("check_balance", {})
        since = monotonic()
        await server.draw()
        await server.draw(AT_ONCE)
        late_ms, blocked_ms, computed_ms = server.longest_ms(since)
        costs.late_ms.append(late_ms)
        costs.blocked_ms.append(blocked_ms)
        costs.computed_ms.append(computed_ms)


@asynccontextmanager
async def _server(runapi: Loopback, side: Side, *options: str) -> AsyncGenerator[Server]:
    """A new server in a home of its own."""
    with clean_environ() as environ, tempfile.TemporaryDirectory() as told:
        environ.update(_settings(runapi, environ["HOME"]))
        environ.update(_OFF if side == "without" else {})
        parameters = StdioServerParameters(
            command=sys.executable, args=[_PROBED, told, *options], env=environ
        )
        async with Client(parameters) as client:
            yield Server(client, Path(told), pictures=side == "pictures")


def _settings(runapi: Loopback, home: str) -> dict[str, str]:
    return {
        "RUNAPI_BASE_URL": runapi.base_url,
        "RUNAPI_API_KEY": KEY,
        "RUNAPI_OUTPUT_DIR": str(Path(home, "pictures")),
        "XDG_STATE_HOME": str(Path(home, "state")),
    }


async def _imports_of_a_start(runapi: Loopback) -> set[str]:
    """What a server has imported once it has listed its tools."""
    with clean_environ() as environ, tempfile.TemporaryFile("w+") as said:
        environ.update(_settings(runapi, environ["HOME"]), PYTHONPROFILEIMPORTTIME="1")
        parameters = StdioServerParameters(
            command=RUNAPI_MCP[0], args=[*RUNAPI_MCP[1:]], env=environ
        )
        async with Client(stdio_client(parameters, errlog=said)) as client:
            await client.list_tools()
        said.seek(0)
        names = {line.rpartition("|")[2].strip() for line in said if line.startswith("import time")}
    if "runapi_mcp.tools" not in names:
        sys.exit("The server did not say what it imports.")
    return names


def _photograph() -> bytes:
    """A smooth picture with noise of its own in each colour, as a camera has."""
    size, out = (PICTURE_PX, PICTURE_PX), BytesIO()
    smooth = ImageOps.fit(Image.linear_gradient("L"), size)
    colours = [
        Image.blend(Image.effect_noise(size, NOISE * 2), part, 0.5)
        for part in (smooth, smooth.rotate(90), smooth.rotate(180))
    ]
    Image.merge("RGB", colours).save(out, "PNG")
    return out.getvalue()


def _print(costs: dict[Side, Costs]) -> None:
    print(f"{'':<44}{'pictures':>9}{'without':>9}{'worst':>9}")
    rows = (
        ("CPU ms, the first picture", "first_cpu_ms"),
        ("CPU ms, a later one", "later_cpu_ms"),
        ("CPU ms, each of eight at once", "eight_cpu_ms"),
        ("peak MB, one", "one_peak_mb"),
        ("peak MB, eight at once", "eight_peak_mb"),
        ("event loop: latest beat, ms", "late_ms"),
        ("of that blocked at most, ms", "blocked_ms"),
        ("of that computing at most, ms", "computed_ms"),
    )
    for words, name in rows:
        ours, others = (getattr(costs[side], name) for side in SIDES)
        print(f"{words:<44}{median(ours):>9.1f}{median(others):>9.1f}{max(ours):>9.1f}")


def _check(ours: Costs, others: Costs, limits: Limits) -> None:
    for words, with_, without, most in (
        ("CPU ms added by the first picture", ours.first_cpu_ms, others.first_cpu_ms, MOST_CPU_MS),
        ("CPU ms added by a later one", ours.later_cpu_ms, others.later_cpu_ms, MOST_CPU_MS),
        ("CPU ms added by each of eight", ours.eight_cpu_ms, others.eight_cpu_ms, MOST_CPU_MS),
        ("MB added at the peak", ours.one_peak_mb, others.one_peak_mb, MOST_MEMORY_MB),
        ("MB added by eight at once", ours.eight_peak_mb, others.eight_peak_mb, MOST_MEMORY_MB),
    ):
        limits.number(words, median(with_) - median(without), most)
    limits.number("ms the event loop was blocked, worst", max(ours.blocked_ms), MOST_BLOCKED_MS)


if __name__ == "__main__":
    sys.exit(main())
