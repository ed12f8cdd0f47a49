"""When the garbage collector looks at what, in a process that serves."""

import gc
from itertools import count
from typing import Final

CALLS_BETWEEN: Final = 25
"""After so many calls what they left is collected: some milliseconds' worth."""
_MIDDLE_COLLECTIONS_EVERY: Final = 2
"""Collections of the young; Python's own number is 10."""
_FULL_COLLECTIONS_EVERY: Final = 4_000
"""Collections of the middle-aged; Python's own number is 10."""
_YOUNG: Final = 0


def settle_memory() -> None:
    """Keep the collector away from what start-up made: all of it stays to the end.

    A full collection looks at all that all waits hold, which is half a second for two thousand, and
    finds next to nothing: what a call leaves is young. One of the middle-aged finds as little among
    what a thousand calls have just begun to hold, so that it is to look at little at a time.
    """
    young, *_ = gc.get_threshold()
    gc.set_threshold(young, _MIDDLE_COLLECTIONS_EVERY, _FULL_COLLECTIONS_EVERY)
    gc.enable()
    gc.freeze()


class CallGarbage:
    """What calls leave behind, collected while it is little.

    Python begins to collect once more was made than went away. At the end of a crowd all goes away
    that its waits held, so that it would not begin before the garbage of two thousand calls lies
    there, and hold the event loop for a tenth of a second.
    """

    def __init__(self) -> None:
        self._ended = count(1)

    def note_end(self) -> None:
        """A call has ended, and leaves some."""
        if next(self._ended) % CALLS_BETWEEN == 0:
            gc.collect(_YOUNG)
