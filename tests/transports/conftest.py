"""What every test of a transport stands on."""

import pytest
from sse_starlette.sse import AppStatus


@pytest.fixture(autouse=True)
def _no_server_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once one has ended in this process, the library that streams events begins none any more."""
    monkeypatch.setattr(AppStatus, "should_exit", False)
    monkeypatch.setattr(AppStatus, "enable_automatic_graceful_drain", False)
