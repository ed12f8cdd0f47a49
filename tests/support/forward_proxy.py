"""A proxy as companies have one for what leaves their network."""

from contextlib import suppress

import anyio
from anyio.abc import ByteStream


class ForwardProxy:
    """One that leads everyone to one port of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.asked: list[bytes] = []

    async def __call__(self, stream: ByteStream) -> None:
        self.asked.append((await stream.receive()).split(b"\r\n")[0])
        await stream.send(b"HTTP/1.1 200 Connected\r\n\r\n")
        async with (
            await anyio.connect_tcp("127.0.0.1", self._port) as far,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(self._pass_on, stream, far)
            await self._pass_on(far, stream)
            tasks.cancel_scope.cancel()

    async def _pass_on(self, source: ByteStream, target: ByteStream) -> None:
        with suppress(anyio.BrokenResourceError):
            async for piece in source:
                await target.send(piece)
