"""Whoever started this process, and whether that one is still there."""

import os
from typing import Final

SILENT_SECONDS: Final = 60.0
"""How long nothing is said before a server whose starter is gone counts as abandoned."""
LOOK_EVERY_SECONDS: Final = 20.0


class Starter:
    def __init__(self) -> None:
        self._pid = os.getppid()

    @property
    def is_gone(self) -> bool:
        """Whether another process has taken its place as this one's parent."""
        return os.getppid() != self._pid
