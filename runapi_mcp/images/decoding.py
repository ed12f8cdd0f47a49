"""Whose picture is decoded next, and what came of it. Workers do the decoding itself."""

import logging
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import IO, Final
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread

from runapi_mcp.base.stages import stage
from runapi_mcp.images.decoder import DONE, NO_MEMORY, NOT_WHOLE, SEVERAL, TOO_LARGE, Job
from runapi_mcp.images.structure import MOST_PIXELS, NotAnImage, not_whole, too_large
from runapi_mcp.images.workers import DEADLINE_SECONDS, NotDecoded, Workers

MOST_WORKERS: Final = 4

logger = logging.getLogger(__name__)


class Decoders:
    """Has pictures decoded in turns: one of each caller, so many at once, so many pixels in all.

    Whoever waits for more than a deadline goes without, so nobody waits longer behind others.
    """

    def __init__(self, workers: Workers | None = None) -> None:
        self._workers = workers or Workers()
        self._most_at_once = min(MOST_WORKERS, os.cpu_count() or 1)
        # Weak: a lock is kept as long as somebody holds or awaits it.
        self._callers: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()
        self._next = anyio.Lock()
        self._room = anyio.Event()
        self._at_work: list[int] = []
        """The pixels of each picture that is being decoded."""

    async def decode(
        self, job: Job, file: IO[bytes], caller: str, turn_seconds: float = DEADLINE_SECONDS
    ) -> bytes:
        """What a worker makes of a picture.

        Raises:
            NotAnImage: it is not whole, or not one picture, or what is made of it is too large.
            NotDecoded: its turn did not come in time, or its worker did not come to an end.
        """
        with stage("decode"):
            async with self._turn(caller, job.most_pixels, turn_seconds):
                ask = partial(self._workers.ask, job, file)
                return _require_done(job, *await anyio.to_thread.run_sync(ask))

    @asynccontextmanager
    async def _turn(self, caller: str, pixels: int, within_seconds: float) -> AsyncGenerator[None]:
        async with AsyncExitStack() as held:
            try:
                with anyio.fail_after(within_seconds):
                    await held.enter_async_context(self._callers.setdefault(caller, anyio.Lock()))
                    await self._make_room(pixels)
            except TimeoutError as error:
                raise NotDecoded("Too many images are being looked at.") from error
            held.callback(self._leave_room, pixels)
            yield

    async def _make_room(self, pixels: int) -> None:
        # Who came first has the next room, also where a smaller picture would fit sooner.
        async with self._next:
            while not self._has_room(pixels):
                self._room = anyio.Event()
                await self._room.wait()
            self._at_work.append(pixels)

    def _leave_room(self, pixels: int) -> None:
        self._at_work.remove(pixels)
        self._room.set()

    def _has_room(self, pixels: int) -> bool:
        all_pixels = sum(self._at_work) + pixels
        return len(self._at_work) < self._most_at_once and all_pixels <= MOST_PIXELS


def _require_done(job: Job, said: bytes, length: int, content: bytes) -> bytes:
    if said == DONE:
        return content
    if said == NOT_WHOLE:
        raise not_whole(job.opens.decode()) if job.opens else not_whole()
    if said == SEVERAL:
        happened = f"The file is {job.opens.decode()} with several images."
        raise NotAnImage(happened, "Save the one that is meant as PNG, JPEG or WebP.")
    if said == TOO_LARGE:
        raise too_large(length, job.most_bytes)
    if said == NO_MEMORY:
        raise NotDecoded("There is not enough memory to look at the image.")
    logger.error("an image could not be looked at: %a", content)
    raise NotDecoded("Looking at the image failed.")
