"""The browser login: a page with two buttons, and the exchange of a code for a key, once."""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Final
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from runapi_mcp.base.html_page import content_policy, html_page
from runapi_mcp.sandbox.http_messages import KEY_PREFIX, answer, error, json_body
from runapi_mcp.sandbox.routing import Table

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


class BadLogin(ValueError):
    """A login that cannot be shown or exchanged. `str()` says why."""


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """A login that a program asks for, its fields as they came and known to be well-formed."""

    fields: Mapping[str, str]

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> "LoginRequest":
        """
        Raises:
            BadLogin: a field is missing or malformed.
        """
        for name, rule in _RULES.items():
            if not rule.fullmatch(fields.get(name, "")):
                raise BadLogin(f"{name} is missing or malformed")
        if int(fields["redirect_port"]) > _LARGEST_PORT:
            raise BadLogin("redirect_port is missing or malformed")
        return cls({name: fields[name] for name in _RULES})

    @property
    def callback(self) -> str:
        return f"http://127.0.0.1:{self.fields['redirect_port']}/callback"


class LoginStore:
    """The approved logins that nobody has exchanged yet."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._approved: dict[str, tuple[LoginRequest, float]] = {}

    def approve(self, asked: LoginRequest) -> str:
        """The code that the browser brings back."""
        code = secrets.token_urlsafe(32)
        self._approved[code] = asked, self._clock() + CODE_SECONDS
        return code

    def exchange(self, body: Mapping[str, object]) -> dict[str, object]:
        """The key, with the name it is listed under.

        Raises:
            BadLogin: the code is unknown, used, too old, or of another program.
        """
        asked, until = self._approved.pop(str(body.get("code")), (None, 0.0))
        if asked is None or self._clock() > until:
            raise BadLogin("The code is unknown, used or expired")
        if body.get("redirect_port") != int(asked.fields["redirect_port"]):
            raise BadLogin("redirect_port is not the one of this login")
        if _challenge(body.get("code_verifier")) != asked.fields["code_challenge"]:
            raise BadLogin("code_verifier does not match the challenge")
        key = KEY_PREFIX + secrets.token_urlsafe(24)
        name, user = f"CLI on {asked.fields['hostname']}", {"email": "sandbox@example.com"}
        return {"key": key, "name": name, "user": user}


class LoginRoutes:
    """`/cli/authorize` and `/api/v1/cli/exchange`."""

    def __init__(self, logins: LoginStore) -> None:
        self._logins = logins

    def table(self) -> Table:
        yield "GET", "/cli/authorize", self._ask
        yield "POST", "/cli/authorize", self._decide
        yield "POST", "/api/v1/cli/exchange", self._exchange

    async def _ask(self, request: Request) -> Response:
        try:
            asked = LoginRequest.of(request.query_params)
        except BadLogin as reason:
            return _bad_page(reason)
        return _page(asked)

    async def _decide(self, request: Request) -> Response:
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return _bad_page(BadLogin("only this page's own buttons decide"))
        fields = await _form(request)
        try:
            asked = LoginRequest.of(fields)
        except BadLogin as reason:
            return _bad_page(reason)
        approved = fields.get("decision") == "approve"
        said = {"code": self._logins.approve(asked)} if approved else _DENIED
        # 303 makes it a GET.
        query = urlencode({**said, "state": asked.fields["state"]})
        return RedirectResponse(f"{asked.callback}?{query}", 303)

    async def _exchange(self, request: Request) -> Response:
        body = await json_body(request)
        try:
            return answer(self._logins.exchange(body), 201)
        except BadLogin as reason:
            return error(400, str(reason))


async def _form(request: Request) -> Mapping[str, str]:
    raw = (await request.body())[:LARGEST_FORM]
    fields = parse_qs(raw.decode("utf-8", "replace"))
    return {name: values[0] for name, values in fields.items() if len(values) == 1}


def _page(asked: LoginRequest) -> Response:
    shown = {name: escape(value) for name, value in asked.fields.items()}
    inputs = (f'<input type="hidden" name="{n}" value="{value}">' for n, value in shown.items())
    values = {**shown, "inputs": "\n".join(inputs)}
    return _html("Allow access?", "authorize.html", values, asked.callback)


def _bad_page(reason: BadLogin) -> Response:
    return _html("No login", "bad_login.html", {"reason": escape(str(reason))}, status=400)


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
