"""Ledgers on the disk, as processes and other programs have them open."""

import sqlite3
from collections.abc import Mapping
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

from runapi_mcp.base.settings import load
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.ledger.sqlite.ledger import run_in_place
from tests.support.processes import Program, opening, request
from tests.support.world import World, clock, facts


def ledger_at(where: Path | str, keep_days: float = 90) -> aclosing[SqliteLedger]:
    """A ledger where RUNAPI_LEDGER says, as one process has it open."""
    locate = load({"RUNAPI_LEDGER": str(where)}).ledger.locate
    assert locate is not None
    return aclosing(SqliteLedger(locate, keep_days=keep_days, clock=clock, run=run_in_place))


def other(path: Path) -> closing[sqlite3.Connection]:
    """Another program that has the file open."""
    return closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False))


async def prompts(w: World, **question: Any) -> list[str]:
    """Of the tasks that are listed."""
    return [row["prompt"] for row in facts(await w.call("list_tasks", question))["tasks"]]


def contents(folder: Path) -> bytes:
    """All that lies in a folder, of whatever file."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def move_away(path: Path) -> None:
    """As a person does who wants to begin anew."""
    for part in list(path.parent.glob(f"{path.name}*")):
        part.rename(path.with_name(f"old-{part.name}"))


async def answers(running: Program, *calls: tuple[str, Mapping[str, object]]) -> list[str]:
    """What a server that just started says to calls of tools, one after the other."""
    await running.write(*opening("auto"))
    found: list[str] = []
    for number, (tool, arguments) in enumerate(calls, 1):
        await running.write(request(number, "tools/call", "auto", name=tool, arguments=arguments))
        found.append((await running.answer(number))["content"][0]["text"])
    return found
