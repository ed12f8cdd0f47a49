"""Several servers of one database: started, killed, told to leave, started again at their ports."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tests.support.fleet.reserved_port import reserved_port
from tests.support.processes import Program, program

DRAIN_SECONDS = 8


@dataclass(slots=True)
class Replica:
    """One of them. What was said of one that has ended is forgotten."""

    port: int
    environment: Mapping[str, str]
    options: tuple[str, ...] = ("--drain-seconds", str(DRAIN_SECONDS))
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _program: Program | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def program(self) -> Program:
        assert self._program is not None
        return self._program

    async def start(self) -> None:
        """Return once it answers."""
        command = ("serve", "--http", "--port", str(self.port), *self.options)
        running = await self._stack.enter_async_context(
            program(*command, environment=self.environment)
        )
        await running.stderr.holding("runapi-mcp serves ")
        self._program = running

    async def kill(self) -> None:
        """End it with no time for a word."""
        self.program.process.kill()
        await self._gone()

    async def leave(self) -> int:
        """Tell it to leave; its exit status, once it has."""
        self.program.process.terminate()
        status = await self.program.end()
        await self._gone()
        return status

    async def aclose(self) -> None:
        if self._program is not None:
            await self.kill()

    async def _gone(self) -> None:
        self._program = None
        await self._stack.aclose()


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
    count: int, environment: Mapping[str, str], *options: str
) -> AsyncGenerator[Fleet]:
    """So many servers that run; `environment` names their database and RunAPI."""
    async with AsyncExitStack() as stack:
        ports = [stack.enter_context(reserved_port()) for _ in range(count)]
        fleet = Fleet([Replica(port, environment) for port in ports])
        for replica in fleet.replicas:
            if options:
                replica.options = options
            stack.push_async_callback(replica.aclose)
            await replica.start()
        yield fleet
