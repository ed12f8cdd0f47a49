"""What servers of one address have in common."""

from pathlib import Path

import pytest

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import load
from runapi_mcp.base.settings.fleet import passwords_in

SECRET, OLDER = "a-secret-of-the-fleet", "an-older-secret-of-it"


def secrets_of(environ: dict[str, str]) -> list[str]:
    return [secret.get_secret_value() for secret in load(environ).fleet.secrets]


def test_a_server_alone_has_none_of_it() -> None:
    assert load({}).fleet == (None, (), None, None, None)


@pytest.mark.parametrize("between", [",", " ", "\n", ", "])
def test_secrets_are_a_list(between: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}{between}{OLDER}\n")
    assert secrets_of({"RUNAPI_FLEET_SECRET": f"{SECRET}{between}{OLDER}"}) == [SECRET, OLDER]
    file = {"RUNAPI_FLEET_SECRET_FILE": str(tmp_path / "secret")}
    assert secrets_of(file) == [SECRET, OLDER]


@pytest.mark.parametrize(
    ("given", "public_url"),
    [
        ("https://mcp.example.com", "https://mcp.example.com"),
        ("https://mcp.example.com/flux/", "https://mcp.example.com/flux"),
        ("http://127.0.0.1:8765", "http://127.0.0.1:8765"),
    ],
)
def test_the_address_from_outside(given: str, public_url: str) -> None:
    environ = {"RUNAPI_PUBLIC_URL": given, "RUNAPI_FLEET_SECRET": SECRET}
    assert load(environ).fleet.public_url == public_url


@pytest.mark.parametrize(
    "url",
    ["mcp.example.com", "http://mcp.example.com", "https://a.b?c=d", "https://me:pw@a.b", "-"],
)
def test_another_address_is_refused(url: str) -> None:
    with pytest.raises(NotConfigured, match="RUNAPI_PUBLIC_URL is not an https address"):
        load({"RUNAPI_PUBLIC_URL": url, "RUNAPI_FLEET_SECRET": SECRET})


def test_an_address_needs_a_secret() -> None:
    with pytest.raises(NotConfigured, match="RUNAPI_PUBLIC_URL needs RUNAPI_FLEET_SECRET"):
        load({"RUNAPI_PUBLIC_URL": "https://mcp.example.com"})


@pytest.mark.parametrize("secret", ["short", f"{SECRET} short", "${user_config.fleet_secret}"])
def test_what_is_no_secret_is_refused_without_showing_it(secret: str) -> None:
    with pytest.raises(NotConfigured, match="RUNAPI_FLEET_SECRET holds what is no secret") as told:
        load({"RUNAPI_FLEET_SECRET": secret})
    assert SECRET not in str(told.value)
    assert "short" not in str(told.value)


def test_a_secret_comes_from_one_place(tmp_path: Path) -> None:
    path = str(tmp_path / "secret")
    with pytest.raises(NotConfigured, match="are both set"):
        load({"RUNAPI_FLEET_SECRET": SECRET, "RUNAPI_FLEET_SECRET_FILE": path})
    with pytest.raises(NotConfigured, match="RUNAPI_FLEET_SECRET_FILE names cannot be read"):
        load({"RUNAPI_FLEET_SECRET_FILE": path})
    Path(path).touch()
    with pytest.raises(NotConfigured, match="RUNAPI_FLEET_SECRET_FILE names an empty file"):
        load({"RUNAPI_FLEET_SECRET_FILE": path})


def test_requests_a_second_are_a_number() -> None:
    assert load({"RUNAPI_REQUESTS_PER_SECOND": "5"}).fleet.requests_per_second == 5
    with pytest.raises(NotConfigured, match="RUNAPI_REQUESTS_PER_SECOND is not a number"):
        load({"RUNAPI_REQUESTS_PER_SECOND": "0"})


DATABASE = "postgresql://runapi:p%40ss@db-a,db-b:5432/runapi?target_session_attrs=read-write"


def database_of(environ: dict[str, str]) -> str | None:
    url = load(environ).fleet.database_url
    return None if url is None else url.get_secret_value()


def test_the_database_is_told_by_its_address_or_a_file_with_it(tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{DATABASE}\n")
    assert database_of({"RUNAPI_DATABASE_URL": DATABASE}) == DATABASE
    assert database_of({"RUNAPI_DATABASE_URL_FILE": str(tmp_path / "url")}) == DATABASE


@pytest.mark.parametrize(
    "url",
    [
        "runapi",
        "mysql://u:secret-word@h/d",
        "host=h password=secret-word",
        "postgresql://u:secret@word@h/d",
    ],
)
def test_another_database_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(NotConfigured, match="holds no address of a PostgreSQL database") as told:
        load({"RUNAPI_DATABASE_URL": url})
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    "more", [{"RUNAPI_DATABASE_URL_FILE": "/elsewhere"}, {"RUNAPI_LEDGER": "/ledger"}]
)
def test_the_ledger_is_in_one_place(more: dict[str, str]) -> None:
    with pytest.raises(NotConfigured, match="Unset one of them"):
        load({"RUNAPI_DATABASE_URL": DATABASE, **more})


@pytest.mark.parametrize(
    ("url", "passwords"),
    [
        (DATABASE, {"p%40ss", "p@ss"}),
        ("postgresql://runapi@db/runapi", set[str]()),
        ("postgresql://db/runapi?password=a%2Fb&user=me", {"a/b"}),
    ],
)
def test_its_passwords_are_known_so_that_nothing_shows_them(url: str, passwords: set[str]) -> None:
    assert set(passwords_in(SecretStr(url))) == passwords


PUBLIC = {"RUNAPI_PUBLIC_URL": "https://mcp.example.com", "RUNAPI_FLEET_SECRET": "s" * 16}


def test_pictures_are_kept_in_a_bucket_where_one_is_named() -> None:
    assert load({}).fleet.pictures is None
    named = {"RUNAPI_PICTURES": "s3://pictures/of/agents", **PUBLIC}
    assert load(named).fleet.pictures == "s3://pictures/of/agents"


@pytest.mark.parametrize("url", ["pictures", "/srv/pictures", "https://s3/b", "s3://", "s3://b?c"])
def test_what_is_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(NotConfigured, match="is not the address of a bucket"):
        load({"RUNAPI_PICTURES": url, **PUBLIC})


def test_a_bucket_needs_an_address_for_its_links() -> None:
    with pytest.raises(NotConfigured, match="RUNAPI_PICTURES needs RUNAPI_PUBLIC_URL"):
        load({"RUNAPI_PICTURES": "s3://pictures"})
