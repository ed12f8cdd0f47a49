"""The sandbox's browser login: its page, its buttons, and a code that works once."""

import base64
import hashlib
from urllib.parse import parse_qsl, urlsplit

import anyio
import httpx
import pytest

from runapi_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio

VERIFIER = "the-verifier-of-the-tests"
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
)
ASKED = {
    "state": "the-state-of-the-tests",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
    "redirect_port": "43117",
    "display_code": "ABCD-EF23",
    "hostname": "my machine",
}
EXCHANGE = {"code_verifier": VERIFIER, "redirect_port": 43117}


@pytest.fixture
def http() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=Sandbox().app)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


async def sent_back(http: httpx.AsyncClient, decision: str) -> dict[str, str]:
    answer = await http.post("/cli/authorize", data={**ASKED, "decision": decision})
    assert answer.status_code == 303
    where = urlsplit(answer.headers["location"])
    assert (where.scheme, where.netloc, where.path) == ("http", "127.0.0.1:43117", "/callback")
    return dict(parse_qsl(where.query))


async def exchanged(http: httpx.AsyncClient, **fields: object) -> httpx.Response:
    return await http.post("/api/v1/cli/exchange", json={**EXCHANGE, **fields})


async def test_the_page_shows_the_code_and_the_machine_and_that_it_is_the_sandbox(
    http: httpx.AsyncClient,
) -> None:
    page = await http.get("/cli/authorize", params=ASKED)
    assert page.status_code == 200
    assert page.headers["x-runapi-sandbox"] == "1"
    for words in ("ABCD-EF23", "my machine", "Sandbox: no real account"):
        assert words in page.text
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' http://127.0.0.1:43117/callback" in policy
    assert "frame-ancestors 'none'" in policy


async def test_everything_on_the_page_is_escaped(http: httpx.AsyncClient) -> None:
    evil = '"><script>alert(1)</script>$state${hostname}'
    page = await http.get("/cli/authorize", params={**ASKED, "hostname": evil})
    assert "<script>" not in page.text
    assert "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;$state${hostname}" in page.text
    assert page.text.count("the-state-of-the-tests") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("state", ""),
        ("state", "short"),
        ("code_challenge", "x" * 42),
        ("code_challenge", '"' * 43),
        ("code_challenge_method", "plain"),
        ("redirect_port", "0"),
        ("redirect_port", "65536"),
        ("redirect_port", "80@evil.example"),
        ("redirect_port", "٣"),
        ("display_code", "ABCD-EF01"),
        ("hostname", ""),
        ("hostname", "a\nb"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_malformed_login_is_neither_shown_nor_decided(
    method: str, name: str, value: str, http: httpx.AsyncClient
) -> None:
    fields = {**ASKED, "decision": "approve", name: value}
    if method == "GET":
        page = await http.get("/cli/authorize", params=fields)
    else:
        page = await http.post("/cli/authorize", data=fields)
    assert page.status_code == 400
    assert f"{name} is missing or malformed" in page.text


async def test_an_approved_login_gives_a_key_once(http: httpx.AsyncClient) -> None:
    back = await sent_back(http, "approve")
    assert back["state"] == ASKED["state"]
    answer = await exchanged(http, code=back["code"])
    assert answer.status_code == 201
    given = answer.json()
    key = given.pop("key")
    user = {"email": "sandbox@example.com"}
    assert given == {"name": "CLI on my machine", "user": user, "sandbox": True}
    balance = await http.get("/api/v1/me/balance", headers={"Authorization": f"Bearer {key}"})
    assert balance.status_code == 200
    again = await exchanged(http, code=back["code"])
    assert (again.status_code, again.json()["error"]) == (
        400,
        "The code is unknown, used or expired",
    )


async def test_a_denied_login_gives_no_code(http: httpx.AsyncClient) -> None:
    assert await sent_back(http, "deny") == {
        "error": "access_denied",
        "error_description": "The login was denied",
        "state": ASKED["state"],
    }


@pytest.mark.parametrize("decision", ["", "perhaps", "APPROVE"])
async def test_only_the_button_approves(decision: str, http: httpx.AsyncClient) -> None:
    assert "code" not in await sent_back(http, decision)


async def test_another_site_cannot_press_the_button(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/cli/authorize",
        data={**ASKED, "decision": "approve"},
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "wrong",
    [
        {"code_verifier": "another"},
        {"code_verifier": None},
        {"code_verifier": 3},
        {"redirect_port": 43118},
        {"redirect_port": "43117"},
        {"code": "made up"},
        {"code": None},
    ],
)
async def test_a_code_belongs_to_one_program_and_a_wrong_guess_spends_it(
    wrong: dict[str, object], http: httpx.AsyncClient
) -> None:
    code = (await sent_back(http, "approve"))["code"]
    answer = await exchanged(http, **{"code": code, **wrong})
    assert answer.status_code == 400
    assert "key" not in answer.json()
    assert (await exchanged(http, code=code)).is_success == ("code" in wrong)


async def test_a_code_expires(http: httpx.AsyncClient) -> None:
    code = (await sent_back(http, "approve"))["code"]
    await anyio.sleep(301)
    assert (await exchanged(http, code=code)).status_code == 400
