"""RunAPI echoes the caller's key, in any form and place: it is shown and kept nowhere."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from runapi_mcp.images.folders import Folders
from runapi_mcp.providers.port import LoginGrant
from runapi_mcp.providers.runapi import RunAPI
from tests.base.test_redaction import forms, gives_away
from tests.support.ledgers import contents, ledger_at
from tests.support.pictures import DRAW, ORIGIN, TASK_ID, drawn, png
from tests.support.world import MADE_UP_KEY, client_of

pytestmark = pytest.mark.anyio
KEY: Final = MADE_UP_KEY.reveal()

Say = Callable[[str], httpx.Response]


def refused(body: object, **more: Any) -> httpx.Response:  # Any: as httpx has them
    return httpx.Response(422, json=body, **more)


def made(**told: object) -> httpx.Response:
    return httpx.Response(200, json={**drawn([f"{ORIGIN}/fox.png"]), **told})


def header(name: str, status: int) -> Say:
    def say(text: str) -> httpx.Response:
        value = text.replace("\n", " ").strip()
        return httpx.Response(status, json=drawn([f"{ORIGIN}/fox.png"]), headers={name: value})

    return say


PLACES: Final[Mapping[str, Say]] = {
    "error": lambda text: refused({"error": text}),
    "error's message": lambda text: refused({"error": {"message": f"no, {text}"}}),
    "field's name": lambda text: refused({"errors": {text: ["is bad"]}}),
    "field's error": lambda text: refused({"errors": {"prompt": {"deep": [text]}}}),
    "long error": lambda text: refused({"error": f"{'no ' * 90}{text} {'no ' * 9_000}"}),
    "rejected": lambda text: httpx.Response(401, json={"error": text}),
    "trouble": lambda text: httpx.Response(503, json={"error": text}),
    "text": lambda text: httpx.Response(422, text=text),
    "no JSON": lambda text: httpx.Response(200, text=text),
    "task's error": lambda text: made(status="failed", error=text),
    "task's error's message": lambda text: made(status="failed", error={"message": text}),
    "task's model": lambda text: made(model=text),
    "task's status": lambda text: made(status=text),
    "task's id": lambda text: made(id=text),
    "task's charge": lambda text: made(usage={"cost": text}),
    "address": lambda text: made(images=[{"url": f"{ORIGIN}/{text}/fox.png"}]),
    "address's query": lambda text: made(images=[{"url": f"{ORIGIN}/fox.png?token={text}&a=1"}]),
    "address's host": lambda text: made(images=[{"url": f"https://{text}.example/fox.png"}]),
    **{
        f"{name}, {status}": header(name, status)
        for name in ("X-Request-Id", "Location", "Retry-After", "X-RunAPI-Task-Id", "ETag")
        for status in (200, 422, 503)
    },
}


@pytest.mark.parametrize("place", PLACES)
async def test_nothing_that_is_shown_or_kept_has_it(
    place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told, text = list[str](), ""

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append(message or "")

    def runapi(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404) if "price" in request.url.path else PLACES[place](text)

    images = httpx.MockTransport(lambda _: httpx.Response(200, content=png()))
    folders = Folders(tmp_path / "pictures")
    async with (
        ledger_at(tmp_path / "ledger") as ledger,
        client_of(runapi, ledger=ledger, folders=folders, images=images, previews=False) as client,
    ):
        for form, echoed in forms(KEY).items():
            text = echoed
            for tool, arguments in (
                (DRAW, {"prompt": form, "wait_seconds": 5}),
                ("get_task", {"task_id": TASK_ID, "wait_seconds": 2}),
                ("list_tasks", {}),
                ("check_balance", {}),
            ):
                result = await client.call_tool(tool, arguments, progress_callback=hear)
                told.append(result.model_dump_json())
    told += [caplog.text, contents(tmp_path).decode("latin-1")]
    assert not any(gives_away(each, KEY) for each in told)


async def issued_for(email: object) -> str | None:
    """Whose a new key is said to be."""
    body = {"key": KEY, "user": {"email": email}}
    answer = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
    grant = LoginGrant("code", "verifier", 8_000, "host")
    return (await RunAPI("https://runapi.ai", answer).exchange(grant)).email


@pytest.mark.parametrize("form", forms("a"))
async def test_a_new_key_is_not_told_as_whose_it_is(form: str) -> None:
    text = forms(KEY)[form]
    for email in (text, f"{text}@x.example", f"me@{text}", f"Me {text} <me@x.example>"):
        assert not gives_away(await issued_for(email) or "", KEY)


@pytest.mark.parametrize("email", ["me@x.example", "a.b+c@x-y.example", "ü@x.example"])
async def test_who_logged_in_is_told(email: str) -> None:
    assert await issued_for(email) == email


NO_EMAILS: Final = ("", "me", "me@x\nimage_paths: a", "a b@x.example", "@", 7)


@pytest.mark.parametrize("email", NO_EMAILS)
async def test_what_is_no_email_is_not_told(email: object) -> None:
    assert await issued_for(email) is None
