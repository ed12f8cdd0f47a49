"""What the environment and RunAPI's config file may say."""

import json
import re
import sys
from pathlib import Path

import pytest

from runapi_mcp.base import settings
from runapi_mcp.base.catalog import select
from runapi_mcp.base.errors import KeyMissing, LedgerUnusable, NotConfigured
from runapi_mcp.base.settings import HttpCaps, LimitSettings, WaitingCaps, key_now, load, names

KEY, OTHER = "sk-0123456789", "sk-abcdefghij"
MONEY = ("RUNAPI_MAX_COST_PER_CALL", "RUNAPI_DAILY_BUDGET", "RUNAPI_CONFIRM_OVER")
LEFTOVERS = ("${UNSET}", "${user_config.value}", "{env:UNSET}", "$UNSET", "%UNSET%", "<value>", " ")


def config(home: Path, content: str) -> Path:
    path = home / ".config" / "runapi" / "config.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("environment", "file"),
    [
        ({"RUNAPI_API_KEY": f" {KEY} ", "RUNAPI_KEY": OTHER}, {"api_key": OTHER}),
        ({"RUNAPI_API_KEY": " ", "RUNAPI_KEY": KEY}, {"api_key": OTHER}),
        ({"RUNAPI_API_KEY": "${RUNAPI_API_KEY}", "RUNAPI_KEY": KEY}, {}),
        ({}, {"api_key": KEY, "apiKey": OTHER}),
        ({"RUNAPI_KEY": "YOUR_API_KEY"}, {"apiKey": KEY}),
    ],
)
def test_the_key_comes_from_the_first_place_that_has_one(
    environment: dict[str, str], file: dict[str, str], tmp_path: Path
) -> None:
    config(tmp_path, json.dumps(file))
    assert load({"HOME": str(tmp_path), **environment}).key.reveal() == KEY


@pytest.mark.parametrize(
    "leftover",
    [
        "",
        "${RUNAPI_API_KEY}",
        "${user_config.api_key}",
        "{env:RUNAPI_API_KEY}",
        "$RUNAPI_API_KEY",
        "YOUR_API_KEY",
        "<your key>",
        "%RUNAPI_API_KEY%",
        "$env:RUNAPI_API_KEY",
        "{{RUNAPI_API_KEY}}",
        "your-key-here",
    ],
)
def test_a_template_left_unfilled_is_no_key(leftover: str, tmp_path: Path) -> None:
    loaded = load({"HOME": str(tmp_path), "RUNAPI_API_KEY": leftover})
    assert loaded.key.secret is None
    assert bool(loaded.warnings) == bool(leftover)


@pytest.mark.parametrize(
    "value", ["short", "two words here", "line\nbreak-in-a-key", "schlüssel-mit-ü"]
)
def test_what_cannot_be_a_key_is_said_without_showing_it(value: str, tmp_path: Path) -> None:
    loaded = load({"HOME": str(tmp_path), "RUNAPI_API_KEY": value})
    assert loaded.warnings == ("RUNAPI_API_KEY holds something that is not an API key.",)
    with pytest.raises(KeyMissing, match="RUNAPI_API_KEY holds something that is not an API key"):
        loaded.key.reveal()


@pytest.mark.parametrize("content", ["{", "[]", '{"api_key": }', "\x00", "[" * 100_000])
def test_a_broken_config_file_is_named(content: str, tmp_path: Path) -> None:
    path = config(tmp_path, content)
    loaded = load({"HOME": str(tmp_path)})
    assert str(path) in loaded.warnings[0]
    with pytest.raises(KeyMissing, match=r"config\.json"):
        loaded.key.reveal()


def test_a_broken_config_file_does_not_hide_a_key_of_the_environment(tmp_path: Path) -> None:
    config(tmp_path, "{")
    loaded = load({"HOME": str(tmp_path), "RUNAPI_API_KEY": KEY})
    assert loaded.key.reveal() == KEY
    assert "is not valid JSON" in loaded.warnings[0]


@pytest.mark.parametrize(
    ("environment", "file", "base_url"),
    [
        ({}, {}, "https://runapi.ai"),
        (
            {"RUNAPI_BASE_URL": "https://api.runapi.ai/"},
            {"base_url": "https://x.y"},
            "https://api.runapi.ai",
        ),
        ({}, {"base_url": "https://x.y"}, "https://x.y"),
        ({}, {"baseUrl": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
        ({"RUNAPI_BASE_URL": "HTTPS://runapi.ai"}, {}, "https://runapi.ai"),
        ({"RUNAPI_BASE_URL": "nonsense", "RUNAPI_SANDBOX": "1"}, {}, "https://runapi.ai"),
        ({"RUNAPI_BASE_URL": "${RUNAPI_BASE_URL}"}, {}, "https://runapi.ai"),
    ],
)
def test_the_base_url(
    environment: dict[str, str], file: dict[str, str], base_url: str, tmp_path: Path
) -> None:
    config(tmp_path, json.dumps(file))
    assert load({"HOME": str(tmp_path), **environment}).base_url == base_url


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("RUNAPI_BASE_URL", "runapi.ai", "not an http"),
        ("RUNAPI_BASE_URL", "https://me:secret@runapi.ai", "not an http"),
        ("RUNAPI_BASE_URL", "http://[::1", "not an http"),
        ("RUNAPI_BASE_URL", "https://runapi.ai:99999", "not an http"),
        ("RUNAPI_BASE_URL", "https://runapi.ai/\tx", "not an http"),
        ("RUNAPI_BASE_URL", "https://runapi.ai?x=1", "not an http"),
        ("RUNAPI_BASE_URL", "https://runapi.ai#x", "not an http"),
        ("RUNAPI_SANDBOX", "perhaps", "RUNAPI_SANDBOX is neither on nor off"),
        ("RUNAPI_SANDBOX_DRAW_SECONDS", "fast", "RUNAPI_SANDBOX_DRAW_SECONDS is not a number"),
        ("RUNAPI_SANDBOX_DRAW_SECONDS", "nan", "RUNAPI_SANDBOX_DRAW_SECONDS is not a number"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_a_sentence(
    name: str, value: str, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(NotConfigured, match=sentence) as refused:
        load({"HOME": str(tmp_path), name: value})
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("names", "models"),
    [
        ("max", ["flux-2-max-text-to-image", "flux-2-max-remix-image"]),
        (
            " flux-2-pro-remix-image, MAX ",
            ["flux-2-max-text-to-image", "flux-2-pro-remix-image", "flux-2-max-remix-image"],
        ),
        ("flux_2_flex_image_to_image", ["flux-2-flex-image-to-image"]),
    ],
)
def test_variants_are_chosen_by_tier_or_id(names: str, models: list[str], tmp_path: Path) -> None:
    chosen = load({"HOME": str(tmp_path), "RUNAPI_VARIANTS": names}).variants
    assert [variant.model for variant in select(chosen or ())] == models


@pytest.mark.parametrize("names", ["ultra", "pro,flux-3", ","])
def test_variants_that_do_not_exist_are_refused_with_what_does(names: str, tmp_path: Path) -> None:
    chosen = load({"HOME": str(tmp_path), "RUNAPI_VARIANTS": names}).variants
    with pytest.raises(NotConfigured, match="pro"):
        select(chosen or ())


def test_a_config_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    config(tmp_path, "\ufeff" + json.dumps({"api_key": KEY}))
    assert load({"HOME": str(tmp_path)}).key.reveal() == KEY


@pytest.mark.parametrize("value", [12345678901, True, [KEY]])
def test_a_key_in_the_config_file_that_is_no_text_is_named(value: object, tmp_path: Path) -> None:
    config(tmp_path, json.dumps({"api_key": value}))
    assert load({"HOME": str(tmp_path)}).warnings == (
        '"api_key" in RunAPI\'s config file holds something that is not an API key.',
    )


def test_a_user_without_a_home_has_no_config_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert load({}).key.secret is None


@pytest.mark.parametrize(
    ("value", "cents"),
    [
        ("0.5", 50),
        ("$0.50", 50),
        (" $ 0.05 ", 5),
        ("2", 200),
        ("$2", 200),
        ("0.0725", 7.25),
        ("0", 0),
        ("1000000", 100_000_000),
        (" ", None),
        ("${user_config.daily_budget}", None),  # left blank in a bundle's form
    ],
)
def test_an_amount_in_dollars_is_that_many_cents(value: str, cents: float | None) -> None:
    assert load(dict.fromkeys(MONEY, value)).limits == LimitSettings(cents, cents, cents)


@pytest.mark.parametrize("name", MONEY)
@pytest.mark.parametrize("value", ["${input:max}", "${UNSET}", "$UNSET", "%UNSET%", "<0.10>"])
def test_a_limit_that_a_host_left_unfilled_does_not_vanish(name: str, value: str) -> None:
    with pytest.raises(NotConfigured, match=f"{name} holds a placeholder .* take the variable out"):
        load({name: value})


@pytest.mark.parametrize("name", MONEY)
@pytest.mark.parametrize("value", ["abc", "-1", "-0.01", "nan", "inf", "1e9", "0,50", "$", "5 USD"])
def test_what_is_no_amount_in_dollars_is_refused_with_how_to_write_one(
    name: str, value: str
) -> None:
    with pytest.raises(NotConfigured) as refused:
        load({name: value})
    sentence = f"{name} is not an amount in US dollars. Write it as 0.50, or unset it."
    assert str(refused.value) == sentence


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("RUNAPI_DALY_BUDGET", "RUNAPI_DAILY_BUDGET"),
        ("RUNAPI_DAILY_BUGDET", "RUNAPI_DAILY_BUDGET"),
        ("RUNAPI_DAILYBUDGETS", "RUNAPI_DAILY_BUDGET"),
        ("RUN_API_DAILY_BUDGET", "RUNAPI_DAILY_BUDGET"),
        ("UNAPI_DAILY_BUDGET", "RUNAPI_DAILY_BUDGET"),
        ("runapi_daily_budget_", "RUNAPI_DAILY_BUDGET"),
        ("RUNAPI_MAX_COST_PERCALL", "RUNAPI_MAX_COST_PER_CALL"),
        ("RUNAPI_MAX_COSTS_PER_CALLS", "RUNAPI_MAX_COST_PER_CALL"),
        ("RUNAPI_CONFIRMOVER", "RUNAPI_CONFIRM_OVER"),
        ("runapi_daily_budget", "RUNAPI_DAILY_BUDGET"),
        ("Runapi_Confirm_Over", "RUNAPI_CONFIRM_OVER"),
        ("RUNAPI_CONFRIM_OVER", "RUNAPI_CONFIRM_OVER"),
    ],
)
def test_a_misspelt_limit_stops_the_server_instead_of_not_holding(given: str, meant: str) -> None:
    with pytest.raises(NotConfigured) as refused:
        load({given: "1"})
    assert str(refused.value) == (
        f"{given} is no setting; did you mean {meant}? The limit would not hold. "
        "Correct the name, or unset it."
    )
    load({given: " "})


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("RUNAPI_VARIANT", "RUNAPI_VARIANTS"),
        ("RUNAPI_OUTPUT_DIRS", "RUNAPI_OUTPUT_DIR"),
        ("RUNAPI_LEDGER_PROMPT", "RUNAPI_LEDGER_PROMPTS"),
        ("RUNAPI_HTTP_SESSION", "RUNAPI_HTTP_SESSIONS"),
        ("RUNAPI_API_KEYS", "RUNAPI_API_KEY"),
    ],
)
def test_another_misspelt_setting_is_told_at_the_start(given: str, meant: str) -> None:
    assert load({given: "1"}).warnings == (f"{given} is no setting; did you mean {meant}?",)


@pytest.mark.parametrize(
    "name", ["RUNAPI_WEBHOOK_SECRET", "RUNAPI_DAILY_REPORT", "RUNNER_API_KEY", "API_KEY", "RUN"]
)
def test_what_is_like_no_setting_is_nobodys_business(name: str) -> None:
    assert load({name: "1"}).warnings == ()


def test_every_setting_is_known_by_its_name() -> None:
    """Else one that is set correctly would be told to be misspelt."""
    room = Path(settings.__file__).parent
    sources = "".join(path.read_text() for path in room.glob("*.py") if path.name != "names.py")
    quoted = set(re.findall(r'"(RUN(?:API|FLOW)_[A-Z_]*[A-Z])"', sources))
    caps = {f"RUNAPI_HTTP_{name.upper()}" for name in HttpCaps()._asdict()}
    waiting = {f"RUNAPI_{name.upper()}" for name in WaitingCaps()._asdict()}
    assert quoted | caps | waiting == names.NAMES


def test_what_waits_may_take_is_as_set_or_else_as_usual() -> None:
    given = {"RUNAPI_CONNECTIONS": "7", "RUNAPI_LOOKS_PER_SECOND": "20"}
    assert load(given).waiting == WaitingCaps(connections=7, looks_per_second=20)


@pytest.mark.parametrize("value", ["0", "-1", "many", "10001"])
def test_a_number_of_connections_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(NotConfigured) as refused:
        load({"RUNAPI_CONNECTIONS_PER_KEY": value})
    assert str(refused.value) == (
        "RUNAPI_CONNECTIONS_PER_KEY is not a number of units. Use 1 to 10000, or unset it."
    )


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("45", 45), ("600", 600), *((text, None) for text in LEFTOVERS)],
)
def test_the_wait_of_a_call_that_does_not_say(value: str, seconds: int | None) -> None:
    assert load({"RUNAPI_WAIT_SECONDS": value}).wait_seconds == seconds


@pytest.mark.parametrize(
    ("value", "days"), [("1", 1), ("365", 365), *((text, 90) for text in LEFTOVERS)]
)
def test_the_ledger_keeps_90_days_or_as_many_as_are_wanted(value: str, days: float) -> None:
    assert load({"RUNAPI_LEDGER_DAYS": value}).ledger.keep_days == days


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        *(
            ("RUNAPI_WAIT_SECONDS", value, "not a number of seconds. Use 0 to 600, or unset it")
            for value in ("soon", "-1", "601", "nan", "inf")
        ),
        *(
            ("RUNAPI_LEDGER_DAYS", value, "not a number of days. Use ")
            # Without today's calls there is no daily budget.
            for value in ("some", "-1", "0", "0.5", "1e9", "nan")
        ),
        ("RUNAPI_MCP_TASKS", "perhaps", "neither on nor off. Set it to 1 or 0, or unset it"),
        ("RUNAPI_SIDECAR", "perhaps", "neither on nor off. Set it to 1 or 0, or unset it"),
        ("RUNAPI_LEDGER_PROMPTS", "perhaps", "neither on nor off. Set it to 1 or 0, or unset it"),
    ],
)
def test_a_number_or_switch_that_cannot_be_used_is_refused_with_what_can(
    name: str, value: str, sentence: str
) -> None:
    with pytest.raises(NotConfigured) as refused:
        load({name: value})
    assert f"{name} is {sentence}" in str(refused.value)


@pytest.mark.parametrize(
    ("value", "on"),
    [("", True), ("${UNSET}", True), ("1", True), ("ON", True), ("0", False), ("Off", False)],
)
def test_tasks_and_kept_prompts_are_on_until_switched_off(value: str, on: bool) -> None:  # noqa: FBT001 - a parameter
    loaded = load({"RUNAPI_MCP_TASKS": value, "RUNAPI_LEDGER_PROMPTS": value})
    assert (loaded.mcp_tasks, loaded.ledger.keep_prompts) == (on, on)


@pytest.mark.parametrize(("value", "kept"), [("", None), ("on", True), ("OFF", False)])
def test_whether_jsons_are_kept_is_open_until_it_is_said(value: str, kept: bool | None) -> None:  # noqa: FBT001 - a parameter
    assert load({"RUNAPI_SIDECAR": value}).pictures.sidecars is kept


@pytest.mark.parametrize("value", ["off", "OFF", "0", "false", "no"])
def test_the_ledger_is_off_where_the_user_says_so(value: str) -> None:
    assert load({"RUNAPI_LEDGER": value}).ledger.locate is None


@pytest.mark.parametrize("budget", ["5", "0"])
def test_a_daily_budget_without_a_ledger_is_refused(budget: str) -> None:
    sentence = (
        "RUNAPI_DAILY_BUDGET needs the ledger, and RUNAPI_LEDGER turns it off. Unset one of them."
    )
    with pytest.raises(NotConfigured) as refused:
        load({"RUNAPI_LEDGER": "off", "RUNAPI_DAILY_BUDGET": budget})
    assert str(refused.value) == sentence


def test_the_sandbox_writes_no_ledger_and_has_its_budget_all_the_same() -> None:
    loaded = load({"RUNAPI_SANDBOX": "1", "RUNAPI_LEDGER": "off", "RUNAPI_DAILY_BUDGET": "5"})
    assert (loaded.ledger.locate, loaded.limits.per_day_cents) == (None, 500)


def test_a_relative_ledger_is_refused_because_each_folder_would_have_its_own_budget() -> None:
    with pytest.raises(NotConfigured) as refused:
        load({"RUNAPI_LEDGER": "mine.db"})
    assert str(refused.value) == (
        "RUNAPI_LEDGER must be an absolute path, and mine.db is not. Hosts start the server in "
        "different folders: write the path from the root."
    )


@pytest.mark.parametrize(
    ("value", "zone", "is_known"),
    [
        ("America/Havana", "America/Havana", True),
        ("Mars/Olympus", "Mars/Olympus", False),
        *((text, None, True) for text in LEFTOVERS),
    ],
)
def test_a_time_zone_that_is_not_known_is_said_at_the_start(
    value: str,
    zone: str | None,
    is_known: bool,  # noqa: FBT001 - a parameter
) -> None:
    loaded = load({"RUNAPI_BUDGET_TIMEZONE": value})
    assert loaded.ledger.zone == zone
    said = (
        "RUNAPI_BUDGET_TIMEZONE names no time zone that is known here: the budget's days are those "
        "of UTC."
    )
    assert loaded.warnings == (() if is_known else (said,))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows users otherwise")
@pytest.mark.parametrize("value", ["", "~/mine.db", "~nobody-of-that-name/ledger"])
def test_a_user_without_a_home_is_told_to_say_where_the_ledger_lies(
    value: str, without_a_home: None
) -> None:
    locate = load({"RUNAPI_LEDGER": value}).ledger.locate
    assert locate is not None
    with pytest.raises(LedgerUnusable, match="Set RUNAPI_LEDGER to an absolute path, or "):
        locate()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders for it")
@pytest.mark.parametrize(
    ("state_home", "value", "path"),
    [
        ("", "", "{home}/.local/state/runapi-mcp/ledger.sqlite3"),
        ("{home}/state", "${RUNAPI_LEDGER}", "{home}/state/runapi-mcp/ledger.sqlite3"),
        ("{home}/state", "~/mine.db", "{home}/mine.db"),
        ("{home}/state", "/srv/ledger", "/srv/ledger"),
    ],
)
def test_where_the_ledger_lies(
    state_home: str, value: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", state_home.format(home=tmp_path))
    locate = load({"RUNAPI_LEDGER": value}).ledger.locate
    assert locate is not None
    assert str(locate()) == path.format(home=tmp_path)


# Which key goes where.

OWN = [
    "https://runapi.ai",
    "https://api.runapi.ai/v2",
    "https://RunAPI.ai:443",
    "https://a.b-c.runapi.ai",
    "http://127.0.0.1:8000",
    "http://localhost",
    "https://[::1]:8",
]
OTHERS = [
    "https://draw.example",
    "http://runapi.ai",
    "https://runapi.ai.example",
    "https://evilrunapi.ai",
    "https://runapi.ai.",
    "https://runapi.example/runapi.ai",
    "https://example/https://runapi.ai",
    "https://xn--runapi-.ai",
    "https://runapi.aii",
    "http://127.0.0.1.example",
    "https://localhost.example",
]


@pytest.mark.parametrize("address", [*OWN, *OTHERS])
def test_the_files_key_goes_to_no_address_that_the_environment_alone_names(
    address: str, tmp_path: Path
) -> None:
    config(tmp_path, json.dumps({"api_key": KEY}))
    environ = {"HOME": str(tmp_path), "RUNAPI_BASE_URL": address}
    for key in (load(environ).key, key_now(load(environ).base_url, environ)):
        if address in OWN:
            assert key.reveal() == KEY
        else:
            with pytest.raises(KeyMissing, match=r"base_url.*login --base-url") as refused:
                key.reveal()
            assert address in str(refused.value)


@pytest.mark.parametrize("address", [*OWN, *OTHERS])
@pytest.mark.parametrize("place", ["environment", "file"])
def test_a_key_of_the_environment_goes_to_an_address_of_the_user(
    address: str, place: str, tmp_path: Path
) -> None:
    config(tmp_path, json.dumps({"base_url": address} if place == "file" else {}))
    given = {"RUNAPI_BASE_URL": address} if place == "environment" else {}
    environ = {"HOME": str(tmp_path), "RUNAPI_API_KEY": KEY, **given}
    assert load(environ).key.reveal() == KEY


@pytest.mark.parametrize("name", ["base_url", "baseUrl"])
@pytest.mark.parametrize("address", [*OWN, *OTHERS])
def test_a_key_goes_to_the_address_that_stands_beside_it(
    address: str, name: str, tmp_path: Path
) -> None:
    config(tmp_path, json.dumps({"api_key": KEY, name: address}))
    for given in ({}, {"RUNAPI_BASE_URL": address}):
        environ = {"HOME": str(tmp_path), **given}
        assert load(environ).key.reveal() == KEY


def test_a_running_server_does_not_send_a_new_key_to_its_old_address(tmp_path: Path) -> None:
    path, environ = config(tmp_path, ""), {"HOME": str(tmp_path)}
    path.write_text(json.dumps({"api_key": OTHER, "base_url": OTHERS[0]}))
    started = load(environ).base_url
    assert key_now(started, environ).reveal() == OTHER
    path.write_text(json.dumps({"api_key": KEY, "base_url": "https://runapi.ai"}))
    assert key_now(started, environ).secret is None


@pytest.mark.parametrize(
    "url", ["https://evil.example\\.runapi.ai", "https://runapi.ai\\@e.example"]
)
def test_an_address_that_readers_differ_in_is_none(url: str, tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="not an http"):
        load({"HOME": str(tmp_path), "RUNAPI_BASE_URL": url})


def test_each_cap_over_http_has_its_variable_and_its_row() -> None:
    rows = (Path(__file__).parents[2] / "docs" / "hosting.md").read_text(encoding="utf-8")
    told = {name: int(default) for name, default in re.findall(r"\| `(\w+)` \| (\d+) \|", rows)}
    assert told == HttpCaps()._asdict()
    environment = {f"RUNAPI_HTTP_{name.upper()}": str(at) for at, name in enumerate(told, 1)}
    assert load(environment).http._asdict() == dict(zip(told, range(1, 99), strict=False))


@pytest.mark.parametrize("value", ["0", "-1", "many", "nan"])
def test_a_cap_over_http_is_a_number_of_one_or_more(value: str) -> None:
    with pytest.raises(NotConfigured, match="RUNAPI_HTTP_SESSIONS is not a number"):
        load({"RUNAPI_HTTP_SESSIONS": value})
