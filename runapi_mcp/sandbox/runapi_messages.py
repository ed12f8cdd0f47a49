"""What RunAPI's requests carry besides their bodies, and how it words a refusal."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from runapi_mcp.sandbox.http_messages import Refusal, answer, bearer_key

KEY_PREFIX: Final = "sandbox-"
"""Keys that begin so are good here, each with an account of its own; all others are wrong."""


def word_as_runapi(refusal: Refusal) -> Response:
    errors = {"errors": refusal.errors} if refusal.errors else {}
    return answer({"error": refusal.message, **errors}, refusal.status, refusal.headers)


def api_key(request: Request) -> str:
    """The key of a request; without one, or with a wrong one, it is refused with 401."""
    if key := bearer_key(request, KEY_PREFIX):
        return key
    raise Refusal(401, "Invalid API key")


def idempotency_key(request: Request) -> str | None:
    """The key under which a create is done once, if any; refused with 400 if it is none."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= 512 and key.isascii() and key.isprintable()):
        raise Refusal(400, "Idempotency-Key must be 1 to 512 printable ASCII characters")
    return key
