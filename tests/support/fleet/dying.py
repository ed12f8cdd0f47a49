"""A server that dies at a step of a call, and the same call at servers that live on."""

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.server.calls import call_tool
from tests.support.fleet.site import FleetSite, fleet_environment, fleet_site
from tests.support.fork_server import Start
from tests.support.killing import call_over_http
from tests.support.processes import DRAW, LIMIT_SECONDS
from tests.support.steps import moments, name

PROMPT = "a fox [[poll-after 0.05s]]"
BEGINNING = f"{name(call_tool)} < "
SERVING = "serve._serve_http"


@dataclass(frozen=True, slots=True)
class Outcome:
    status: int
    """How the server ended that was called first."""
    drawn: str
    tasks: int
    spent_cents: int


KILLED = Outcome(-9, "completed", 1, 5)
SPARED = Outcome(0, "completed", 1, 5)
"""A step that races, such as a second wait, may not have come."""


@dataclass(frozen=True, slots=True)
class Town:
    """Servers that live on, and one more for each call, which dies of it."""

    site: FleetSite
    environment: dict[str, str]
    folder: Path
    send_seconds: float | None
    """As `Start` has it."""

    async def steps(self) -> Sequence[str]:
        """Those of a call at a server that survives it, at which the world may be another."""
        log = self.folder / "way"
        await self._call_at_another(Start.here(environment=self.environment), log, None, "whole")
        steps = log.read_text().splitlines()
        began = next(n for n, step in enumerate(steps) if step.startswith(BEGINNING))
        return moments([step for step in steps[began:] if SERVING not in step])

    async def die(self, number: int, step: str) -> int:
        """The exit status of a server that was to die at this step of a call."""
        start = Start.here(environment=self.environment)
        return await self._call_at_another(start, self.folder / f"{number}", step, f"{number}")

    async def call_again(self, number: int, status: int) -> Outcome:
        """What the same call comes to at those that live on."""
        key = _key(f"{number}")
        drawn = await self.site.client("2026-07-28", key=key).draw(PROMPT, wait_seconds=60)
        account = self.site.net.account(key)
        state = drawn.get("structuredContent", {}).get("status", "an error")
        return Outcome(status, state, len(account.tasks), account.spent_cents)

    async def _call_at_another(self, start: Start, log: Path, step: str | None, key: str) -> int:
        watched = replace(start, log=str(log), last_step=step, send_seconds=self.send_seconds)
        arguments = {"prompt": PROMPT, "wait_seconds": 60}
        with anyio.fail_after(LIMIT_SECONDS):
            return (await call_over_http(watched, "auto", _key(key), DRAW, arguments)).status


def _key(name: str) -> str:
    return f"sandbox-of-{name}"


@asynccontextmanager
async def town(
    database: SecretStr, folder: Path, send_seconds: float | None = None
) -> AsyncGenerator[Town]:
    async with fleet_site(database, send_seconds=send_seconds) as site:
        environment = {**os.environ, **fleet_environment(site.net, database)}
        yield Town(site, environment, folder, send_seconds)
