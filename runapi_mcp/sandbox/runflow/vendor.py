"""Runflow put together: its own accounts, failures and routes."""

from collections.abc import Callable
from typing import Final

from runapi_mcp.sandbox.accounts import Accounts
from runapi_mcp.sandbox.faults import Faults
from runapi_mcp.sandbox.http_messages import app_of
from runapi_mcp.sandbox.runflow.model_shelf import ModelShelf
from runapi_mcp.sandbox.runflow.organization_routes import OrganizationRoutes
from runapi_mcp.sandbox.runflow.run_pictures import RunPictures
from runapi_mcp.sandbox.runflow.run_routes import RunRoutes
from runapi_mcp.sandbox.runflow.run_store import RunMaker, StoredRun
from runapi_mcp.sandbox.runflow.wording import RUNFLOW_KEY_PREFIX, word_as_runflow

RUNFLOW_PREFIX: Final = "/runflow"
"""Where it is found at the sandbox; `/v1/...` follows."""
RUNFLOW_SANDBOX_KEY: Final = f"{RUNFLOW_KEY_PREFIX}_key_without_money"


class RunflowSandbox:
    """`faults` takes failures for the requests to come, `shelf` knows whether flex is sold."""

    def __init__(self, clock: Callable[[], float], draw_seconds: float | None) -> None:
        self.faults = Faults()
        self.accounts: Accounts[StoredRun] = Accounts(clock)
        self.shelf = ModelShelf(self.faults)
        pictures = RunPictures(self.accounts, self.faults)
        runs = RunRoutes(self.accounts, RunMaker(draw_seconds), pictures, self.shelf, self.faults)
        groups = (runs, pictures, self.shelf, OrganizationRoutes(self.accounts, self.faults))
        self.app = app_of(groups, word_as_runflow)
