"""What a host said before the SDK's server listened, told to that: its answers are out already."""

import os
from collections.abc import Sequence

from mcp.shared.message import SessionMessage
from mcp_types import RequestId

from runapi_mcp.base.json_values import Json
from runapi_mcp.transports.incoming import message_of


class Replay:
    def __init__(self, opening: Sequence[Json]) -> None:
        self._ids: set[RequestId] = set()
        self.messages = [SessionMessage(message_of(self._renamed(each))) for each in opening]

    def is_answered_by(self, item: SessionMessage) -> bool:
        """Whether it is an answer that the host has."""
        return getattr(item.message, "id", None) in self._ids

    def _renamed(self, message: Json) -> Json:
        """The message under an id that no host gives: it may use its own again."""
        if "id" not in message:
            return message
        request_id = os.urandom(16).hex()
        self._ids.add(request_id)
        return {**message, "id": request_id}
