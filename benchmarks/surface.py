"""What our tools cost a model's context before it has called one.

Counted is what hosts hand to the model: name, description and inputSchema of every tool that
tools/list sends over the pipe, as compact JSON, and the instructions. The unit is o200k tokens when
`bpe-openai` is installed, else an estimate from the bytes. Nothing here varies: `--rounds` starts
the server that often to see that it lists the same bytes each time, on which prompt caches depend.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from figures import Limits, at_least_two
from host import RUNAPI_MCP, Host, Json, clean_environ

MOST_TOKENS: Final[Mapping[str, int]] = {"": 3260, "pro": 1500}
"""The limit of tools/list, by what RUNAPI_VARIANTS says."""
MOST_INSTRUCTION_TOKENS: Final = 250
MOST_INSTRUCTION_CHARACTERS: Final = 1200
FIRST_CHARACTERS: Final = 250
"""All that some hosts show of the instructions."""

JSON_BYTES_PER_TOKEN: Final = 3.82
"""Measured on all tools with o200k, 2026-11-21."""
PROSE_BYTES_PER_TOKEN: Final = 4.31
"""Measured on the instructions with o200k, 2026-11-20."""

_HANDED_ON: Final = ("name", "description", "inputSchema")

Count = Callable[[str, float], int]
"""The tokens of a text; the number is its bytes per token, for want of a tokeniser."""


@dataclass(frozen=True, slots=True)
class Surface:
    """What a host learns before any call."""

    tools: list[Json]
    instructions: str

    @property
    def listing(self) -> str:
        return _compact(self.tools)


def main() -> int:
    """Count, print the tables, check the limits."""
    parser = argparse.ArgumentParser(description="Tokens of runapi-mcp's tools and instructions.")
    explained = "starts to compare (default 3)"
    parser.add_argument("--rounds", type=at_least_two, metavar="N", default=3, help=explained)
    rounds = parser.parse_args().rounds
    unit, count = _tokeniser()
    limits = Limits()
    for variants, most in MOST_TOKENS.items():
        print(f"RUNAPI_VARIANTS={variants or '(unset)'}, counted in {unit}")
        surfaces = [_surface(variants) for _ in range(rounds)]
        _print_tools(surfaces[0].tools, count)
        _check(limits, surfaces[0], count, most)
        limits.fact(f"{rounds} starts list the same bytes", holds=_all_same(surfaces))
        print()
    return limits.exit_status


def _check(limits: Limits, surface: Surface, count: Count, most: int) -> None:
    said = surface.instructions
    first_tool = str(surface.tools[0]["name"])
    limits.count("tokens of tools/list", count(surface.listing, JSON_BYTES_PER_TOKEN), most)
    tokens = count(said, PROSE_BYTES_PER_TOKEN)
    limits.count("tokens of the instructions", tokens, MOST_INSTRUCTION_TOKENS)
    limits.count("characters of the instructions", len(said), MOST_INSTRUCTION_CHARACTERS)
    named = first_tool in said[:FIRST_CHARACTERS]
    limits.fact(f"their first {FIRST_CHARACTERS} characters name {first_tool}", holds=named)


def _print_tools(tools: list[Json], count: Count) -> None:
    print(f"{'tool':<32}{'tokens':>8}{'description':>13}{'schema':>8}{'bytes':>8}")
    for tool in tools:
        whole, schema = _compact(tool), _compact(tool["inputSchema"])
        print(
            f"{tool['name']!s:<32}{count(whole, JSON_BYTES_PER_TOKEN):>8}"
            f"{count(str(tool['description']), PROSE_BYTES_PER_TOKEN):>13}"
            f"{count(schema, JSON_BYTES_PER_TOKEN):>8}{len(whole.encode()):>8}"
        )
    whole = _compact(tools)
    total = count(whole, JSON_BYTES_PER_TOKEN)
    print(f"{f'all {len(tools)}':<32}{total:>8}{'':>13}{'':>8}{len(whole.encode()):>8}")


def _surface(variants: str) -> Surface:
    with clean_environ() as environ:
        environ["RUNAPI_VARIANTS"] = variants
        with Host(RUNAPI_MCP, environ, "2026-07-28") as host:
            instructions = str(host.ask("server/discover")["instructions"])
            tools = [{name: tool[name] for name in _HANDED_ON} for tool in host.list_tools()]
            return Surface(tools, instructions)


def _all_same(surfaces: list[Surface]) -> bool:
    return len({(surface.listing, surface.instructions) for surface in surfaces}) == 1


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _tokeniser() -> tuple[str, Count]:
    """The unit of the figures and what counts in it."""
    try:
        # By name, because checkers see no module that is not installed: it weighs 40 MB.
        encoding = import_module("bpe_openai").get_encoding("o200k_base")
    except ImportError:
        return "tokens estimated from bytes (pip install bpe-openai counts them)", _estimate
    return "o200k tokens", lambda text, _: len(encoding.encode(text))


def _estimate(text: str, bytes_per_token: float) -> int:
    return round(len(text.encode()) / bytes_per_token)


if __name__ == "__main__":
    sys.exit(main())
