"""One rule for secrets: what is shown has none; what is used again keeps all but our own key."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from runapi_mcp.base.redaction import (
    HIDDEN,
    Secret,
    Secrets,
    excerpt,
    hide_credentials,
    secrets_by_sight,
    secrets_in,
)
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key
from runapi_mcp.images.folders import Folders
from runapi_mcp.providers.runapi import RunAPI
from tests.support.install_world import home, keep
from tests.support.ledgers import contents, ledger_at
from tests.support.pictures import DRAW, FOX, made_up
from tests.support.processes import finished
from tests.support.world import MADE_UP_KEY, NO_PICTURES, call_answered, facts, said

pytestmark = pytest.mark.anyio

# The digits are what must not be seen.
SHAPES = {
    "ghp_": "ghp_1357924680abcdefghij",
    "github_pat_": "github_pat_1357924680abcdef",
    "xoxb-": "xoxb-1357924680-abcdef",
    "AKIA": "AKIA1357924680ABCDEF",
    "glpat-": "glpat-1357924680abcdef",
    "rf_": "rf_live_1357924680abcdef",
    "AIza": "AIza1357924680abcdef",
    "sk-": "sk-1357924680abcdef",
    "sk_live_": "sk_live_1357924680abcdef",
    "runapi_": "runapi_1357924680abcdefghij",
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMzU3In0.1357924680",
    "?api_key=": "https://x.example/a?api_key=1357924680",
    "&token=": "https://x.example/a?page=2&token=1357924680",
    "X-Amz-Signature": "https://x.example/a?X-Amz-Signature=1357924680",
    "userinfo": "https://me:pass-1357924680@x.example/",
    "password with @": "https://me:p@ss-1357924680@x.example/",
    "Authorization": "Authorization: Basic 1357924680abc=",
    "api-key header": "x-api-key: 1357924680abc",
    "Bearer": "Bearer abc.1357924680",
}
HARMLESS = (
    "a bearer token is missing",
    "Authorization: Bearer ${RUNAPI_API_KEY}",
    "https://x.example/a?page=2&design=1357924680",
    "the task-1357924680 and the disk-1357924680",
    "RUNAPI_API_KEY is set in this shell",
)
SHOWN: dict[str, Callable[[str], str]] = {
    "as it is": hide_credentials,
    "as an excerpt": lambda text: excerpt(text, 300),
    "as the doctor shows it": Secrets().hide,
    "as the doctor quotes others": Secrets().hide_in_foreign,
}


@pytest.mark.parametrize("place", SHOWN)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_looks_like_a_secret_is_shown_nowhere(shape: str, place: str) -> None:
    shown = SHOWN[place](f"before {SHAPES[shape]} after")
    assert ("1357924680" in shown, HIDDEN in shown) == (False, True)
    assert (shown.startswith("before "), shown.endswith(" after")) == (True, True)


@pytest.mark.parametrize("place", SHOWN)
@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_none_is_shown(text: str, place: str) -> None:
    assert SHOWN[place](text) == text


@pytest.mark.parametrize("shape", SHAPES)
async def test_what_runapi_says_of_an_error_shows_no_secret(shape: str) -> None:
    echo = httpx.Response(422, json={"error": f"cannot read {SHAPES[shape]}"})
    result = await call_answered(lambda _: echo, DRAW, FOX)
    assert '(RunAPI says: "cannot read ' in said(result)
    assert "1357924680" not in said(result)


def test_a_diff_of_install_shows_none_of_them() -> None:
    words = ["runapi-mcp", *(f"to {text}" for text in SHAPES.values())]
    entry = {"command": "uvx", "args": words}
    keep(home() / ".cursor" / "mcp.json", json.dumps({"mcpServers": {"runapi": entry}}))
    for command in ("install", "uninstall"):
        shown = finished(command, "cursor", "--dry-run").stdout
        assert ("1357924680" in shown, HIDDEN in shown) == (False, True)


def forms(key: str) -> dict[str, str]:
    """How a key can be written."""
    data = key.encode()
    return {
        "plain": key,
        "percent-encoded": quote(key, safe=""),
        "percent-encoded wholly": "".join(f"%{byte:02x}" for byte in data),
        "base64": base64.b64encode(data).decode(),
        "base64 after one letter": base64.b64encode(b"a" + data).decode(),
        "base64 after two letters": base64.b64encode(b"ab" + data + b"?").decode(),
        "base64 of a URL": base64.urlsafe_b64encode(b":" + data).decode(),
        "base64 in a URL": quote(base64.b64encode(data).decode(), safe=""),
        "base64 in lines": base64.encodebytes(b"." * 50 + data).decode(),
        "hex": data.hex(),
        "HEX": data.hex().upper(),
        "reversed": key[::-1],
        "spaced": " ".join(key),
        "in lines": f"{key[:5]}\n{key[5:]}",
        "escaped": json.dumps(key)[1:-1],
        "escaped by Python": repr(key)[1:-1],
    }


KEYS = ("sandbox-own-1357924680", MADE_UP_KEY.reveal(), 'odd~?>"\\key~~??>>')


def gives_away(text: str, key: str) -> bool:
    return any(form.strip("=") in text for form in forms(key).values())


@pytest.mark.parametrize("form", forms("a"))
@pytest.mark.parametrize("key", KEYS)
def test_the_own_key_is_found_in_every_form(key: str, form: str) -> None:
    hidden = Secret(key).hide(f"<{forms(key)[form]}>")
    assert not gives_away(hidden, key)
    # Letters of base64 that hold bits of a neighbour may stay.
    assert len(hidden.partition(HIDDEN)[2]) < 9


@pytest.mark.parametrize("form", forms("a"))
@pytest.mark.parametrize("place", ["text", "name", "deep", "header", "message"])
async def test_the_own_key_is_in_nothing_that_runapi_answers(place: str, form: str) -> None:
    key = KEYS[0]
    text = forms(key)[form]
    bodies = {
        "text": {"balance_cents": 1, "error": text},
        "name": {"balance_cents": 1, text: "x"},
        "deep": {"balance_cents": 1, "list": [[{"a": [text]}]]},
        "header": {"error": "no"},
        "message": {"error": f"no {text}"},
    }
    headers = {"X-Request-Id": text.replace("\n", " ").strip()} if place == "header" else {}
    status = 422 if place in ("header", "message") else 200
    answer = httpx.Response(status, json=bodies[place], headers=headers)
    runapi = RunAPI("https://runapi.ai", httpx.MockTransport(lambda _: answer))
    replies: list[object] = []
    try:
        own = Key(SecretStr(key))
        replies.append(await runapi.provider(own).balance())
    except Exception as failure:  # noqa: BLE001 - whatever comes of it must not name the key
        replies.append(f"{failure!r} {failure}")
    assert not gives_away(str(replies), key)


PRESIGNED = {
    "S3": "https://b.s3.amazonaws.com/f.png?X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIA1357924680ABCDEF%2F20261130%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Security-Token=eyJhbGciOiJIUzI1NiJ9.e30.1357924680&X-Amz-Signature=1357924680abcdef",
    "GCS": "https://storage.googleapis.com/b/f.png?X-Goog-Credential=a%40b.iam.gserviceaccount.com"
    "&X-Goog-Signature=1357924680abcdef&token=eyJhbGciOiJIUzI1NiJ9.e30.1357924680",
    "Azure": "https://a.blob.core.windows.net/c/f.png?sv=2026-01-01&se=2026-12-01T00%3A00%3A00Z"
    "&sp=r&sig=ab%2Bcd%2F1357924680%3D",
}


@pytest.mark.parametrize("storage", PRESIGNED)
async def test_a_presigned_address_arrives_byte_for_byte(storage: str, tmp_path: Path) -> None:
    url, path = PRESIGNED[storage], tmp_path / "ledger"
    async with (
        ledger_at(path) as ledger,
        # Not fetched: the host would be looked up in the real network.
        made_up(b"", Folders(), [url], ledger=ledger, **NO_PICTURES) as client,
    ):
        result = await client.call_tool(DRAW, FOX)
        assert facts(result)["image_urls"] == [url]
    assert url.encode() in contents(tmp_path)


HOSTILE = (
    *("sk-", "eyJ", "ghp_", "xoxb-", "AKIA", "://", "://a@", "?key", "?key=", "&a", "%73", "s "),
    *("key: ", "key", "authorization", "authorization: ", "bearer ", "bearer token ", 'api_key"'),
)


@pytest.mark.parametrize("prefix", HOSTILE)
def test_hostile_texts_take_no_longer_than_others(prefix: str) -> None:
    # Were any pattern quadratic, this would take hours.
    text = prefix * 100_000
    assert hide_credentials(f"{text} {SHAPES['ghp_']}").endswith(HIDDEN)
    assert Secret(KEYS[0]).hide(f"{text} {KEYS[0]}").endswith(HIDDEN)
    assert SHAPES["ghp_"] in [*secrets_in([text, "--token", SHAPES["ghp_"]])]
    assert SHAPES["ghp_"] in [*secrets_by_sight(f"{text} 'token': '{SHAPES['ghp_']}'")]


def test_an_excerpt_ends_in_no_half_of_a_secret() -> None:
    text = "word " * 950 + "x" * 40 + " ghp_1357924680abcdef"
    assert "13579" not in excerpt(text, 300)
    assert "13579" not in excerpt("ghp_1357924680abcdef " * 240, 300)


def test_a_secret_that_is_very_long_hides_all_that_gives_it_away_and_takes_no_time() -> None:
    many = [f"{number:06}" * 5_000 for number in range(40)]
    secrets = Secrets(many)
    for secret in many:
        assert secrets.hide(f"it says {secret}, and more") == HIDDEN
    assert secrets.hide("it says nothing") == "it says nothing"
