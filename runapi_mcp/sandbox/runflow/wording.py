"""What Runflow's requests carry besides their bodies, and how it words a refusal."""

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from runapi_mcp.sandbox.http_messages import Refusal, answer, bearer_key

RUNFLOW_KEY_PREFIX: Final = "rf_live_sandbox"
"""Keys that begin so are good here, each with an account of its own; all others are wrong."""
# Those that its documentation names; what it says elsewhere is published nowhere.
_CODES: Final[Mapping[int, str]] = {
    401: "UNAUTHORIZED",
    402: "INSUFFICIENT_CREDIT",
    403: "PERMISSION_DENIED",
    404: "RUN_NOT_FOUND",
    409: "CONFLICT",
    422: "VALIDATION_ERROR",
    429: "RATE_LIMITED",
    503: "MODEL_UNAVAILABLE",
}
_ANY_CODE: Final = "REQUEST_FAILED"


def word_as_runflow(refusal: Refusal) -> Response:
    errors = [
        {"field": field, "message": reason}
        for field, reasons in refusal.errors.items()
        for reason in reasons
    ]
    body = {
        "code": refusal.code or _CODES.get(refusal.status, _ANY_CODE),
        "message": refusal.message,
        "errors": errors or None,
    }
    return answer(body, refusal.status, refusal.headers)


def runflow_key(request: Request) -> str:
    """The key of a request; without one, or with a wrong one, it is refused with 401."""
    if key := bearer_key(request, RUNFLOW_KEY_PREFIX):
        return key
    raise Refusal(401, "The token is missing or invalid.")
