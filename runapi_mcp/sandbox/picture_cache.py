"""The pictures that were drawn last, so that one that is fetched again is not drawn again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

MOST_CACHED: Final = 32


@dataclass(slots=True)
class PictureCache:
    _drawn: dict[str, bytes] = field(default_factory=dict[str, bytes])

    async def get(self, task_id: str, draw_it: Callable[[], Awaitable[bytes]]) -> bytes:
        """The picture of a task, drawn where it is not here."""
        if task_id not in self._drawn:
            self._drawn[task_id] = await draw_it()
            if len(self._drawn) > MOST_CACHED:
                del self._drawn[next(iter(self._drawn))]
        return self._drawn[task_id]
