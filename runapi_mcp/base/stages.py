"""The stages of a call that take long, told to whoever looks on; nothing, where nobody does."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, Literal

CallStage = Literal["wait", "fetch", "decode"]
Observe = Callable[[CallStage], AbstractContextManager[object]]
"""Entered when a call comes to a stage, left when it leaves it."""

_NOTHING: Final = nullcontext()
_observing: Final[list[Observe]] = []


def stage(name: CallStage) -> AbstractContextManager[object]:
    """To be entered for as long as a call is there."""
    return _observing[-1](name) if _observing else _NOTHING


@contextmanager
def observed(observe: Observe) -> Generator[None]:
    """Let it see all stages of this process meanwhile; one at a time does."""
    _observing.append(observe)
    try:
        yield
    finally:
        _observing.remove(observe)
