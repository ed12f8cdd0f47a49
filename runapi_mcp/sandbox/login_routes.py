"""The browser login: a page with two buttons, and the exchange of a code for a key, once."""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from html import escape
from typing import Final
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from runapi_mcp.base.html_page import content_policy, html_page
from runapi_mcp.sandbox.http_messages import EarlyAnswer, Refusal, Table, answer, json_body
from runapi_mcp.sandbox.runapi_messages import KEY_PREFIX

CODE_SECONDS: Final = 300.0
"""How long a code can be exchanged."""
_RULES: Final[Mapping[str, re.Pattern[str]]] = {
    "state": re.compile(r"[\x21-\x7e]{16,256}"),
    "code_challenge": re.compile(r"[A-Za-z0-9_-]{43}"),
    "code_challenge_method": re.compile(r"S256"),
    "redirect_port": re.compile(r"[1-9][0-9]{0,4}"),
    "display_code": re.compile(r"[A-HJ-NP-Z2-9]{4}-[A-HJ-NP-Z2-9]{4}"),
    "hostname": re.compile(r"[^\x00-\x1f\x7f]{1,255}"),
}
_LARGEST_PORT: Final = 65_535
LARGEST_FORM: Final = 10_000
_DENIED: Final = {"error": "access_denied", "error_description": "The login was denied"}


class LoginRoutes:
    """`/cli/authorize` and `/api/v1/cli/exchange`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._approved: dict[str, tuple[Mapping[str, str], float]] = {}
        """The logins that nobody has exchanged yet, by code, and until when each can be."""

    def table(self) -> Table:
        yield "GET", "/cli/authorize", self._ask
        yield "POST", "/cli/authorize", self._decide
        yield "POST", "/api/v1/cli/exchange", self._exchange

    async def _ask(self, request: Request) -> Response:
        return _page(_parse_login(request.query_params))

    async def _decide(self, request: Request) -> Response:
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise _bad_login("only this page's own buttons decide")
        fields = await _form(request)
        asked = _parse_login(fields)
        said = {"code": self._approve(asked)} if fields.get("decision") == "approve" else _DENIED
        # 303 makes it a GET.
        query = urlencode({**said, "state": asked["state"]})
        return RedirectResponse(f"{_callback(asked)}?{query}", 303)

    def _approve(self, asked: Mapping[str, str]) -> str:
        """The code that the browser brings back."""
        code = secrets.token_urlsafe(32)
        self._approved[code] = asked, self._clock() + CODE_SECONDS
        return code

    async def _exchange(self, request: Request) -> Response:
        body = await json_body(request)
        asked, until = self._approved.pop(str(body.get("code")), (None, 0.0))
        if asked is None or self._clock() > until:
            raise Refusal(400, "The code is unknown, used or expired")
        if body.get("redirect_port") != int(asked["redirect_port"]):
            raise Refusal(400, "redirect_port is not the one of this login")
        if _challenge(body.get("code_verifier")) != asked["code_challenge"]:
            raise Refusal(400, "code_verifier does not match the challenge")
        key = KEY_PREFIX + secrets.token_urlsafe(24)
        name, user = f"CLI on {asked['hostname']}", {"email": "sandbox@example.com"}
        return answer({"key": key, "name": name, "user": user}, 201)


def _parse_login(fields: Mapping[str, str]) -> Mapping[str, str]:
    """The login that a program asks for; refused where a field is missing or malformed."""
    for name, rule in _RULES.items():
        if not rule.fullmatch(fields.get(name, "")):
            raise _bad_login(f"{name} is missing or malformed")
    if int(fields["redirect_port"]) > _LARGEST_PORT:
        raise _bad_login("redirect_port is missing or malformed")
    return {name: fields[name] for name in _RULES}


def _callback(asked: Mapping[str, str]) -> str:
    return f"http://127.0.0.1:{asked['redirect_port']}/callback"


async def _form(request: Request) -> Mapping[str, str]:
    raw = (await request.body())[:LARGEST_FORM]
    fields = parse_qs(raw.decode("utf-8", "replace"))
    return {name: values[0] for name, values in fields.items() if len(values) == 1}


def _page(asked: Mapping[str, str]) -> Response:
    shown = {name: escape(value) for name, value in asked.items()}
    inputs = (f'<input type="hidden" name="{n}" value="{value}">' for n, value in shown.items())
    values = {**shown, "inputs": "\n".join(inputs)}
    return _html("Allow access?", "authorize.html", values, _callback(asked))


def _bad_login(reason: str) -> EarlyAnswer:
    return EarlyAnswer(_html("No login", "bad_login.html", {"reason": escape(reason)}, status=400))


def _html(
    title: str, name: str, values: Mapping[str, str], form_action: str = "", status: int = 200
) -> Response:
    # Browsers hold a redirect after a form to the form's own rule.
    policy = content_policy(f"'self' {form_action}".strip())
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "same-origin",
    }
    page = html_page(f"{title} - RunAPI's sandbox", "runapi_mcp.sandbox", name, values)
    return HTMLResponse(page, status, headers)


def _challenge(verifier: object) -> str:
    text = verifier if isinstance(verifier, str) else ""
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
