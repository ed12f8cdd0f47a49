"""A server's stdin and stdout, line by line, because what is not protocol matters here too."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream

from runapi_mcp.base.json_values import as_object

MOST_NOISE_BYTES: Final = 256_000
MOST_LINE_BYTES: Final = 16_000_000
"""What hosts read at most as one line."""

Facts = Mapping[str, object]


class Pipe:
    """Requests to a server, and its answers."""

    def __init__(self, stdin: ByteSendStream) -> None:
        self.noise_bytes = 0
        """How much of its stdout was no protocol."""
        self.is_flooded = False
        self._stdin = stdin
        self._answers: dict[int, Facts] = {}
        self._changed = anyio.Event()
        self._ended = False

    async def say(self, method: str, number: int | None, params: Facts) -> None:
        """Send a request; without a number, a notification."""
        entries: Facts = {} if number is None else {"id": number}
        message = {"jsonrpc": "2.0", **entries, "method": method, "params": params}
        # A server that has ended cannot be told anything; its end is noticed elsewhere.
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._stdin.send(json.dumps(message).encode() + b"\n")

    async def first_result(self, *numbers: int) -> tuple[int, Facts]:
        """The number and result of the first request that succeeds.

        If none does, 0 and the last one's error.
        """
        while True:
            for number in numbers:
                if "result" in self._answers.get(number, {}):
                    return number, as_object(self._answers[number]["result"])
            if self._ended or all(number in self._answers for number in numbers):
                last = self._answers.get(numbers[-1], {})
                return 0, as_object(last.get("error"))
            await self._changed.wait()

    async def close(self) -> None:
        """Say no more, which ends a server."""
        with suppress(anyio.BrokenResourceError):
            await self._stdin.aclose()

    async def listen(self, stdout: ByteReceiveStream) -> None:
        """Hear all that the server says, until it ends or floods."""
        buffer = bytearray()
        async for chunk in stdout:
            buffer += chunk
            if b"\n" in chunk:
                *lines, rest = bytes(buffer).split(b"\n")
                buffer = bytearray(rest)
                for line in lines:
                    self._hear(line)
            if self.noise_bytes > MOST_NOISE_BYTES or len(buffer) > MOST_LINE_BYTES:
                self.is_flooded = True
                break
        self._ended = True
        self._wake()

    def _hear(self, line: bytes) -> None:
        message = _message(line)
        number = message.get("id")
        if not message:
            self.noise_bytes += len(line.strip())
        elif isinstance(number, int) and "method" not in message:
            self._answers[number] = message
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def _message(line: bytes) -> Facts:
    """A line as a message of the protocol; empty for anything else."""
    try:
        message = as_object(json.loads(line))
    except (ValueError, RecursionError):
        return {}
    return message if message.get("jsonrpc") == "2.0" else {}
