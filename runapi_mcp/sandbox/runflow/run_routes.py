"""The paid part of Runflow's contract: making runs, reading and finding them, their callbacks."""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from json import dumps
from typing import Final

import anyio
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response

from runapi_mcp.base.json_values import as_object
from runapi_mcp.sandbox.accounts import Accounts
from runapi_mcp.sandbox.callbacks import call_back
from runapi_mcp.sandbox.faults import Faults
from runapi_mcp.sandbox.http_messages import Refusal, Table, answer, json_body, origin
from runapi_mcp.sandbox.runflow.flex_order import order_of
from runapi_mcp.sandbox.runflow.list_query import list_query
from runapi_mcp.sandbox.runflow.model_shelf import FLEX_PATH, ModelShelf
from runapi_mcp.sandbox.runflow.run_answers import callback_payload, run_answer
from runapi_mcp.sandbox.runflow.run_pictures import RunPictures
from runapi_mcp.sandbox.runflow.run_store import RunMaker, StoredRun, run_script_of
from runapi_mcp.sandbox.runflow.wording import runflow_key

CALLBACK_SECRET: Final = "sandbox-callback-secret"  # noqa: S105 - nothing is behind it
"""What every callback is signed with."""


@dataclass(frozen=True, slots=True)
class RunRoutes:
    """`/v1/models/{owner}/{slug}/runs` and `/v1/runs...`."""

    _accounts: Accounts[StoredRun]
    _maker: RunMaker
    _pictures: RunPictures
    _shelf: ModelShelf
    _faults: Faults

    def table(self) -> Table:
        yield "POST", "/v1/models/{path:path}/runs", self._create
        yield "GET", "/v1/runs", self._list
        yield "GET", "/v1/runs/{run_id}", self._read

    async def _create(self, request: Request) -> Response:
        owner, body = runflow_key(request), await json_body(request)
        if request.path_params["path"] != FLEX_PATH or not self._shelf.is_listed:
            raise Refusal(404, "There is no such model.", code="MODEL_NOT_FOUND")
        script = run_script_of(as_object(body.get("input")))
        # Not by the caller's own reference, which is another one where the same is ordered again.
        identity = owner, dumps(body.get("input"), sort_keys=True)
        await self._faults.misbehave("create", script.faults, identity)
        order = order_of(body)
        self._shelf.require_available()
        run = self._maker.new_run(order, script, origin(request), self._accounts.clock())
        self._accounts.of(owner).take_on(run)
        # Told as it was before anything began, however soon it ends.
        response = self._answer(run, 201, run.started - 1)
        if isinstance(order.callback_url, str):
            response.background = BackgroundTask(self._call_back, order.callback_url, run)
        await self._faults.misbehave("created", script.faults, identity)
        return response

    async def _read(self, request: Request) -> Response:
        run = self._accounts.of(runflow_key(request)).tasks.get(request.path_params["run_id"])
        if run is None:
            raise Refusal(404, "There is no such run.")
        await self._faults.misbehave("poll", run.script.faults, run.id)
        return self._answer(run, 200, self._accounts.clock())

    async def _list(self, request: Request) -> Response:
        account = self._accounts.of(runflow_key(request))
        await self._faults.misbehave("list")
        query, now = list_query(request.query_params, ["client_ref"]), self._accounts.clock()
        runs = [run for run in account.tasks.values() if run.is_listed(now)]
        if query.field is not None:
            runs = [run for run in runs if run.client_ref == query.value]
        page, links = query.page(runs[::-1] if query.newest_first else runs)
        items = [run_answer(run, now, self._pictures.address_of(run)) for run in page]
        return answer({"items": items, **links})

    def _answer(self, run: StoredRun, status: int, now: float) -> Response:
        pause = run.script.poll_after_seconds
        retry_after = {} if pause is None else {"Retry-After": f"{pause:g}"}
        return answer(run_answer(run, now, self._pictures.address_of(run)), status, retry_after)

    async def _call_back(self, url: str, run: StoredRun) -> None:
        """Post the end of a run, signed, once it has come."""
        if run.script.never_ends:
            return
        await anyio.sleep(max(0.0, run.started + run.seconds - self._accounts.clock()))
        now, address = self._accounts.clock(), self._pictures.address_of(run)
        content = dumps(callback_payload(run, now, address)).encode()
        signature = hmac.new(CALLBACK_SECRET.encode(), content, sha256).hexdigest()
        headers = {"Runflow-Signature": signature, "Runflow-Request-Id": run.request_id}
        await call_back(url, content, headers)
