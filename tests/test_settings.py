"""What the environment and RunAPI's config file may say."""

import json
from pathlib import Path

import pytest

from runapi_mcp.catalog import select
from runapi_mcp.errors import KeyMissing, NotConfigured
from runapi_mcp.settings import load

KEY, OTHER = "sk-0123456789", "sk-abcdefghij"


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
