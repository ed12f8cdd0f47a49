"""The key goes to RunAPI, protected, and nowhere else."""

import logging

import httpx
import pytest

from runapi_mcp.base.errors import KeyMissing, NotConfigured
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key
from runapi_mcp.providers.port import Provider
from runapi_mcp.providers.runapi import RunAPI
from tests.support.world import ERAS, public_name, said, world

pytestmark = pytest.mark.anyio
TASK_ID = "00000000-0000-4000-8000-000000000000"
SECRET = "sk-live-0123456789abcdef"
DRAW = "flux_2_pro_text_to_image"


def runapi(base_url: str, answer: httpx.Response) -> Provider:
    transport = httpx.MockTransport(lambda _: answer)
    return RunAPI(base_url, transport).provider(Key(SecretStr(SECRET)))


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("tool", [DRAW, "get_task", "check_balance"])
async def test_without_a_key_a_paid_call_says_how_to_get_and_set_one(tool: str, era: str) -> None:
    arguments = {
        DRAW: {"prompt": "a fox"},
        "get_task": {"task_id": TASK_ID},
        "check_balance": {},
    }[tool]
    async with world(key=None, era=era) as w:
        result = await w.call(tool, arguments)
        assert result.is_error
        assert said(result) == (
            "No RunAPI API key is set. Call login, or run `runapi-mcp login`; or create a key at "
            "https://runapi.ai and set it as RUNAPI_API_KEY in the server's environment. "
            "RUNAPI_SANDBOX=1 needs none."
        )
        assert w.wire.sent == []


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(401, json={"error": f"Invalid key {SECRET}"}),
        httpx.Response(422, json={"errors": {SECRET: [f"no {SECRET}"]}}),
        httpx.Response(500, text=f"<html>{SECRET}</html>", headers={"X-Request-Id": SECRET}),
        httpx.Response(302, headers={"Location": f"https://elsewhere.example/{SECRET}"}),
        httpx.Response(200, text=f'["{SECRET}"]'),
    ],
    ids=["message", "fields", "page", "redirect", "body"],
)
async def test_a_key_that_runapi_echoes_is_in_no_error_and_no_log(
    answer: httpx.Response, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(Exception, match="RunAPI") as error:
        await runapi("https://runapi.ai", answer).balance()
    assert SECRET not in f"{error.value!r} {error.value}"
    assert SECRET not in caplog.text


async def test_a_key_that_runapi_echoes_is_in_no_result() -> None:
    echo = {
        "id": TASK_ID,
        "status": "completed",
        "images": [{"url": f"https://cdn.example/{SECRET}.png"}],
        "error": f"used {SECRET}",
    }
    task = await runapi("https://runapi.ai", httpx.Response(200, json=echo)).read(TASK_ID)
    assert task.image_urls == ("https://cdn.example/[key-hidden].png",)
    assert SECRET not in repr(task)


@pytest.mark.parametrize(
    "base_url", ["http://runapi.ai", "http://10.0.0.7:8000", "http://127.0.0.1.evil.example"]
)
async def test_a_key_is_never_sent_in_the_clear_to_another_machine(base_url: str) -> None:
    with pytest.raises(NotConfigured, match="neither https nor this machine"):
        await runapi(base_url, httpx.Response(200, json={})).balance()


@pytest.mark.parametrize(
    "base_url",
    ["https://api.runapi.ai", "http://127.0.0.1:8787", "http://[::1]:1", "http://localhost"],
)
async def test_a_key_goes_over_https_and_to_this_machine(base_url: str) -> None:
    balance = await runapi(base_url, httpx.Response(200, json={"balance_cents": 7})).balance()
    assert balance.balance_cents == 7


async def test_an_upload_address_never_sees_the_key() -> None:
    seen: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            seen.append(request.headers)
            return httpx.Response(204)
        return httpx.Response(
            200,
            json={
                "signed_id": "s",
                "upload_url": "https://storage.example/put",
                "headers": {"Content-Type": "image/png", "Content-MD5": "m"},
                "url": "https://runapi.ai/files/1",
            },
        )

    upstream = RunAPI("https://runapi.ai", httpx.MockTransport(answer), public_name)
    provider = upstream.provider(Key(SecretStr(SECRET)))
    uploaded = await provider.upload("fox.png", b"png", "image/png")
    assert uploaded.url == "https://runapi.ai/files/1"
    assert [headers["content-md5"] for headers in seen] == ["m"]
    assert SECRET not in str(seen[0].raw)


def test_a_key_shows_itself_in_no_repr() -> None:
    key = Key(SecretStr(SECRET))
    assert SECRET not in f"{key!r} {key}"
    with pytest.raises(KeyMissing):
        Key(None).reveal()
