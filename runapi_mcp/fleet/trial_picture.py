"""A picture that is drawn to see whether it can be, in the way of any agent's client."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import anyio
import httpx

from runapi_mcp.base.catalog import VARIANTS
from runapi_mcp.base.json_values import Json, as_list, as_number, as_object, as_text
from runapi_mcp.base.redaction import quote
from runapi_mcp.setup.doctor.findings import Finding, fine, problem

TRIAL_SECONDS: Final = 180.0
_VERSION: Final = "2026-07-28"
_VARIANT: Final = VARIANTS[0]
_TOOL: Final = _VARIANT.tool_name
_DATA: Final = "data: "


@dataclass(frozen=True, slots=True)
class TrialPicture:
    base_url: str
    key: str

    async def price_cents(self) -> float | None:
        """What it will cost; None where nobody can tell."""
        told = await self._call("check_pricing", {})
        rows = map(as_object, as_list(as_object(told.get("structuredContent")).get("prices")))
        of_model = (row for row in rows if row.get("model") == _VARIANT.model)
        row = next(of_model, None)
        return as_number(row.get("price_cents")) if row else None

    async def draw(self) -> Finding:
        """What comes of it."""
        began_at = anyio.current_time()
        prompt = {"prompt": "a lighthouse at dusk, to see that pictures are drawn"}
        try:
            result = await self._call(_TOOL, {**prompt, "wait_seconds": TRIAL_SECONDS - 15})
        except (httpx.HTTPError, ValueError) as error:
            return _undrawn(str(error) or type(error).__name__)
        facts = as_object(result.get("structuredContent"))
        if facts.get("status") != "completed":
            return _undrawn(as_text(facts.get("status")) or quote(json.dumps(result)))
        return fine("picture", f"a picture was drawn in {anyio.current_time() - began_at:.0f} s")

    async def _call(self, tool: str, arguments: Mapping[str, object]) -> Json:
        """
        Raises:
            httpx.HTTPError
            ValueError: the answer is none.
        """
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
            answer = await http.post(f"{self.base_url}/mcp", json=message)
        answer.raise_for_status()
        for said in _messages(answer.text):
            if "result" in said:
                return as_object(said["result"])
        raise ValueError(f"the answer is no result: {quote(answer.text)}")


def _undrawn(reason: str) -> Finding:
    return problem(
        "picture",
        f"a picture was not drawn: {reason}",
        "nor will it be for others",
        "read the servers' logs",
    )


def _messages(text: str) -> Iterator[Json]:
    lines = [line.removeprefix(_DATA) for line in text.splitlines() if line.startswith(_DATA)]
    for line in lines or [text]:
        yield as_object(json.loads(line))
