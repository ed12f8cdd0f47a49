"""A picture that is drawn to see whether it can be, in the way of any agent's client."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import anyio
import httpx

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.json_values import Json, as_list, as_number, as_object, as_text
from runapi_mcp.base.redaction import quote
from runapi_mcp.setup.doctor.findings import Finding, fine, problem

TRIAL_SECONDS: Final = 180.0
_WAIT_SECONDS: Final = 165
"""How long the server waits for it; less, so that its answer is still heard."""
_PROMPT: Final = "a lighthouse at dusk, to see that pictures are drawn"
_GO_ON: Final = "run this again, which goes on with the same picture"
_VERSION: Final = "2026-07-28"
_VARIANT: Final = VARIANTS[0]
_TOOL: Final = _VARIANT.tool_name
_DATA: Final = "data: "


class NotAnswered(Exception):
    """No result came; its text says what came instead."""


@dataclass(frozen=True, slots=True)
class TrialPicture:
    base_url: str
    key: str

    async def price_cents(self) -> float:
        """What it will cost.

        Raises:
            NotAnswered
        """
        told = await self._call("check_pricing", {})
        rows = map(as_object, as_list(as_object(told.get("structuredContent")).get("prices")))
        of_model = (row.get("price_cents") for row in rows if row.get("model") == _VARIANT.model)
        price_cents = as_number(next(of_model, None))
        if price_cents is None:
            raise NotAnswered(quote(_words(told)))
        return price_cents

    async def draw(self) -> Finding:
        """What comes of it."""
        began_at = anyio.current_time()
        try:
            result = await self._call(_TOOL, {"prompt": _PROMPT, "wait_seconds": _WAIT_SECONDS})
        except NotAnswered as failure:
            return undrawn(f"{failure}", "it may have been paid all the same", _GO_ON)
        facts = as_object(result.get("structuredContent"))
        task_id = as_text(facts.get("task_id"))
        if task_id is None:
            return undrawn(quote(_words(result)))
        if facts.get("status") != "completed":
            error = as_text(facts.get("error"))
            said = f"its task {task_id} is {facts.get('status')}"
            return undrawn(f"{said}: {quote(error)}" if error else said, mend=_GO_ON)
        if "joined" in facts:
            return fine("picture", f"a picture came that an earlier visit ordered, task {task_id}")
        seconds = anyio.current_time() - began_at
        return fine("picture", f"a picture was drawn in {seconds:.0f} s, task {task_id}")

    async def _call(self, tool: str, arguments: Mapping[str, object]) -> Json:
        """
        Raises:
            NotAnswered
        """
        try:
            answer = await self._ask(tool, arguments)
            results = [said["result"] for said in _messages(answer.text) if "result" in said]
        except httpx.HTTPError as error:
            raise NotAnswered(str(error) or type(error).__name__) from error
        if not results:
            raise NotAnswered(f"the answer is {answer.status_code} {quote(answer.text)}")
        return as_object(results[0])

    async def _ask(self, tool: str, arguments: Mapping[str, object]) -> httpx.Response:
        meta: Json = {
            "io.modelcontextprotocol/protocolVersion": _VERSION,
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        params: Json = {"name": tool, "arguments": arguments, "_meta": meta}
        message: Json = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        headers = {
            "Accept": "application/json, text/event-stream",
            "Authorization": f"Bearer {self.key}",
            "Mcp-Protocol-Version": _VERSION,
            "Mcp-Method": "tools/call",
            "Mcp-Name": tool,
        }
        async with httpx.AsyncClient(timeout=TRIAL_SECONDS, headers=headers) as http:
            return await http.post(f"{self.base_url}/mcp", json=message)


def undrawn(reason: str, why: str = "", mend: str = "read the servers' logs") -> Finding:
    return problem("picture", f"a picture was not drawn: {reason}", why, mend)


def _words(result: Json) -> str:
    texts = (as_text(as_object(part).get("text")) for part in as_list(result.get("content")))
    return " ".join(text for text in texts if text)


def _messages(text: str) -> Iterator[Json]:
    lines = [line.removeprefix(_DATA) for line in text.splitlines() if line.startswith(_DATA)]
    for line in lines or [text]:
        with suppress(ValueError):  # a proxy's page
            yield as_object(json.loads(line))
