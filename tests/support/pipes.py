"""Our ends of a process's pipes, as anyio's streams."""

import os
from dataclasses import dataclass

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream


@dataclass(frozen=True, slots=True)
class PipeReader(ByteReceiveStream):
    """What a process writes."""

    descriptor: int

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        await anyio.wait_readable(self.descriptor)
        if chunk := os.read(self.descriptor, max_bytes):
            return chunk
        raise anyio.EndOfStream

    async def aclose(self) -> None:
        os.close(self.descriptor)


@dataclass(slots=True)
class PipeWriter(ByteSendStream):
    """What a process reads."""

    descriptor: int
    _is_open: bool = True

    def __post_init__(self) -> None:
        os.set_blocking(self.descriptor, False)

    async def send(self, item: bytes) -> None:
        rest = memoryview(item)
        while rest:
            await anyio.wait_writable(self.descriptor)
            try:
                rest = rest[os.write(self.descriptor, rest) :]
            except BrokenPipeError as gone:
                raise anyio.BrokenResourceError from gone

    async def aclose(self) -> None:
        if self._is_open:
            os.close(self.descriptor)
        self._is_open = False
