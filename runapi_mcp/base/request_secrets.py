"""The secrets of the request that is served in this context: what is logged meanwhile has none.

A context rather than a list of all requests: a record would be searched for every caller's key.
"""

from contextvars import ContextVar
from typing import Final

_secrets: Final[ContextVar[frozenset[str]]] = ContextVar("secrets", default=frozenset())


def add_secret(secret: str) -> None:
    """What is handled in this context from here on, and whatever it starts, knows this secret."""
    _secrets.set(_secrets.get() | {secret})


def request_secrets() -> frozenset[str]:
    return _secrets.get()
