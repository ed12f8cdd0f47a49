"""The page a person sees when the login is over, or is not theirs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from http import HTTPStatus
from typing import Final, Literal

from runapi_mcp.base.errors import Failure
from runapi_mcp.base.html_page import html_page

Tone = Literal["good", "bad", "quiet"]

_SIGNS: Final[Mapping[Tone, str]] = {
    "good": "M7 12.5l3.5 3.5L17.5 9",
    "bad": "M8.5 8.5l7 7m0-7l-7 7",
    "quiet": "M12 7.5v5.5m0 3v.5",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page in plain words; it has nothing to click."""

    status: HTTPStatus
    tone: Tone
    title: str
    message: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def html(self) -> str:
        title = escape(self.title)
        values = {
            "tone": self.tone,
            "sign": _SIGNS[self.tone],
            "title": title,
            "message": "\n".join(f"<p>{escape(sentence)}</p>" for sentence in self.message),
        }
        return html_page(f"{title} - runapi-mcp", "runapi_mcp.login", "page.html", values)


def success_page(hostname: str, email: str | None) -> Page:
    whose = f"as {email} " if email else ""
    message = (
        f"runapi-mcp on {hostname} is logged in {whose}and its key is saved.",
        "You can close this window and go back to your terminal or agent.",
    )
    return Page(HTTPStatus.OK, "good", "You are logged in", message)


def failure_page(failure: Failure) -> Page:
    message = (failure.happened, failure.advice)
    return Page(HTTPStatus.BAD_GATEWAY, "bad", "The login did not work", message)


DENIED: Final = Page(
    HTTPStatus.OK,
    "quiet",
    "Nothing was allowed",
    (
        "You denied the login, so no key was made and nothing was saved.",
        "You can close this window.",
    ),
)
NOT_OURS: Final = Page(
    HTTPStatus.BAD_REQUEST,
    "bad",
    "This is not the login that waits here",
    (
        "The address belongs to another attempt, or was changed on its way. Nothing was saved.",
        "Use the newest address that runapi-mcp shows, or start the login again.",
    ),
)
DONE_ALREADY: Final = Page(
    HTTPStatus.CONFLICT,
    "quiet",
    "This login is over",
    ("It takes one answer, and that has come already. You can close this window.",),
)
NOTHING_HERE: Final = Page(
    HTTPStatus.NOT_FOUND,
    "quiet",
    "There is nothing here",
    ("runapi-mcp waits here for the end of a login, and for nothing else.",),
)
OTHER_HOST: Final = Page(
    HTTPStatus.MISDIRECTED_REQUEST,
    "bad",
    "This address is not answered",
    ("runapi-mcp answers to 127.0.0.1 only.",),
)
PREFLIGHT: Final = Page(
    HTTPStatus.OK,
    "quiet",
    "RunAPI may ask here",
    (),
    {"Access-Control-Allow-Methods": "GET", "Access-Control-Allow-Private-Network": "true"},
)
"""Lets RunAPI's page ask from its own address, where a browser wants to know first."""
