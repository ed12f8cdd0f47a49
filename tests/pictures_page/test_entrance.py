"""Who may see past pictures: the one browser that was given the address, and its own page alone."""

import re
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import pytest

from tests.support.past_pictures import OWN, PORT, past_pictures

pytestmark = pytest.mark.anyio
LISTED, OPENED = ("GET", "pictures"), ("POST", "pictures/{task}/0/open")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_the_address_works_once_for_a_cookie_that_nothing_else_gets(tmp_path: Path) -> None:
    async with past_pictures(tmp_path) as past:
        entrance, browser = past.page()
        async with browser:
            # A program that looks at links before a person does uses nothing up.
            assert (await browser.head(entrance.address)).status_code == 403
            welcome = await browser.get(entrance.address)
            assert welcome.headers["refresh"] == f"0; url={entrance.place}/"
            [cookie] = SimpleCookie(welcome.headers["set-cookie"]).values()
            assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (
                True,
                "strict",
                entrance.place,
            )
            assert cookie.value not in entrance.address
            for _ in range(2):  # a reload works
                page = await browser.get("")
                assert "<h1>Your pictures</h1>" in page.text
            browser.cookies.clear()
            again = await browser.get(entrance.address)
            assert (again.status_code, "set-cookie" in again.headers) == (403, False)
            assert "This address was opened before" in again.text


@pytest.mark.parametrize("path", ["", "pictures", "?token=wrong", "?token=", "pictures?token={}"])
@pytest.mark.parametrize("cookie", [None, "", "wrong", "é"])
async def test_without_the_cookie_there_is_nothing(
    path: str, cookie: str | None, tmp_path: Path
) -> None:
    async with past_pictures(tmp_path) as past:
        entrance, browser = past.page()
        headers = {} if cookie is None else {b"Cookie": f"runapi-pictures={cookie}".encode()}
        async with browser:
            token = entrance.address.partition("token=")[2]
            answer = await browser.get(path.format(token), headers=headers)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
        assert "This page is for another browser" in answer.text


@pytest.mark.parametrize(
    ("request_", "headers", "status"),
    [
        (LISTED, {}, 200),
        (LISTED, {"Sec-Fetch-Site": "same-origin"}, 200),
        (LISTED, {"Sec-Fetch-Site": "none"}, 200),
        (LISTED, {"Sec-Fetch-Site": "same-site"}, 403),
        (LISTED, {"Sec-Fetch-Site": "cross-site"}, 403),
        (LISTED, {"Origin": "http://127.0.0.1:1"}, 403),
        (LISTED, {"Host": f"localhost:{PORT}"}, 421),
        (LISTED, {"Host": f"evil.example:{PORT}"}, 421),
        (LISTED, {"Host": "127.0.0.1"}, 421),
        (OPENED, {"Origin": OWN}, 204),
        (OPENED, {}, 403),
        (OPENED, {"Origin": "null"}, 403),
        (OPENED, {"Origin": "http://127.0.0.1:1"}, 403),
        (OPENED, {"Origin": f"https://127.0.0.1:{PORT}"}, 403),
        (OPENED, {"Origin": OWN, "Host": f"evil.example:{PORT}"}, 421),
    ],
    ids=str,
)
async def test_only_its_own_page_is_answered(
    request_: tuple[str, str], headers: dict[str, str], status: int, tmp_path: Path
) -> None:
    async with past_pictures(tmp_path) as past, past.browser() as browser:
        method, path = request_
        address = path.format(task=await past.draw())
        answer = await browser.request(method, address, headers=headers)
        assert answer.status_code == status
        assert len(past.opened) == (status == 204)


@pytest.mark.parametrize("path", ["", "pictures", "pictures/{task}/0", "nowhere"])
async def test_nobody_may_keep_frame_or_read_an_answer(path: str, tmp_path: Path) -> None:
    async with past_pictures(tmp_path) as past, past.browser() as browser:
        answer = await browser.get(path.format(task=await past.draw()))
    told: dict[str, Any] = dict(answer.headers)
    policy = told["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert told["cache-control"] == "no-store"
    assert told["cross-origin-resource-policy"] == "same-origin"
    assert told["x-content-type-options"] == "nosniff"
    assert told["referrer-policy"] == "no-referrer"


async def test_each_answer_has_a_nonce_of_its_own(tmp_path: Path) -> None:
    async with past_pictures(tmp_path) as past, past.browser() as browser:
        nonces = set[str]()
        for _ in range(2):
            page = await browser.get("")
            [nonce] = set(re.findall(r'nonce="([^"]+)"', page.text))
            policy = page.headers["content-security-policy"]
            assert f"script-src 'nonce-{nonce}';" in policy
            assert "unsafe" not in policy
            nonces.add(nonce)
    assert len(nonces) == 2
