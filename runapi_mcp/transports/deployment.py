"""How a server of HTTP stands among others, and to what stands before it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.middleware import Middleware
from starlette.routing import BaseRoute


@dataclass(frozen=True, slots=True)
class Deployment:
    """By default alone."""

    keeps_sessions: bool = True
    """Without them any server of its kind can take any request."""
    root_path: str = ""
    """What stands before all paths where clients find them, as "/flux"."""
    before_checks: Sequence[Middleware] = ()
    """What takes out what is for no client."""
    more_routes: Sequence[BaseRoute] = ()
    """Served as calls are."""
    is_ready: Callable[[], bool] = lambda: True
    """What a balancer is told."""
