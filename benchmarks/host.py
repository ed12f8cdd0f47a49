"""A host of the barest kind: starts a server and speaks JSON lines over its pipes.

Its own work is one `json.dumps` and one `readline` a request, so that it adds next to nothing to
what it measures.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import perf_counter
from typing import Final, Literal, Self, cast, get_args

Json = dict[str, object]
Era = Literal["2025-11-25", "2026-07-28"]
"""The handshake of 2025, or every request self-contained."""

ERAS: Final[tuple[Era, ...]] = get_args(Era)
RUNAPI_MCP: Final = (sys.executable, "-m", "runapi_mcp")
LONGEST_LIFE_SECONDS: Final = 300.0
"""After this a server is taken for hung and killed."""
EXIT_SECONDS: Final = 30.0

_CLIENT: Final[Json] = {"name": "benchmark", "version": "1"}
_ENVELOPE: Final[Json] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": _CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}


@contextmanager
def clean_environ() -> Generator[dict[str, str]]:
    """This environment without anything of RunAPI's, with an empty home and bytecode allowed."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("RUNAPI_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    with tempfile.TemporaryDirectory() as home:
        yield {**kept, "HOME": home, "USERPROFILE": home}


class Host:
    """One server process, from its start to its exit, and the conversation with it."""

    def __init__(self, program: Sequence[str], environ: Mapping[str, str], era: Era) -> None:
        self._era: Era = era
        self._last_id = 0
        # A file, because a pipe nobody reads would fill up and a terminal would cost time.
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the host
        self.started = perf_counter()
        self._process = subprocess.Popen(
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environ,
            cwd=environ["HOME"],
        )
        assert self._process.stdin  # noqa: S101 - both are pipes
        assert self._process.stdout  # noqa: S101 - as above
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._hung = threading.Timer(LONGEST_LIFE_SECONDS, self._process.kill)
        self._hung.daemon = True
        self._hung.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def connect(self) -> Json:
        """What the server says of itself; in the handshake era also the handshake."""
        if self._era == "2026-07-28":
            return self.ask("server/discover")
        return self.handshake()

    def handshake(self) -> Json:
        """The handshake of 2025: `initialize`, then the word that it is done."""
        params: Json = {"protocolVersion": self._era, "capabilities": {}, "clientInfo": _CLIENT}
        said = self.ask("initialize", params)
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return said

    def list_tools(self) -> list[Json]:
        """The tools as they come over the wire."""
        return cast("list[Json]", self.ask("tools/list")["tools"])

    def call(self, tool: str, arguments: Json) -> Json:
        """The result of a tool, which must not be an error."""
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        if result.get("isError"):
            sys.exit(f"{tool} failed: {result['content']}")
        return result

    def ask(self, method: str, params: Json | None = None) -> Json:
        """The result of one request."""
        self.begin(method, params)
        return self._result()

    def begin(self, method: str, params: Json | None = None) -> None:
        """Send a request, whose answer may come or not."""
        self._last_id += 1
        params = dict(params or {})
        if self._era == "2026-07-28":
            params["_meta"] = _ENVELOPE
        self._send({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params})

    def send_signal(self, number: int) -> None:
        """Send the server a signal, and wait until it has exited."""
        self._process.send_signal(number)
        self._process.wait(EXIT_SECONDS)

    def close(self) -> None:
        """Close the server's stdin and wait until it has exited."""
        if self._stdin.closed:
            return
        with suppress(BrokenPipeError):
            self._stdin.close()
        try:
            self._process.wait(EXIT_SECONDS)
        finally:
            self._hung.cancel()
            self._process.kill()
            self._stdout.close()
            self._stderr.close()

    def _send(self, message: Json) -> None:
        try:
            self._stdin.write(json.dumps(message).encode() + b"\n")
            self._stdin.flush()
        except BrokenPipeError:
            raise self._failure() from None

    def _result(self) -> Json:
        while line := self._stdout.readline():
            message = cast("Json", json.loads(line))
            if message.get("id") == self._last_id:
                return self._result_of(message)
        raise self._failure()

    def _failure(self) -> SystemExit:
        self._stderr.seek(0)
        return SystemExit(f"The server ended or hung. It said:\n{self._stderr.read().decode()}")

    def _result_of(self, message: Json) -> Json:
        if "error" in message:
            sys.exit(f"The server answered with an error: {message['error']}")
        return cast("Json", message["result"])
