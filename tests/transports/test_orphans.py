"""Over stdio, when whoever started the server is gone and something else holds its stdin open."""

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import pytest

from tests.support.processes import LIMIT_SECONDS, call, opening, request
from tests.support.world import ERAS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows tells of no parent's end")

IMPATIENT = """
from runapi_mcp.front import starter
starter.SILENT_SECONDS, starter.LOOK_EVERY_SECONDS = 0.5, 0.05
from runapi_mcp.__main__ import main
main()
"""
HOST = """
import os, subprocess, sys
subprocess.Popen(sys.argv[2:])
os.read(int(sys.argv[1]), 1)
"""


@dataclass(slots=True)
class Orphan:
    """A server whose pipes the test holds, whoever started it."""

    host: subprocess.Popen[bytes]
    stdin: IO[bytes]
    stdout: IO[bytes]
    leave: IO[bytes]
    """Closed, it lets the host end."""

    def say(self, *lines: str) -> None:
        self.stdin.write("".join(f"{line}\n" for line in lines).encode())
        self.stdin.flush()

    def answer(self, number: int) -> dict[str, Any]:
        while line := self.stdout.readline():
            message = json.loads(line)
            if message.get("id") == number:
                return message
        raise AssertionError("it ended without an answer")

    def lose_host(self) -> None:
        self.leave.close()
        self.host.wait(LIMIT_SECONDS)


@contextmanager
def started_by_a_host(draw_seconds: float) -> Generator[Orphan]:
    gone, write = os.pipe()
    server = [sys.executable, "-c", IMPATIENT]
    practice = {"RUNAPI_SANDBOX": "1", "RUNAPI_SANDBOX_DRAW_SECONDS": str(draw_seconds)}
    host = subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, "-c", HOST, str(gone), *server],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **practice},
        pass_fds=(gone,),
    )
    os.close(gone)
    assert host.stdin
    assert host.stdout
    with host.stdin, host.stdout, os.fdopen(write, "wb") as leave:
        yield Orphan(host, host.stdin, host.stdout, leave)


@pytest.mark.parametrize("era", ERAS)
def test_it_ends_although_its_stdin_stays_open(era: str) -> None:
    with started_by_a_host(0) as server:
        server.say(*opening(era))
        assert "result" in server.answer(0)
        server.lose_host()
        assert server.stdout.read() == b""


@pytest.mark.parametrize("era", ERAS)
def test_a_call_in_hand_is_answered_first(era: str) -> None:
    with started_by_a_host(2) as server:
        server.say(*opening(era))
        server.answer(0)
        server.say(call(1, era, "a fox"))
        server.lose_host()
        assert server.answer(1)["result"]["structuredContent"]["status"] == "completed"
        assert server.stdout.read() == b""


@pytest.mark.parametrize("era", ERAS)
def test_while_its_host_lives_it_waits_in_silence(era: str) -> None:
    with started_by_a_host(2) as server:
        server.say(*opening(era), call(1, era, "a fox"))
        # Four times as long as the silence after which it would leave without its host.
        assert "result" in server.answer(1)
        server.say(request(2, "ping" if era == "legacy" else "server/discover", era))
        assert "result" in server.answer(2)
        server.lose_host()
        assert server.stdout.read() == b""
