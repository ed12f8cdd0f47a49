"""Several servers of one database: started, killed, told to leave, started again at their ports."""

import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup, TaskStatus

from tests.support.fleet.reserved_port import reserved_port
from tests.support.processes import Program, program

DRAIN_SECONDS = 24


@dataclass(slots=True)
class Replica:
    """One of them, which comes and goes at its port."""

    port: int
    environment: Mapping[str, str]
    options: tuple[str, ...]
    send_seconds: float | None
    group: TaskGroup
    host: str = "127.0.0.1"
    _programs: list[Program] = field(default_factory=list[Program])
    """All that have run here, the present one last."""
    _is_over: anyio.Event = field(default_factory=anyio.Event)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def program(self) -> Program:
        return self._programs[-1]

    async def start(self) -> None:
        """Return once it answers."""
        self._is_over = anyio.Event()
        await self.group.start(self._run)

    async def kill(self) -> None:
        """End it with no time for a word."""
        self.program.process.kill()
        await self.ended()

    def tell_to_leave(self) -> None:
        self.program.process.send_signal(signal.SIGTERM)

    async def leave(self) -> int:
        """Tell it to leave; its exit status, once it has."""
        self.tell_to_leave()
        return await self.ended()

    async def ended(self) -> int:
        """Its exit status, once it has ended."""
        status = await self.program.end()
        self._is_over.set()
        return status

    async def _run(self, *, task_status: TaskStatus[None]) -> None:
        command = ("serve", "--http", "--port", str(self.port), *self.options)
        starting = program(*command, environment=self.environment, send_seconds=self.send_seconds)
        async with starting as running:
            await running.stderr.holding("runapi-mcp serves ")
            self._programs.append(running)
            task_status.started()
            await self._is_over.wait()


@dataclass(slots=True)
class Fleet:
    replicas: list[Replica]

    @property
    def ports(self) -> list[int]:
        return [replica.port for replica in self.replicas]

    @property
    def urls(self) -> list[str]:
        return [replica.url for replica in self.replicas]


@asynccontextmanager
async def replicas(
    count: int,
    environment: Mapping[str, str],
    *options: str,
    send_seconds: float | None = None,
) -> AsyncGenerator[Fleet]:
    """So many servers that run; `environment` names their database and RunAPI.

    `send_seconds` is as `Start` has it.
    """
    options = options or ("--drain-seconds", str(DRAIN_SECONDS))
    with ExitStack() as held:
        ports = [held.enter_context(reserved_port()) for _ in range(count)]
        async with anyio.create_task_group() as group:
            how = (environment, options, send_seconds, group)
            fleet = Fleet([Replica(port, *how) for port in ports])
            for replica in fleet.replicas:
                await replica.start()
            yield fleet
            group.cancel_scope.cancel()
