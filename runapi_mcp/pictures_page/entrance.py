"""Who may see the page: the one browser that was given its address, from this machine's own page.

The address has a token that is good once, for a cookie. Beside the cookie each request must be for
this very host and port, and from a page of it or from the person: pages of other ports of this
machine are the same site to a browser, which sends them the cookie too.
"""

import hmac
from functools import partial
from http import HTTPStatus
from secrets import token_urlsafe
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runapi_mcp.pictures_page.message_page import message_page

PAGE_HOST: Final = "127.0.0.1"
COOKIE: Final = "runapi-pictures"
_TOKEN: Final = "token"  # noqa: S105 - the name of a query's field
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_forbid: Final = partial(message_page, HTTPStatus.FORBIDDEN)


class Entrance:
    """Before an app that answers below `place`. The place is in the cookie's path.

    So servers on other ports of this machine, to which browsers send cookies alike, get none.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._host = f"{PAGE_HOST}:{port}"
        self.place = f"/{token_urlsafe(12)}"
        self._token = token_urlsafe(32)
        self._secret = token_urlsafe(32)
        self._is_token_used = False

    @property
    def address(self) -> str:
        """What the browser is to open, once."""
        return f"http://{self._host}{self.place}/?{_TOKEN}={self._token}"

    def before(self, app: ASGIApp) -> ASGIApp:
        """The app, for those who may come in."""

        async def admit(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                answer = self._refusal(Request(scope)) or app
                await answer(scope, receive, _guarding(send))
            else:
                await app(scope, receive, send)

        return admit

    def _refusal(self, request: Request) -> Response | None:
        """The answer to who is not let in, or gets the cookie just now; None for who is in."""
        if request.headers.get("host") != self._host:
            answered = f"runapi-mcp answers to {self._host} only."
            misdirected = HTTPStatus.MISDIRECTED_REQUEST
            return message_page(misdirected, "This address is not answered", answered)
        if not _is_same(request.cookies.get(COOKIE, ""), self._secret):
            return self._take_token(request)
        if not self._is_from_here(request):
            return _forbid("This was asked by another page", "Only the pictures' own page may ask.")
        return None

    def _take_token(self, request: Request) -> Response:
        is_good = _is_same(request.query_params.get(_TOKEN, ""), self._token)
        if not is_good or request.method != "GET" or request.url.path != f"{self.place}/":
            return _forbid(
                "This page is for another browser",
                "Open the address that runapi-mcp shows in the terminal.",
            )
        if self._is_token_used:
            return _forbid(
                "This address was opened before",
                "It works once. Was that not you? End runapi-mcp with Ctrl-C, and start it again.",
            )
        self._is_token_used = True
        return self._welcome()

    def _welcome(self) -> Response:
        """A page that goes on to the pictures by itself.

        No redirect: a browser that came from another site, as from a terminal in a page, would not
        send a strict cookie along.
        """
        answer = message_page(HTTPStatus.OK, "Opening your pictures", "One moment.")
        answer.headers["Refresh"] = f"0; url={self.place}/"
        answer.set_cookie(COOKIE, self._secret, path=self.place, httponly=True, samesite="strict")
        return answer

    def _is_from_here(self, request: Request) -> bool:
        origin = request.headers.get("origin")
        if origin is not None or request.method not in ("GET", "HEAD"):
            return origin == f"http://{self._host}"
        # A browser that does not know this header sends none.
        return request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")


def _guarding(send: Send) -> Send:
    """Sends what an answer does not say itself of who may keep, frame or read it."""

    async def send_guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_guarded


def _is_same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())
