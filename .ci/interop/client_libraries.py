"""Libraries that others build agents with: each is made to draw, remix and be refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pypi
from browser import HERE
from checks import Check
from model_input import judge, judge_far
from programs import RegistryUnreachable
from words import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from npm import Node

TALK_SECONDS = 120
OVER_HTTP = ("fastmcp", "langchain")
SDKS = {"old": "@modelcontextprotocol/sdk", "new": "@modelcontextprotocol/client"}


def client_checks(
    node: Node, cache: Path, packages: Path, stdio_command: list[str], url: str
) -> Iterator[Check]:
    """Each library over stdio, some over HTTP too; none of PyPI's where PyPI does not answer."""
    for name, wanted in pypi.CLIENT_LIBRARIES.items():
        try:
            python = pypi.environment(cache, wanted)
        except RegistryUnreachable as reason:
            say(f"NOT RUN client {wanted[0]}: {reason}")
            continue
        command = [str(python), str(HERE / "clients" / f"with_{name}.py")]
        yield Check(f"client {wanted[0]} stdio", [*command, *stdio_command], judge, TALK_SECONDS)
        if name in OVER_HTTP:
            yield Check(f"client {wanted[0]} HTTP", [*command, url], judge_far, TALK_SECONDS)
    sdk = [str(node.program), str(HERE / "clients" / "with_sdk.mjs"), str(packages)]
    for generation, package in SDKS.items():
        command = [*sdk, generation, *stdio_command]
        yield Check(f"client {package} stdio", command, judge, TALK_SECONDS)
    yield Check(f"client {SDKS['new']} HTTP", [*sdk, "new", url], judge_far, TALK_SECONDS)
