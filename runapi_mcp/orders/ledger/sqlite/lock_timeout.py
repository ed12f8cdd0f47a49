"""How long this process waits for another one's lock on the ledger. Knows no SQLite."""

from time import monotonic
from typing import Final

FULL_MILLISECONDS: Final = 5_000
WORN_MILLISECONDS: Final = 250


class Patience:
    """Full, until a wait was in vain; then short for a while, as one call needs several locks."""

    def __init__(self) -> None:
        self._worn_until = 0.0

    @property
    def milliseconds(self) -> int:
        """How long the next lock is waited for."""
        return WORN_MILLISECONDS if monotonic() < self._worn_until else FULL_MILLISECONDS

    def wear_out(self) -> None:
        """A lock was waited for in vain."""
        self._worn_until = monotonic() + FULL_MILLISECONDS / 1000
