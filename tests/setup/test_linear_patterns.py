"""No text that somebody else wrote keeps a pattern busy: each takes as long as its text is."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

import pytest

from runapi_mcp import setup
from runapi_mcp.base import hosts, settings, texts
from runapi_mcp.base.hosts import launch_environment
from runapi_mcp.base.hosts.table import HOSTS
from runapi_mcp.setup.doctor import start_rule
from tests.support.processes import LIMIT_SECONDS

pytestmark = pytest.mark.timeout(LIMIT_SECONDS)
TIMES: Final = 100_000

PREFIXES: Final = {
    "ASKED_FOR": "${ ${input ${input:",
    "_ASSIGNMENT": "RUNAPI_ RUNAPI_A= RUNAPI_A\n",
    "_BACKUP": ".runapi- .runapi-20260101T",
    "_BARE": "a a.",
    "_BUCKET": "s s3:// s3://a s3://a/",
    "_COMMENT": "# #\n / // /* /*/ //\n",
    "_COMMENTS": '" \\" "\\ / // /* /*/ //\n',
    "_DUPLICATE": 'found␠duplicate␠key␠" found␠duplicate␠key␠"a"␠with "',
    "_FEW": "PATH HOME PROGRAMFILES(",
    "_INDENTED": "␠ ␠\n \t␠\n",
    "_LEFTOVER": "${ ${} {{ {env: $a %a %a% < <> YOUR_",
    "_LIKE_A_KEY": "a a1 - ä",
    "_LINE": "␠(at␠line␠ ␠(at␠line␠1 ␠(at␠line␠1,␠column␠1",
    "_LINE_START": "␠ ␠\n",
    "_NAME": "python python3. uvx-",
    "_OURS": "runapi-mcp runapi-mcp.exe runapi-mcp@ runapi-mcp[",
    "_OWN_WORDS": "a ' '< '<a '<a> '<a>' 'a' '\\ '\\a \" '''",
    "_PLAIN_KEY": "a a-",
    "_POSTGRES": "postgres postgresql:// postgres://a postgres://a@ postgres://a@a",
    "_PYTHON": "py python python3 pyw3.",
    "_RUNAPIS": "https:// https://a. https://runapi.ai a.",
    "_RUNAPIS_OWN": "@ @runap runapi.",
    "_SECRET": "TOKE KE CRED",
    "_SESSION": "LC_ XDG_ DBUS_\n",
    "_SPACE": "␠ ␠\n",
    "_SUFFIX": ". .exe .cmd␠",
    "_TOKEN": '" "" """ """\\ \\" \' \'\' \'\'\' \'\'\'a # [ a \r "a\\ "a',
    "_TRAILING_COMMA": ", ,␠ ,\n",
    "_TRAILING_COMMAS": '" \\" "\\ , ,␠ [␠ {␠ [ ,\n\n',
}
"""What each begins with, so far that it goes on; ␠ is a space."""

REFERENCES: Final = "${a ${a:- ${a:-$ $a {env: {env:a ${env:a"
LAUNCHED: Final = "a / /:/ /:/\n C:/ C:/:/\n runapi-mcp runapi-mcp[a runapi-mcp== 1. python a= a=\n"


@dataclass(frozen=True, slots=True)
class Found:
    name: str
    pattern: re.Pattern[str]
    is_searched: bool
    """Whether it is looked for anywhere in a text, and not only at one place."""

    def look(self, text: str) -> None:
        for each in (text, f"{text}!", f"{text}\n"):
            self.pattern.match(each)
            self.pattern.fullmatch(each)
            for _ in self.pattern.finditer(each) if self.is_searched else ():
                pass


def compiled() -> Iterator[Found]:
    """Every pattern of what reads others' files."""
    for module in (each for room in (setup, hosts, settings, texts) for each in modules_of(room)):
        source = inspect.getsource(module)
        for name, value in cast("dict[str, Any]", vars(module)).items():
            if not re.search(rf"^{name}\b", source, re.MULTILINE):
                continue  # it is another module's
            uses = rf"{name}(\[\w+\])?\.(search|sub|finditer|findall|split)\("
            among = cast("dict[str, Any]", value) if isinstance(value, dict) else {"": value}
            for pattern in among.values():
                if isinstance(pattern, re.Pattern):
                    pattern = cast("re.Pattern[str]", pattern)
                    yield Found(name, pattern, re.search(uses, source) is not None)


def modules_of(room: Any) -> Iterator[Any]:
    yield room
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        yield importlib.import_module(module.name)


def made() -> Iterator[tuple[Found, str]]:
    """Every pattern that is put together where it is used."""
    for host in HOSTS:
        for pattern in launch_environment._reference_patterns(host.reference):  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - no text reaches it otherwise at this length
            yield Found(host.reference, re.compile(pattern), is_searched=True), REFERENCES
    for name, launcher in start_rule._LAUNCHERS.items():  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] - as above
        for pattern in filter(None, {*launcher.valued.values(), launcher.target}):
            yield Found(name, re.compile(pattern), is_searched=False), LAUNCHED


PATTERNS: Final = [*compiled()]


def test_every_pattern_has_its_prefixes() -> None:
    assert {found.name for found in PATTERNS} == set(PREFIXES)


@pytest.mark.parametrize("found", PATTERNS, ids=lambda found: found.name)
def test_a_pattern_takes_no_longer_than_its_text(found: Found) -> None:
    for prefix in PREFIXES[found.name].split(" "):
        found.look(prefix.replace("␠", " ") * TIMES)


@pytest.mark.parametrize(("found", "prefixes"), [*made()], ids=lambda each: str(each)[:30])
def test_a_pattern_that_is_made_takes_no_longer_than_its_text(found: Found, prefixes: str) -> None:
    for prefix in prefixes.split(" "):
        found.look(prefix * TIMES)
