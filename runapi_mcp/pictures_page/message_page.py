"""A page of a sentence or two, where there are no pictures to be shown."""

from html import escape
from http import HTTPStatus

from starlette.responses import HTMLResponse

from runapi_mcp.base.html_page import content_policy, html_page


def message_page(status: HTTPStatus, title: str, sentence: str) -> HTMLResponse:
    values = {"title": escape(title), "sentence": escape(sentence)}
    page = html_page(f"{values['title']} - runapi-mcp", __package__ or "", "message.html", values)
    return HTMLResponse(page, status, {"Content-Security-Policy": content_policy()})
