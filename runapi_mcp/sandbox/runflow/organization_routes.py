"""The organization behind a key: who it is, and what it has left."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from runapi_mcp.sandbox.accounts import Accounts
from runapi_mcp.sandbox.faults import Faults
from runapi_mcp.sandbox.http_messages import Table, answer
from runapi_mcp.sandbox.runflow.run_answers import ORGANIZATION_ID
from runapi_mcp.sandbox.runflow.run_store import StoredRun
from runapi_mcp.sandbox.runflow.wording import runflow_key


@dataclass(frozen=True, slots=True)
class OrganizationRoutes:
    """`/v1/billing/balance`, `/v1/auth/me` and `/v1/health`."""

    _accounts: Accounts[StoredRun]
    _faults: Faults

    def table(self) -> Table:
        yield "GET", "/v1/billing/balance", self._balance
        yield "GET", "/v1/auth/me", self._identity
        yield "GET", "/v1/health", self._health

    async def _balance(self, request: Request) -> Response:
        owner = runflow_key(request)
        await self._faults.misbehave("account")
        balance = f"{self._accounts.of(owner).balance_cents / 100:.2f}"
        return answer(
            {"org_id": ORGANIZATION_ID, "balance": balance, "low_balance_threshold": None}
        )

    async def _identity(self, request: Request) -> Response:
        runflow_key(request)
        await self._faults.misbehave("account")
        organization = {"id": ORGANIZATION_ID, "name": "Sandbox"}
        return answer({"email": "sandbox@example.com", "organization": organization})

    async def _health(self, request: Request) -> Response:
        return answer({"status": "ok"})
