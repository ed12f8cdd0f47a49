"""The answers as `python -m publishing` wrote them down, for what the settings offer.

A line each: what it answers, a tab, and JSON. Where that depends on more than the line says, a mark
stands for what other lines have.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Final

from runapi_mcp.front.exchange import MODERN_VERSION

FILE: Final = "answers.txt"
MARKS: Final[Mapping[str, str]] = {"tools": '"@tools"', "instructions": '"@instructions"'}
"""What stands in place of a member of an answer."""
SAVED: Final[Mapping[bool, str]] = {True: "saved", False: "unsaved"}
TASKS: Final[Mapping[bool, str]] = {True: "tasks", False: "plain"}


def era_of(version: str) -> str:
    return "modern" if version == MODERN_VERSION else "handshake"


class Snapshot:
    """What one server answers, by version and method; None where it is not written down."""

    def __init__(self, names: Iterable[str] | None, *, saves: bool, gives_tasks: bool) -> None:
        """`names` are of tiers that are offered, in any letters; None for all."""
        self._names = names if names is None else {name.lower() for name in names}
        self._saved, self._tasks = SAVED[saves], TASKS[gives_tasks]
        self._others = {SAVED[not saves], TASKS[not gives_tasks]}

    @property
    def is_usable(self) -> bool:
        """Whether what the settings offer is written down: not so for single models, or none."""
        return self._offer is not None

    def __call__(self, version: str, method: str) -> str | None:
        answer = self._lines.get(f"answer {self._tasks} {version} {method}")
        if answer is None:
            return None
        if MARKS["tools"] in answer:
            return answer.replace(MARKS["tools"], self._tools(version))
        instructions = self._lines[f"instructions {self._offer}"]
        return answer.replace(MARKS["instructions"], instructions)

    def _tools(self, version: str) -> str:
        names = self._lines[f"tools {self._offer}"].split()
        era = f"{self._saved} {era_of(version)}"
        return f"[{','.join(self._lines[f'tool {era} {name}'] for name in names)}]"

    @cached_property
    def _offer(self) -> str | None:
        """As the lines call it; None where models are named, which are not written down alone."""
        tiers = self._lines.get("tiers", "").split()
        wanted = {*tiers} if self._names is None else self._names
        offered = [tier for tier in tiers if tier in wanted]
        is_known = bool(offered) and {*offered} == wanted
        return f"{self._saved} {'+'.join(offered)}" if is_known else None

    @cached_property
    def _lines(self) -> Mapping[str, str]:
        try:
            return dict(self._read())
        except OSError:
            return {}

    def _read(self) -> Iterable[tuple[str, str]]:
        """What this server may answer, by what it is."""
        # pathlib would cost every start.
        path = os.path.join(os.path.dirname(__file__), FILE)  # noqa: PTH118, PTH120
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            for line in file:
                key, _, text = line.rstrip("\n").partition("\t")
                if self._others.isdisjoint(key.split()):
                    yield key, text
