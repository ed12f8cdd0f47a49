"""The whole examination: entries read, servers started, RunAPI asked, all of it judged."""

import re
import sys
import traceback
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, TypeVarTuple, Unpack

import anyio

from runapi_mcp.base.hosts.host import Host
from runapi_mcp.base.hosts.machine import Machine
from runapi_mcp.base.hosts.table import HOSTS
from runapi_mcp.base.redaction import LONG_SECRET, Secrets, secrets_in
from runapi_mcp.base.settings import config_path
from runapi_mcp.base.settings.config_file import read_config
from runapi_mcp.setup.doctor import fix_commands
from runapi_mcp.setup.doctor.check_disk import disk_findings
from runapi_mcp.setup.doctor.check_entries import entry_findings
from runapi_mcp.setup.doctor.check_key import (
    held_back_findings,
    key_findings,
    settings_findings,
    taken_findings,
    template_findings,
)
from runapi_mcp.setup.doctor.check_network import reached_findings, way_findings
from runapi_mcp.setup.doctor.check_start import Started, not_to_be_started, start_findings
from runapi_mcp.setup.doctor.configured import Configured, Shelf, shelves_of
from runapi_mcp.setup.doctor.findings import Chapter, Finding, Report, problem, warning
from runapi_mcp.setup.doctor.launch_plan import (
    Start,
    allowance,
    environment_of,
    headers_of,
    start_of,
)
from runapi_mcp.setup.doctor.preflight import obstacles
from runapi_mcp.setup.doctor.probe import Trial, tried
from runapi_mcp.setup.doctor.runapi_probe import LetIn, Reached, let_in, reached
from runapi_mcp.setup.doctor.sections import Teller, chapters_of, shared, tellers_of
from runapi_mcp.setup.doctor.server_environment import Means, means_of, odd_config

MARGIN_SECONDS: Final = 8.0
"""What asking RunAPI and ending the servers may take besides."""

Answer = TypeVar("Answer")
Kept = TypeVar("Kept")
Seen = TypeVarTuple("Seen")


class _Once:
    """Asks each question once, whoever wants its answer."""

    def __init__(self) -> None:
        self._locks: dict[Hashable, anyio.Lock] = {}
        self._answers: dict[Hashable, object] = {}

    async def ask(self, name: Hashable, question: Callable[[], Awaitable[Answer]]) -> Answer:
        async with self._locks.setdefault(name, anyio.Lock()):
            if name not in self._answers:
                self._answers[name] = await question()
            answer: Answer = self._answers[name]  # pyright: ignore[reportAssignmentType] - the name says the type
            return answer


@dataclass(slots=True)
class Examination:
    """One look at a machine."""

    machine: Machine
    wait_seconds: float
    """How long a server may take to answer, whatever its host allows."""
    secrets: Secrets = field(default_factory=Secrets)
    _values: set[str] = field(default_factory=set[str])
    _machine: Chapter = field(default_factory=lambda: Chapter("This machine"))
    _stumbles: list[Chapter] = field(default_factory=list[Chapter])
    _once: _Once = field(default_factory=_Once)

    async def report(self, named: Sequence[Host]) -> Report:
        """All that is found about the named hosts; about each that has an entry, without names."""
        hosts = named or HOSTS
        shelves = {
            host: self._kept(host, partial(shelves_of, host, self.machine)) for host in hosts
        }
        self._learn_secrets(shelves.values())
        tellers = [teller for found in shelves.values() for teller in tellers_of(found)]
        chapters = self._chapters(shelves, tellers, named=bool(named))
        own = Teller(None, Chapter("This program"))
        self._machine.add(obstacles(self.machine.environ))
        await self._examine_in_time(tellers or [own])
        machine = shared(tellers or [own], self._machine)
        return Report((machine, own.chapter, *chapters, *self._stumbles))

    def _chapters(
        self,
        shelves: Mapping[Host, Sequence[Shelf]],
        tellers: Sequence[Teller],
        *,
        named: bool,
    ) -> list[Chapter]:
        looks = {
            host: partial(chapters_of, host, found, tellers, self.machine, named=named)
            for host, found in shelves.items()
        }
        return [chapter for host, look in looks.items() for chapter in self._kept(host, look)]

    def _kept(self, host: Host, look: Callable[[], list[Kept]]) -> list[Kept]:
        """What a look at a host gives; nothing where it crashes, which is then told."""
        try:
            return look()
        except Exception as error:  # noqa: BLE001 - one odd host must not hide what others have
            stumble = Chapter(host.title, host=host.name, findings=[stumbled(error)])
            self._stumbles.append(stumble)
            return []

    async def _examine_in_time(self, tellers: Sequence[Teller]) -> None:
        with anyio.move_on_after(self.wait_seconds + MARGIN_SECONDS) as limit:
            await self._examine_all(tellers)
        if limit.cancelled_caught:
            self._machine.add([_unfinished()])

    async def _examine_all(self, tellers: Sequence[Teller]) -> None:
        async with anyio.create_task_group() as group:
            for teller in tellers:
                group.start_soon(told_if_it_crashes, teller.chapter, self._examine, teller)

    def _learn_secrets(self, shelves: Iterable[Sequence[Shelf]]) -> None:
        read = [shelf.everything for each in shelves for shelf in each]
        environ = self.machine.environ
        config = None if odd_config(environ) else config_path(environ)
        own, _ = read_config(config)
        entries = [entry for each in shelves for shelf in each for entry in shelf.entries]
        added = [word for entry in entries if entry.command for word in entry.command.added]
        self._values = {*secrets_in([*read, own, dict(environ)])}
        self._values.update(filter(_LIKE_A_KEY.fullmatch, added))
        self.secrets = Secrets(self._values, LONG_SECRET)

    async def _examine(self, teller: Teller) -> None:
        entry = teller.entry
        environ = environment_of(entry, self.machine) if entry else dict(self.machine.environ)
        means = means_of(environ, self.machine.environ, entry)
        if means.key:
            self._values.add(means.key)
            self.secrets = Secrets(self._values, LONG_SECRET)
        if entry is not None:
            teller.chapter.add(entry_findings(entry))
        looks = [] if entry and entry.url else [self._of_means]
        if not entry or self._can_be_tried(entry):
            looks.append(self._of_start)
        async with anyio.create_task_group() as group:
            for look in looks:
                group.start_soon(told_if_it_crashes, teller.chapter, look, teller, means)

    @property
    def _is_obstructed(self) -> bool:
        return any(obstacles(self.machine.environ))

    def _can_be_tried(self, entry: Configured) -> bool:
        reached = entry.address is not None and not self._is_obstructed
        return not entry.is_off and (reached or not entry.url)

    async def _of_means(self, teller: Teller, means: Means) -> None:
        """What the server would find: settings, key, network, disk."""
        for findings in _OF_MEANS:
            teller.means += findings(means)
        if means.reaches and not self._is_obstructed:
            await self._of_runapi(teller, means)
        teller.means += disk_findings(means)

    async def _of_runapi(self, teller: Teller, means: Means) -> None:
        answer = await self._reached(means)
        teller.means += reached_findings(means, answer)
        if answer.failure is None and means.key:
            teller.means += taken_findings(means, await self._let_in(means))

    async def _reached(self, means: Means) -> Reached:
        return await self._once.ask(means.reaches, partial(reached, means.reaches))

    async def _let_in(self, means: Means) -> LetIn:
        address, key = means.reaches, means.key
        return await self._once.ask((address, key), partial(let_in, address, key))

    async def _is_accepted(self, means: Means) -> bool:
        """Whether the started server should be let in as well, and asking it changes nothing.

        For a budget it would open the ledger.
        """
        if not (means.reaches and means.key) or self._is_obstructed:
            return False
        if means.environ.get("RUNAPI_DAILY_BUDGET"):
            return False
        if (await self._reached(means)).failure is not None:
            return False
        return (await self._let_in(means)).failure is None

    async def _of_start(self, teller: Teller, means: Means) -> None:
        entry = teller.entry
        start = self._start(entry)
        missing = entry and not entry.url and not_to_be_started(start, entry)
        if missing:
            teller.chapter.add([missing])
            return
        trial = await (self._visit(entry) if entry and entry.url else self._try(start, means))
        teller.chapter.add(start_findings(Started(start, trial, entry, self.secrets)))
        teller.refusal = self.secrets.hide_in_foreign(trial.balance_refusal)

    async def _visit(self, entry: Configured) -> Trial:
        headers = headers_of(entry, self.machine)
        visit = partial(visited_at, entry.url, headers, self.wait_seconds)
        return await self._once.ask((entry.url, *sorted(headers.items())), visit)

    async def _try(self, start: Start, means: Means) -> Trial:
        trying = partial(tried, start, self.wait_seconds, partial(self._is_accepted, means))
        return await self._once.ask(start.identity, trying)

    def _start(self, entry: Configured | None) -> Start:
        if entry is None:
            words = (sys.executable, "-P", "-m", "runapi_mcp")
            environ = dict(self.machine.environ)
            return Start(words, environ, self.machine.directory, self.wait_seconds)
        if entry.url:
            return Start((entry.url,), {}, "", allowance(entry, self.machine))
        return start_of(entry, self.machine)


_LIKE_A_KEY: Final = re.compile(r"(?=\D*\d)[\w-]{16,}")
_OF_MEANS: Final = (
    settings_findings,
    held_back_findings,
    key_findings,
    template_findings,
    way_findings,
)


async def told_if_it_crashes(
    chapter: Chapter, look: Callable[[Unpack[Seen]], Awaitable[None]], *seen: *Seen
) -> None:
    """Look at something; what nobody thought of becomes a finding, and ends nothing else."""
    try:
        await look(*seen)
    except Exception as error:  # noqa: BLE001 - one odd entry must not hide what others have
        chapter.add([stumbled(error)])


def stumbled(error: Exception) -> Finding:
    """A crash of the doctor's own: where it was, and nothing of what it was about."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"
    what = f"doctor itself failed here: {where}"
    return problem("doctor", what, "the rest of this was not looked at", fix_commands.REPORT)


async def visited_at(url: str, headers: dict[str, str], wait_seconds: float) -> Trial:
    """As `visited`, which is loaded for those alone who connect to an address."""
    from runapi_mcp.setup.doctor.http_probe import visited

    return await visited(url, headers, wait_seconds)


def _unfinished() -> Finding:
    what = "not everything was looked at in time"
    return warning("time", what, "something here is very slow", fix_commands.runapi("doctor HOST"))
