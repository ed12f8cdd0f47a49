"""A model's API on loopback, in OpenAI's two forms, that keeps what it is sent."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

from conversation import next_call, report

if TYPE_CHECKING:
    from collections.abc import Generator

Json = dict[str, Any]  # Any: the JSON of another program


@contextlib.contextmanager
def model_stand_in() -> Generator[str]:
    """The API's address; at the end it is reported what a model was sent."""
    Api.last = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
    names = [tool.get("function", tool)["name"] for tool in Api.last["tools"]]
    report(names, answers(Api.last), Api.last)


class Api(BaseHTTPRequestHandler):
    """Answers each request with the next call of the talk."""

    last: ClassVar[Json]
    """The newest request, which holds the whole talk."""

    def do_POST(self) -> None:
        Api.last = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        form = as_response if self.path.endswith("/responses") else as_completion
        content = json.dumps(form(Api.last)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""


def as_completion(request: Json) -> Json:
    """The form of /chat/completions."""
    message: Json = {"role": "assistant", "content": "done"}
    if call := next_call(said := answers(request)):
        function = {"name": call[0], "arguments": json.dumps(call[1])}
        message["tool_calls"] = [
            {"id": f"call_{len(said)}", "type": "function", "function": function}
        ]
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return about("chat.completion") | {"created": 1, "choices": [choice]}


def as_response(request: Json) -> Json:
    """The form of /responses."""
    text: Json = {"type": "output_text", "text": "done", "annotations": []}
    item: Json = {"type": "message", "role": "assistant", "status": "completed", "content": [text]}
    if call := next_call(said := answers(request)):
        asked = {"name": call[0], "arguments": json.dumps(call[1])}
        item = {"type": "function_call", "call_id": f"call_{len(said)}", **asked}
    how: Json = {
        "status": "completed",
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
    }
    return about("response") | how | {"created_at": 1, "output": [{"id": "item_1", **item}]}


def about(form: str) -> Json:
    return {"id": "1", "object": form, "model": "stand-in"}


def answers(request: Json) -> list[str]:
    """The text of each answer of a tool, in either form."""
    return [
        text_of(item.get("content", item.get("output")))
        for item in request.get("messages") or request["input"]
        if item.get("role") == "tool" or item.get("type") == "function_call_output"
    ]


def text_of(content: str | list[Json]) -> str:
    parts = [{"text": content}] if isinstance(content, str) else content
    return "\n".join(part["text"] for part in parts if "text" in part)
