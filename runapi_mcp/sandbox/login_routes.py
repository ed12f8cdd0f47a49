"""The browser login: a page with two buttons, and the exchange of a code for a key."""

from collections.abc import Mapping
from html import escape
from typing import Final
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from runapi_mcp.base.html_page import content_policy, html_page
from runapi_mcp.sandbox.answers import answer, error
from runapi_mcp.sandbox.login_store import BadLogin, LoginRequest, LoginStore
from runapi_mcp.sandbox.requests import json_body
from runapi_mcp.sandbox.routing import Table

LARGEST_FORM: Final = 10_000
_DENIED: Final = {"error": "access_denied", "error_description": "The login was denied"}


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
