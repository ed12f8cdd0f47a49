"""HTTP as RunAPI speaks it: requests read, and answers, which say that they are the sandbox's."""

import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from json import dumps, loads
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from runapi_mcp.base.json_values import is_object

FieldErrors = dict[str, list[str]]
Handler = Callable[[Request], Awaitable[Response]]
Table = Iterator[tuple[str, str, Handler]]
"""The method, path and handler of each route of a group."""

KEY_PREFIX: Final = "sandbox-"
"""Keys that begin so are good here, each with an account of its own; all others are wrong."""
LARGEST_BODY: Final = 1_000_000


def answer(
    body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return JSONResponse({**body, "sandbox": True}, status, dict(headers or {}))


def error(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return answer({"error": message}, status, headers)


def invalid(errors: FieldErrors) -> Response:
    return answer({"error": "Validation failed", "errors": errors}, 422)


class Refusal(Exception):
    """A request that ends early, with this answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def sign(response: Response, request: Request) -> Response:
    """Give the answer the headers that all of them carry."""
    response.headers["X-RunAPI-Sandbox"] = "1"
    response.headers["X-Request-Id"] = f"req_{uuid.uuid4().hex[:16]}"
    if client_request_id := request.headers.get("x-client-request-id"):
        response.headers["X-Client-Request-Id"] = client_request_id
    return response


def signing(handler: Handler) -> Handler:
    """The handler with early endings turned into their answers, and every answer signed."""

    async def respond(request: Request) -> Response:
        try:
            response = await handler(request)
        except Refusal as refusal:
            response = refusal.response
        return sign(response, request)

    return respond


def api_key(request: Request) -> str:
    """The key of a request; without one, or with a wrong one, it is refused with 401."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme != "Bearer" or not key.startswith(KEY_PREFIX):
        raise Refusal(error(401, "Invalid API key"))
    return key


def idempotency_key(request: Request) -> str | None:
    """The key under which a create is done once, if any; refused with 400 if it is none."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= 512 and key.isascii() and key.isprintable()):
        raise Refusal(error(400, "Idempotency-Key must be 1 to 512 printable ASCII characters"))
    return key


async def json_body(request: Request) -> Mapping[str, object]:
    """The JSON object a request carries; refused with 400, 413 or 415 where it carries none."""
    media_type = request.headers.get("content-type", "").partition(";")[0]
    if media_type.strip().lower() != "application/json":
        raise Refusal(error(415, "Content-Type must be application/json"))
    raw = await request.body()
    if len(raw) > LARGEST_BODY:
        raise Refusal(error(413, "Payload too large"))
    body = _decoded(raw)
    if not is_object(body):
        raise Refusal(error(400, "The body must be a JSON object"))
    return body


def origin(request: Request) -> str:
    """Where the client reached the sandbox."""
    return str(request.base_url).rstrip("/")


def _decoded(raw: bytes) -> object:
    """The JSON value; None where there is none, it nests too deep, or holds half a character."""
    try:
        body = loads(raw)
        # Half a surrogate pair is a string to Python, but an answer cannot repeat it.
        dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return body
