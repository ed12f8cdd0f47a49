"""A conversation as far as it can be held without the SDK. In memory: lines in, answers out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final, TypeGuard

from runapi_mcp.base.json_values import Json, as_object
from runapi_mcp.front.shapes import are_capabilities, has, is_client, is_id

HANDSHAKE_VERSIONS: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN_VERSION: Final = "2026-07-28"
LISTS: Final = frozenset({"tools/list", "resources/templates/list", "prompts/list"})

_META: Final = "io.modelcontextprotocol/"
_VERSION: Final = f"{_META}protocolVersion"
_CAPABILITIES: Final = f"{_META}clientCapabilities"
_CLIENT: Final = f"{_META}clientInfo"
_PROGRESS: Final = "progressToken"
_HANDSHAKE: Final = frozenset({"protocolVersion", "capabilities", "clientInfo"})
_INITIALIZED: Final = "notifications/initialized"
_ROOTS_CHANGED: Final = "notifications/roots/list_changed"
_SURROGATE: Final = b"\\ud"

Answers = Callable[[str, str], str | None]
"""The result of a method in a version of the protocol, as JSON; None where it is not known."""


class Exchange:
    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._version: str | None = None
        self.opening: list[Json] = []
        """What the SDK's server has to be told, to be where this is."""

    def answer(self, line: bytes) -> bytes | None:
        """What to answer, nothing where nothing is to be said; None for what is not understood."""
        if not line.strip():
            return b""
        message = _message_in(line)
        if message is None:
            return None
        if "id" not in message:
            return self._note(message)
        version = self._version_of(message)
        result = version and self._answers(version, str(message["method"]))
        if not version or not result:
            return None
        self._open(version, message)
        request_id = json.dumps(message["id"], ensure_ascii=False)
        return f'{{"jsonrpc":"2.0","id":{request_id},"result":{result}}}\n'.encode()

    def _open(self, version: str, message: Json) -> None:
        if self._version is None:
            self._version = version
            self.opening.append(message if version in HANDSHAKE_VERSIONS else _cheapest(message))

    def _note(self, message: Json) -> bytes | None:
        """Nothing to say to a word about the handshake, or about folders, which nobody asks for."""
        if self._version not in HANDSHAKE_VERSIONS or message.get("params", {}) != {}:
            return None
        if message["method"] == _INITIALIZED and message not in self.opening:
            self.opening.append(message)
        return b"" if message["method"] in (_INITIALIZED, _ROOTS_CHANGED) else None

    def _version_of(self, message: Json) -> str | None:
        """The version in which a request is to be answered; None where it is not understood."""
        method, params = message["method"], message.get("params", {})
        if self._version is None and method == "initialize":
            return _offered_version(params)
        if self._version in HANDSHAKE_VERSIONS:
            understood = method in LISTS | {"ping"} and _is_plain_request(params, method)
            return self._version if understood else None
        understood = method in LISTS | {"server/discover"} and _is_modern_request(params, method)
        return MODERN_VERSION if understood else None


def _cheapest(message: Json) -> Json:
    """A request of the same era: each is complete in itself, so the era is all that counts."""
    meta = as_object(message["params"])["_meta"]
    return {**message, "method": "prompts/list", "params": {"_meta": meta}}


def _message_in(line: bytes) -> Json | None:
    """A request or a notification; None for everything else, and where readers may differ."""
    # Half an emoji, and the end of a line in the middle of one.
    if _SURROGATE in line.lower() or b"\r" in line.removesuffix(b"\r\n"):
        return None
    try:
        message: object = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    if not has(message, frozenset({"jsonrpc", "method"}), frozenset({"id", "params"})):
        return None
    is_call = message["jsonrpc"] == "2.0" and isinstance(message["method"], str)
    return message if is_call and is_id(message.get("id", 0)) else None


def _offered_version(params: object) -> str | None:
    """The version that a handshake is offered in, where that is a known one."""
    if not has(params, _HANDSHAKE, frozenset({"_meta"})) or not _is_meta(params.get("_meta", {})):
        return None
    if not are_capabilities(params["capabilities"]) or not is_client(params["clientInfo"]):
        return None
    version = params["protocolVersion"]
    return version if isinstance(version, str) and version in HANDSHAKE_VERSIONS else None


def _is_plain_request(params: object, method: object) -> bool:
    return _has_params(params, method) and _is_meta(params.get("_meta", {}))


def _is_modern_request(params: object, method: object) -> bool:
    if not _has_params(params, method):
        return False
    meta = params.get("_meta")
    if not has(meta, frozenset({_VERSION, _CAPABILITIES}), frozenset({_CLIENT, _PROGRESS})):
        return False
    return (
        meta[_VERSION] == MODERN_VERSION
        and are_capabilities(meta[_CAPABILITIES])
        and (_CLIENT not in meta or is_client(meta[_CLIENT]))
        and is_id(meta.get(_PROGRESS, 0))
    )


def _has_params(params: object, method: object) -> TypeGuard[Json]:
    """Whether there is nothing but a cursor and what goes with any request."""
    optional = frozenset({"_meta", "cursor"} if method in LISTS else {"_meta"})
    return has(params, frozenset(), optional) and isinstance(params.get("cursor", ""), str)


def _is_meta(meta: object) -> bool:
    return has(meta, frozenset(), frozenset({_PROGRESS})) and is_id(meta.get(_PROGRESS, 0))
