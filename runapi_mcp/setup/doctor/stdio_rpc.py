"""A server's stdin and stdout, line by line, because what is not protocol matters here too."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream
from anyio.streams.buffered import BufferedByteReceiveStream

from runapi_mcp.base.json_values import Json, as_object

MOST_NOISE_BYTES: Final = 256_000
MOST_LINE_BYTES: Final = 16_000_000
"""What hosts read at most as one line."""


class StdioRpc:
    def __init__(self, stdin: ByteSendStream) -> None:
        self.noise_bytes = 0
        """How much of its stdout was no protocol."""
        self.is_flooded = False
        self._stdin = stdin
        self._answers: dict[int, Json] = {}
        self._changed = anyio.Event()
        self._ended = False

    async def send(self, method: str, number: int | None, params: Mapping[str, object]) -> None:
        """Send a request; without a number, a notification."""
        # A server that has ended cannot be told anything; its end is noticed elsewhere.
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._stdin.send(json.dumps(rpc_message(method, number, params)).encode() + b"\n")

    async def first_result(self, *numbers: int) -> tuple[int, Json]:
        """The number and result of the first request that succeeds.

        If none does, 0 and the last one's error.
        """
        while True:
            for number in numbers:
                if "result" in self._answers.get(number, {}):
                    return number, as_object(self._answers[number]["result"])
            if self._ended or all(number in self._answers for number in numbers):
                return 0, as_object(self._answers.get(numbers[-1], {}).get("error"))
            await self._changed.wait()

    async def close(self) -> None:
        """Say no more, which ends a server."""
        with suppress(anyio.BrokenResourceError):
            await self._stdin.aclose()

    async def listen(self, stdout: ByteReceiveStream) -> None:
        """Hear all that the server says, until it ends or floods."""
        lines = BufferedByteReceiveStream(stdout)
        try:
            while self.noise_bytes <= MOST_NOISE_BYTES:
                self._hear(await lines.receive_until(b"\n", MOST_LINE_BYTES))
            self.is_flooded = True
        except anyio.DelimiterNotFound:
            self.is_flooded = True
        except anyio.IncompleteRead:
            pass  # it has ended
        self._ended = True
        self._wake()

    def _hear(self, line: bytes) -> None:
        message = parse_rpc_line(line)
        number = message.get("id")
        if not message:
            self.noise_bytes += len(line.strip())
        elif isinstance(number, int) and "method" not in message:
            self._answers[number] = message
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def rpc_message(method: str, number: int | None, params: Mapping[str, object]) -> Json:
    numbered: Json = {} if number is None else {"id": number}
    return {"jsonrpc": "2.0", **numbered, "method": method, "params": params}


def parse_rpc_line(line: bytes) -> Json:
    """A line as a message of the protocol; empty for anything else."""
    try:
        message = as_object(json.loads(line))
    except (ValueError, RecursionError):
        return {}
    return message if message.get("jsonrpc") == "2.0" else {}
