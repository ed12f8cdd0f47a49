"""Three servers, their database and a sandbox, each a process, for benchmarks/fleet.py."""

import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final, cast

import httpx
from fleet_waits import SERVERS, SETTINGS, report_of, running_sandbox
from host import clean_environ

from runapi_mcp.base.secret import SecretStr
from runapi_mcp.cli.fleet_database import prepare
from tests.support.fleet.postgres_server import PostgresServer, running_server
from tests.support.fleet.replicas import Fleet, replicas
from tests.support.fleet.wire import VERSIONS, WireClient

SHORT_DRAIN_SECONDS: Final = 24
_CALL_SECONDS: Final = 240.0


@dataclass(slots=True)
class Site:
    fleet: Fleet
    postgres: PostgresServer
    database: SecretStr
    sandbox_url: str
    http: httpx.AsyncClient
    failures: Counter[str] = field(default_factory=Counter[str])

    def client(self, number: int, *urls: str) -> WireClient:
        """One with a key of its own: the pace of one would be less than many calls need."""
        first = number % SERVERS
        servers = urls or (*self.fleet.urls[first:], *self.fleet.urls[:first])
        version = VERSIONS[number % len(VERSIONS)]
        return WireClient(self.http, cycle(servers), version, f"sandbox-of-{number:06}")

    async def draw(self, client: WireClient, prompt: str) -> str | None:
        """The task's id, if its picture came."""
        try:
            result = await client.draw(prompt)
        except Exception as error:  # noqa: BLE001 - each is a client's error, and counted as such
            self.failures[f"{type(error).__name__}: {str(error)[:120]}"] += 1
            return None
        facts = result.get("structuredContent", {})
        return facts["task_id"] if facts.get("status") == "completed" else None

    async def spent_cents(self) -> int:
        return cast("int", (await report_of(self.sandbox_url))["spent_cents"])

    def pictures(self, *, are_completed: bool) -> list[str]:
        """The ids of the pictures that the ledger has as completed, or as anything else."""
        name = self.database.get_secret_value().rpartition("/")[2]
        with self.postgres.connect(name) as connection:
            rows = connection.execute(
                "SELECT task_id FROM runapi_mcp.pictures WHERE (status = 'completed') = %s",
                [are_completed],
            ).fetchall()
        return [str(row[0]) for row in rows]

    def print_failures(self) -> None:
        for words, times in self.failures.most_common(5):
            print(f"        {times} times {words}", file=sys.stderr)


@asynccontextmanager
async def site(drain_seconds: int = SHORT_DRAIN_SECONDS) -> AsyncGenerator[Site]:
    with clean_environ() as environ, running_server() as postgres:
        database = postgres.url(postgres.create_database())
        await prepare(database)
        async with running_sandbox() as sandbox_url:
            settings = {
                **SETTINGS,
                "HOME": environ["HOME"],
                "RUNAPI_BASE_URL": sandbox_url,
                "RUNAPI_DATABASE_URL": database.get_secret_value(),
            }
            limits = httpx.Limits(max_connections=None)
            options = ("--drain-seconds", str(drain_seconds))
            async with (
                replicas(SERVERS, settings, *options) as fleet,
                httpx.AsyncClient(timeout=_CALL_SECONDS, limits=limits) as http,
            ):
                yield Site(fleet, postgres, database, sandbox_url, http)
