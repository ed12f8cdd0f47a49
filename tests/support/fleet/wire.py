"""MCP over HTTP as it stands on the wire, in any version, each request to wherever one likes."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast

import httpx
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from tests.support.processes import DRAW

VERSIONS = (*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS)


class ProtocolError(Exception):
    """An answer that a client cannot go on from."""


@dataclass(slots=True)
class WireClient:
    """A client of one version and key, which keeps to its version and to its session."""

    http: httpx.AsyncClient
    urls: Iterator[str]
    """Where each request goes in turn."""
    version: str
    key: str
    user_agent: str = "the-tests/1"
    capabilities: Mapping[str, object] = field(default_factory=dict[str, object])
    wants_progress: bool = False
    trace_parent: str | None = None
    """The span of its own that its requests are made in, as W3C has it."""
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _session: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def is_modern(self) -> bool:
        return self.version in MODERN_PROTOCOL_VERSIONS

    async def open(self) -> None:
        """The handshake, where there is one."""
        if self.is_modern:
            await self.ask("server/discover")
            return
        info = {"name": self.user_agent.partition("/")[0], "version": "1"}
        answer = await self.ask(
            "initialize",
            protocolVersion=self.version,
            capabilities=self.capabilities,
            clientInfo=info,
        )
        if answer["protocolVersion"] != self.version:
            raise ProtocolError(f"{answer['protocolVersion']} instead of {self.version}")
        await self._post({"method": "notifications/initialized"}, self._headers("", {}))

    async def draw(self, prompt: str, **arguments: object) -> dict[str, Any]:
        return await self.call(DRAW, {"prompt": prompt, **arguments})

    async def call(self, tool: str, arguments: Mapping[str, object]) -> dict[str, Any]:
        """The result of a tool."""
        return await self.ask("tools/call", name=tool, arguments=dict(arguments))

    async def ask(self, method: str, **params: object) -> dict[str, Any]:
        """
        Raises:
            ProtocolError
        """
        number = next(self._numbers)
        params["_meta"] = self._meta(number)
        message = {"id": number, "method": method, "params": params}
        text = await self._post(message, self._headers(method, params))
        answers = [json.loads(line) for line in _data(text)]
        answer = next((each for each in answers if each.get("id") == message["id"]), None)
        if answer is None or "result" not in answer:
            raise ProtocolError(f"{method}: {text[:300]}")
        return cast("dict[str, Any]", answer["result"])

    def _meta(self, number: int) -> dict[str, object]:
        meta: dict[str, object] = {"progressToken": number} if self.wants_progress else {}
        if self.trace_parent is not None:
            meta["traceparent"] = self.trace_parent
        if self.is_modern:
            meta["io.modelcontextprotocol/protocolVersion"] = self.version
            meta["io.modelcontextprotocol/clientCapabilities"] = dict(self.capabilities)
        return meta

    async def _post(self, message: Mapping[str, object], headers: Mapping[str, str]) -> str:
        body = json.dumps({"jsonrpc": "2.0", **message})
        answer = await self.http.post(f"{next(self.urls)}/mcp", content=body, headers=headers)
        if answer.status_code not in (200, 202):
            raise ProtocolError(f"{message['method']}: {answer.status_code} {answer.text[:300]}")
        if "mcp-session-id" in answer.headers:
            self._session = {"Mcp-Session-Id": answer.headers["mcp-session-id"]}
        return answer.text

    def _headers(self, method: str, params: Mapping[str, object]) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "Authorization": f"Bearer {self.key}",
            "User-Agent": self.user_agent,
            **self._session,
        }
        # The header came with 2025-06-18; the opening has none in the older protocol.
        if self.is_modern or (self.version >= "2025-06-18" and method != "initialize"):
            headers["Mcp-Protocol-Version"] = self.version
        if self.is_modern:
            headers["Mcp-Method"] = method
            if "name" in params:
                headers["Mcp-Name"] = str(params["name"])
        return headers


def _data(text: str) -> list[str]:
    """The messages of an answer: of an event stream its data, else the whole."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return lines or [text]
