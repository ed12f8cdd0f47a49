"""The key in RunAPI's config file: kept safe, and nothing else in the file touched."""

import errno
import json
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import DEFAULT_BASE_URL as BASE_URL
from runapi_mcp.base.settings import key_now, load
from runapi_mcp.base.settings.key_file import KeyFile

KEY = SecretStr("sk-0123456789")
KEY_NAMES = ("api_key", "apiKey")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
NOT_ROOT = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="root may write everything"
)

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
names = st.text(max_size=6) | st.sampled_from(["api_key", "apiKey", "base_url"])
objects = st.dictionaries(names, values, max_size=5)
spaces = st.text(" \t\r\n", max_size=3)


@pytest.fixture
def file(tmp_path: Path) -> KeyFile:
    return KeyFile.of({"HOME": str(tmp_path)})


def written(file: KeyFile, content: str | bytes) -> KeyFile:
    """The file with this content."""
    file.path.parent.mkdir(parents=True, exist_ok=True)
    file.path.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """An object as somebody may have written it, and what it says."""
    entries = draw(objects)
    ascii_only = draw(st.booleans())
    members = [
        f"{draw(spaces)}{json.dumps(name, ensure_ascii=ascii_only)}{draw(spaces)}:{draw(spaces)}"
        f"{json.dumps(value, indent=draw(st.sampled_from([None, 1])))}{draw(spaces)}"
        for name, value in entries.items()
    ]
    inside = ",".join(members) or draw(spaces)
    return f"{draw(spaces)}{{{inside}}}{draw(spaces)}", entries


@given(texts())
def test_a_key_comes_and_goes_without_touching_another_entry(
    made: tuple[str, dict[str, Any]],
) -> None:
    text, entries = made
    others = {name: value for name, value in entries.items() if name not in KEY_NAMES}
    with TemporaryDirectory() as home:
        file = written(KeyFile.of({"HOME": home}), text)
        file.save(KEY)
        saved = json.loads(file.path.read_bytes())
        assert saved == {**others, "api_key": KEY.get_secret_value()}
        assert [name for name in saved if name in others] == list(others)
        assert file.remove()
        assert json.loads(file.path.read_bytes()) == others
        if others and others == entries:
            assert file.path.read_bytes() == text.encode()


def test_a_key_is_saved_for_this_user_only_in_a_folder_of_its_own(file: KeyFile) -> None:
    file.save(KEY)
    assert file.path.read_text() == '{\n  "api_key": "sk-0123456789"\n}\n'
    assert names_in(file.path.parent) == ["config.json"]
    if sys.platform != "win32":
        assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


@POSIX
def test_a_file_that_others_could_read_is_closed_when_a_key_comes_in(file: KeyFile) -> None:
    written(file, "{}").path.chmod(0o644)
    file.path.parent.chmod(0o755)
    file.save(KEY)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"base_url": "https://x.y"}', '{"base_url": "https://x.y", "api_key": "sk-0123456789"}'),
        (
            '{\r\n\t"n": 1.50,\r\n\t"api_key" :"old" ,\r\n\t"é": "\\u00e9"\r\n}',
            '{\r\n\t"n": 1.50,\r\n\t"api_key" :"sk-0123456789" ,\r\n\t"é": "\\u00e9"\r\n}',
        ),
        ('{"apiKey": "older", "a": [1]}', '{"a": [1], "api_key": "sk-0123456789"}'),
        ('\ufeff{"a": {"api_key": 1}}', '\ufeff{"a": {"api_key": 1}, "api_key": "sk-0123456789"}'),
        (" \n", '{\n  "api_key": "sk-0123456789"\n}\n'),
    ],
)
def test_the_rest_of_the_file_stays_to_the_byte(
    before: str, after: str, file: KeyFile, tmp_path: Path
) -> None:
    written(file, before)
    file.save(KEY)
    assert file.path.read_bytes().decode() == after
    assert key_now(BASE_URL, {"HOME": str(tmp_path)}).reveal() == KEY.get_secret_value()
    assert file.remove()
    assert not {"api_key", "apiKey"} & set(json.loads(file.path.read_text("utf-8-sig")))
    assert not file.remove()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", r"is not valid JSON: Expecting property name .* \(line 1\)"),
        ('{"a": 1,}', r"is not valid JSON: a comma stands before the end \(line 1\)"),
        ('{"a": 1 // mine\n}', r"is not valid JSON: Expecting .* \(line 1\)"),
        ('{"api_key": sk-0123456789}', r"is not valid JSON: Expecting value \(line 1\)"),
        ('{"api_key": "1",\n"api_key": "3"}', r"“api_key” stands there twice \(line 2\)"),
        ("[]", "is not valid JSON: the whole is not an object"),
        ("[" * 100_000, "is not valid JSON: it is nested too deeply"),
        (b'{"a": "\xff"}', "is not UTF-8"),
        (b"\xff\xfe{\x00}\x00", "is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_understood_is_left_as_it_is(
    content: str | bytes, reason: str, file: KeyFile
) -> None:
    before = written(file, content).path.read_bytes()
    for attempt in (file.require_usable, lambda: file.save(KEY), file.remove):
        with pytest.raises(NotConfigured, match=reason) as refused:
            attempt()
        assert "sk-0" not in str(refused.value)
    assert file.path.read_bytes() == before
    assert names_in(file.path.parent) == ["config.json"]


@pytest.mark.parametrize("where", [(os, "fsync"), (os, "replace"), (os, "fdopen")])
def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(
    where: tuple[object, str], file: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    written(file, '{"api_key": "old"}')
    with monkeypatch.context() as patch:
        patch.setattr(*where, full)
        with pytest.raises(NotConfigured, match="No space left on device"):
            file.save(KEY)
    assert file.path.read_text() == '{"api_key": "old"}'
    assert names_in(file.path.parent) == ["config.json"]


@POSIX
def test_a_real_full_disk_is_said_in_a_sentence(file: KeyFile) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    file.path.parent.mkdir(parents=True)
    file.path.symlink_to("/dev/full/config.json")
    with pytest.raises(NotConfigured, match="cannot be"):
        file.save(KEY)


@POSIX
def test_a_link_stays_a_link_and_what_it_leads_to_gets_the_key(
    file: KeyFile, tmp_path: Path
) -> None:
    real = tmp_path / "dotfiles" / "runapi.json"
    real.parent.mkdir()
    real.write_text('{"a": 1}')
    file.path.parent.mkdir(parents=True)
    file.path.symlink_to(real)
    file.save(KEY)
    assert file.path.is_symlink()
    assert json.loads(real.read_text()) == {"a": 1, "api_key": KEY.get_secret_value()}
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert names_in(real.parent) == ["runapi.json"]


@POSIX
@pytest.mark.parametrize("target", ["config.json", "/nowhere/at/all.json"])
def test_a_link_that_leads_nowhere_is_said_in_a_sentence(target: str, file: KeyFile) -> None:
    file.path.parent.mkdir(parents=True)
    file.path.symlink_to(target)
    with pytest.raises(NotConfigured, match=r"config\.json cannot be"):
        file.require_usable()
    with pytest.raises(NotConfigured, match=r"config\.json cannot be"):
        file.save(KEY)
    assert file.path.is_symlink()


@pytest.mark.parametrize("place", ["config.json", ".config"])
def test_a_folder_or_file_in_the_wrong_place_is_said_in_a_sentence(
    place: str, file: KeyFile, tmp_path: Path
) -> None:
    if place == ".config":
        (tmp_path / ".config").write_text("a file")
    else:
        file.path.mkdir(parents=True)
    with pytest.raises(NotConfigured, match=r"config\.json cannot be"):
        file.require_usable()


@POSIX
def test_a_pipe_in_its_place_is_not_waited_for(file: KeyFile, tmp_path: Path) -> None:
    file.path.parent.mkdir(parents=True)
    os.mkfifo(file.path)
    for attempt in (file.require_usable, lambda: file.save(KEY), file.remove):
        with pytest.raises(
            NotConfigured, match=r"config\.json cannot be read: it is not a regular"
        ):
            attempt()
    loaded = load({"HOME": str(tmp_path)})
    assert loaded.warnings == (f"{file.path} cannot be read: it is not a regular file.",)


@POSIX
def test_what_a_folder_forbids_its_owner_stays_forbidden(file: KeyFile) -> None:
    folder = written(file, "{}").path.parent
    folder.chmod(0o555)
    with suppress(NotConfigured):
        file.save(KEY)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o500


@NOT_ROOT
def test_a_read_only_folder_is_said_before_a_person_is_bothered_and_stays_so(
    file: KeyFile,
) -> None:
    folder = written(file, "{}").path.parent
    folder.chmod(0o500)
    for attempt in (file.require_usable, lambda: file.save(KEY)):
        with pytest.raises(NotConfigured, match=r"The key was not saved: .* cannot be written"):
            attempt()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o500
    assert file.path.read_text() == "{}"


def test_what_the_environment_says_comes_before_the_file(file: KeyFile, tmp_path: Path) -> None:
    file.save(KEY)
    home = {"HOME": str(tmp_path)}
    assert not key_now(BASE_URL, home).from_environment
    given_too = key_now(BASE_URL, {**home, "RUNAPI_KEY": "sk-of-the-environment"})
    assert given_too.from_environment
    assert given_too.source == "RUNAPI_KEY"
    assert not key_now(BASE_URL, {**home, "RUNAPI_KEY": "${RUNAPI_KEY}"}).from_environment


@pytest.mark.usefixtures("without_a_home")
def test_a_user_without_a_home_is_told_so() -> None:
    with pytest.raises(NotConfigured, match="no home"):
        KeyFile.of({})
