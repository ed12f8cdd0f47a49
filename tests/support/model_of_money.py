"""A model of whoever can spend money: two processes that may die, one ledger, one RunAPI far away.

A story is a list of steps, told in virtual time. Each step takes an instant, except `Pass`; calls
go on beside the steps that follow them.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Literal, get_args

import anyio
import httpx
from anyio.abc import TaskGroup, TaskStatus
from mcp import Client
from mcp_types import CallToolResult
from pydantic import SecretStr

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.errors import LedgerUnusable
from runapi_mcp.base.settings import Key
from runapi_mcp.orders.ledger.sqlite import SqliteLedger
from runapi_mcp.orders.limits import Limits
from runapi_mcp.providers.runapi import RunAPI
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.sandbox.faults import Fault
from runapi_mcp.sandbox.task_store import StoredTask
from runapi_mcp.server import Keys, create_server
from tests.support.virtual_time import BACKEND
from tests.support.world import BASE_URL, ERAS, KEY, NOON, Wire, clock, facts, said, service_on

DRAW: Final = "flux_2_pro_text_to_image"
DRAW_SECONDS: Final = 4.0
DISK_SECONDS: Final = 0.01
NETWORK_SECONDS: Final = 0.3
"""How long a touch of the disk or the network takes, so that much can happen in between."""
MOST_WAIT_SECONDS: Final = 50
MOST_SECONDS_OF_A_CALL: Final = 120.0
SETTLE_AGAIN_SECONDS: Final = 61.0
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder in it is made as safely as in /tmp
"""Where Linux keeps files that need no disk: only processes die here, never the machine."""

ProcessName = Literal["A", "B"]
ERA_OF_HOST: Final[Mapping[ProcessName, str]] = dict(zip(get_args(ProcessName), ERAS, strict=True))


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a call asks for. Two calls are identical when this is."""

    prompt: str
    output_resolution: Literal["1k", "2k"] = "1k"


@dataclass(frozen=True, slots=True)
class Call:
    """A host calls for a drawing, and leaves when its patience ends."""

    process: ProcessName
    drawing: Drawing
    wait_seconds: int = 0
    patience_seconds: float = math.inf


@dataclass(frozen=True, slots=True)
class GetTask:
    """A host asks for one of the tasks there are, if there are any."""

    process: ProcessName
    number: int


@dataclass(frozen=True, slots=True)
class ListTasks:
    """A host looks for lost tasks."""

    process: ProcessName


@dataclass(frozen=True, slots=True)
class Pass:
    """Time passes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Die:
    """A process dies, after so many more touches of the disk or the network."""

    process: ProcessName
    touches: int = 0


Step = Call | GetTask | ListTasks | Pass | Die | Fault
"""A fault happens to the next requests at its place."""


@dataclass(frozen=True, slots=True)
class Story:
    """What happens, under which limits, from how many seconds after noon on."""

    limits: Limits
    begins_after_seconds: float
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Charge:
    """One task that RunAPI has made, and whether it is paid for or will be unless it fails."""

    task_id: str
    drawing: Drawing
    price_cents: int
    day: date
    stands: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """What was so after one step."""

    charges: Sequence[Charge]
    calls: Counter[Drawing]
    """How often each drawing was called for."""
    free: Counter[Drawing]
    """How many of these calls were told that they paid nothing."""


@dataclass(slots=True)
class Record:
    """What RunAPI and the hosts have seen, and what is there in the end."""

    moments: list[Moment] = field(default_factory=list[Moment])
    sold: list[str] = field(default_factory=list[str])
    """The tasks that calls were told are new ones."""
    statuses: dict[str, str] = field(default_factory=dict[str, str])
    """Of every task and every call without a task that is listed in the end."""
    again: list[tuple[str, set[str]]] = field(default_factory=list[tuple[str, set[str]]])
    """What a call gets in the end whose like made tasks that reached nobody, and those tasks."""
    delivered: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """The images that get_task gives in the end, by task."""


def told(story: Story) -> Record:
    """The record of a story."""
    name, options = BACKEND
    with TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        path = Path(folder) / "ledger.db"
        return anyio.run(_told, story, path, backend=name, backend_options=dict(options))


async def _told(story: Story, path: Path) -> Record:
    record = Record()
    await anyio.sleep(story.begins_after_seconds)
    async with anyio.create_task_group() as group:
        teller = _Teller(group, path, story.limits, record)
        for step in story.steps:
            await teller.tell(step)
        await teller.end()
    return record


class _Remote:
    """RunAPI far away: it goes on with a request although whoever sent it has left or died."""

    def __init__(self, group: TaskGroup, sandbox: Sandbox) -> None:
        self._group = group
        self._wire = Wire(sandbox)

    async def answer(self, request: httpx.Request) -> httpx.Response:
        exchange = _Exchange(request)
        self._group.start_soon(exchange.go_on, self._wire)
        return await exchange.answer()


class _Exchange:
    """A request that is under way."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request
        self._over = anyio.Event()
        self._answer: httpx.Response | httpx.RequestError | None = None

    async def go_on(self, wire: Wire) -> None:
        try:
            self._answer = await wire.handle_async_request(self._request)
        except httpx.RequestError as error:
            self._answer = error
        self._over.set()

    async def answer(self) -> httpx.Response:
        await self._over.wait()
        if isinstance(self._answer, httpx.Response):
            return self._answer
        raise self._answer or AssertionError("an exchange ends with an answer or an error")


class _Line(httpx.AsyncBaseTransport):
    """The way of one process to RunAPI and back; it breaks when the process dies."""

    def __init__(self, remote: _Remote, process: "_Process") -> None:
        self._remote = remote
        self._process = process

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await anyio.sleep(NETWORK_SECONDS)
        if not await self._process.lives_on():
            raise httpx.ConnectError("its sender has died")
        answer = await self._remote.answer(request)
        await anyio.sleep(NETWORK_SECONDS)
        if not await self._process.lives_on():
            raise httpx.ReadError("its sender has died")
        return answer


class _Process:
    """A server on the shared ledger.

    Once it is dead, what is left of its code neither writes nor sends, whatever it tries.
    """

    def __init__(self, era: str, remote: _Remote, path: Path, limits: Limits) -> None:
        self._upstream = RunAPI(BASE_URL, _Line(remote, self))
        self._ledger = SqliteLedger(lambda: path, clock=clock, run=self._on_the_disk)
        keys = Keys(Key(SecretStr(KEY)))
        service = service_on(self._upstream, keys, self._ledger, limits=limits)
        self.client = Client(create_server(service, VARIANTS), mode=era)
        self.dead = anyio.Event()
        self._touches_left = math.inf
        self._is_dying = False

    async def live(self, *, task_status: TaskStatus[TaskGroup]) -> None:
        """Serve, until it dies. Tells the group in which hosts call it."""
        async with self.client, anyio.create_task_group() as hosts:
            task_status.started(hosts)
            await self.dead.wait()
            hosts.cancel_scope.cancel()
        await self._upstream.aclose()

    async def dies_in(self, touches: float) -> None:
        """Let it touch the disk and the network so many times more."""
        self._touches_left = touches
        if touches == 0:
            await self._die()

    async def lives_on(self) -> bool:
        """Whether it survives one more touch of the disk or the network."""
        self._touches_left -= 1
        if self._touches_left < 0:
            await self._die()
        return not self.dead.is_set()

    async def _die(self) -> None:
        # Nothing here waits, so that nobody sees a process that is half dead. What the system does
        # for a dead process is what closing the ledger does: its file is closed, its lock free.
        self._is_dying = True
        await self._ledger.aclose()
        self._is_dying = False
        self.dead.set()

    async def _on_the_disk(self, block: Callable[[], object]) -> object:
        if self._is_dying:
            return block()
        await anyio.lowlevel.checkpoint()
        # As in a thread: what has begun is seen through.
        with anyio.CancelScope(shield=True):
            return await self._written(block)

    async def _written(self, block: Callable[[], object]) -> object:
        await self._touch_the_disk()
        done = block()
        await self._touch_the_disk()
        return done

    async def _touch_the_disk(self) -> None:
        await anyio.sleep(DISK_SECONDS)
        if not await self.lives_on():
            raise LedgerUnusable("The process has died.", "Start another one.")


class _Teller:
    """Lets the steps of a story happen, and records what becomes of them."""

    def __init__(self, group: TaskGroup, path: Path, limits: Limits, record: Record) -> None:
        self._group, self._path, self._limits = group, path, limits
        self._record = record
        self._sandbox = Sandbox(DRAW_SECONDS)
        self._remote = _Remote(group, self._sandbox)
        self._processes: dict[ProcessName, tuple[_Process, TaskGroup]] = {}
        self._calls: Counter[Drawing] = Counter()
        self._free: Counter[Drawing] = Counter()

    async def tell(self, step: Step) -> None:
        """Let one step happen."""
        match step:
            case Pass(seconds):
                await anyio.sleep(seconds)
            case Fault():
                self._sandbox.faults.injected.append(step)
            case Die(name, touches):
                process, _ = await self._running(name)
                await process.dies_in(touches)
            case _:
                process, hosts = await self._running(step.process)
                hosts.start_soon(self._asked, process, step)
        # An instant, because two calls of one instant have no order.
        await anyio.sleep(0.001)
        self._note_the_moment()

    async def end(self) -> None:
        """Let all calls end, then all troubles, then all doubts; then look at what is there."""
        await anyio.sleep(MOST_SECONDS_OF_A_CALL)
        self._sandbox.faults.injected.clear()
        for name in get_args(ProcessName):
            process, _ = await self._running(name)
            await process.dies_in(math.inf)
        await self._settle(self._processes["A"][0].client)
        await self._look_at_all(self._processes["B"][0].client)
        for process, _ in self._processes.values():
            await process.dies_in(0)

    async def _running(self, name: ProcessName) -> tuple[_Process, TaskGroup]:
        """The process of this name: a new one where the last has died."""
        if name not in self._processes or self._processes[name][0].dead.is_set():
            process = _Process(ERA_OF_HOST[name], self._remote, self._path, self._limits)
            self._processes[name] = process, await self._group.start(process.live)
        return self._processes[name]

    async def _asked(self, process: _Process, step: Call | GetTask | ListTasks) -> None:
        match step:
            case Call():
                await self._called(process, step)
            case GetTask(_, number):
                made = list(self._tasks())
                if made:
                    await _task(process.client, made[number % len(made)])
            case ListTasks():
                await process.client.call_tool("list_tasks")

    async def _called(self, process: _Process, call: Call) -> None:
        self._calls[call.drawing] += 1
        with anyio.move_on_after(call.patience_seconds) as patience:
            result = await _drawn(process.client, call.drawing, call.wait_seconds)
            # Nobody hears a dead process, nor does who has left hear anything.
            if not (process.dead.is_set() or patience.cancel_called):
                self._hear(call.drawing, result)

    def _hear(self, drawing: Drawing, result: CallToolResult) -> None:
        joined = not result.is_error and "joined" in facts(result)
        if joined or "Nothing was paid." in said(result):
            self._free[drawing] += 1
        elif not result.is_error:
            self._record.sold.append(facts(result)["task_id"])

    async def _settle(self, client: Client) -> None:
        # Some doubts are settled at a time, so as often as there may be doubts.
        for _ in range(2 + self._calls.total() // 5):
            await _rows(client)
            await anyio.sleep(SETTLE_AGAIN_SECONDS)
        self._note_the_moment()
        self._record.statuses = await _rows(client)

    async def _look_at_all(self, client: Client) -> None:
        waiting = (await _rows(client, "undelivered")).keys() & self._tasks().keys()
        for drawing in {_drawing(self._tasks()[task_id]) for task_id in waiting}:
            result = await _drawn(client, drawing, MOST_WAIT_SECONDS)
            alike = {one for one in waiting if _drawing(self._tasks()[one]) == drawing}
            self._record.again.append((facts(result)["task_id"], alike))
        for task_id in self._tasks():
            result = await _task(client, task_id)
            self._record.delivered[task_id] = facts(result).get("image_urls", [])

    def _note_the_moment(self) -> None:
        charges = [_charge(task) for task in self._tasks().values()]
        self._record.moments.append(Moment(charges, self._calls.copy(), self._free.copy()))

    def _tasks(self) -> dict[str, StoredTask]:
        return self._sandbox.accounts.of(KEY).tasks


async def _drawn(client: Client, drawing: Drawing, wait_seconds: int) -> CallToolResult:
    arguments = {**asdict(drawing), "wait_seconds": wait_seconds}
    return await client.call_tool(DRAW, arguments)


async def _task(client: Client, task_id: str) -> CallToolResult:
    return await client.call_tool("get_task", {"task_id": task_id})


async def _rows(client: Client, show: str = "recent") -> dict[str, str]:
    """The status of every task that is listed; a call without a task goes by a number."""
    result = await client.call_tool("list_tasks", {"show": show, "limit": 50})
    rows = enumerate(facts(result)["tasks"])
    return {row.get("task_id", f"call {number}"): row["status"] for number, row in rows}


def _charge(task: StoredTask) -> Charge:
    day = datetime.fromtimestamp(NOON + task.started).astimezone().date()
    stands = task.status(anyio.current_time()) != "failed"
    return Charge(task.id, _drawing(task), task.price_cents, day, stands)


def _drawing(task: StoredTask) -> Drawing:
    body = task.params.model_dump()
    return Drawing(body["prompt"], body["output_resolution"])
