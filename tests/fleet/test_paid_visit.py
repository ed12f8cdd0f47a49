"""`fleet check --pay` says what a picture costs, asks, and draws it with the visitor's own key."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import pytest

from runapi_mcp.base.secret import SecretStr
from tests.support.certificates import make_certificate
from tests.support.fleet.site import SECRET, far_fleet_site, fleet_site
from tests.support.fleet.tcp_proxy import tcp_proxy
from tests.support.processes import DRAW, SIGNALS, finished
from tests.support.terminal import at_terminal, lines_left
from tests.support.world import KEY

pytestmark = [pytest.mark.anyio, SIGNALS]

QUESTION = "Draw one picture for $0.05, paid with your key? [y/N]: "
ALONE = "1 warning."
"""One server was visited, and no other."""
OPENED: Mapping[str, str] = {"RUNAPI_FLEET_SECRET": SECRET, "NO_COLOR": "1"}
MINE: Mapping[str, str] = {**OPENED, "RUNAPI_API_KEY": KEY}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def visit(url: str) -> tuple[str, ...]:
    return ("fleet", "check", url, "--silence", "1", "--pay")


@dataclass(frozen=True, slots=True)
class Visit:
    """What a visitor at a terminal sees."""

    status: int
    is_asked: bool
    of_picture: str
    """What is said of the picture, and in the end of everything."""


async def visited(url: str, answer: str, environment: Mapping[str, str] = MINE) -> Visit:
    come = partial(at_terminal, *visit(url), answers=answer)
    status, said = await anyio.to_thread.run_sync(partial(come, environment=environment))
    servers, _, picture = said.partition("A picture")
    assert "an answer may be silent for 1 s" in servers
    words = " ".join(lines_left(picture)).split()
    return Visit(status, QUESTION in servers, " ".join(words))


async def test_who_agrees_to_the_price_gets_one_picture_and_pays_it_once(
    fleet_database: SecretStr, tmp_path: Path
) -> None:
    async with far_fleet_site(fleet_database, make_certificate(tmp_path / "ca.pem")) as there:
        first = await visited(there.fleet.urls[0], "y\n")
        [task_id] = there.net.account().tasks
        again = await visited(there.fleet.urls[0], "y\n")
        assert there.net.account().spent_cents == 5
    assert (first.status, first.is_asked, again.status, again.is_asked) == (0, True, 0, True)
    assert first.of_picture.startswith("✓ a picture was drawn in ")
    assert first.of_picture.endswith(f", task {task_id} {ALONE}")
    earlier = "✓ a picture came that an earlier visit ordered, task"
    assert again.of_picture == f"{earlier} {task_id} {ALONE}"


async def test_an_answer_that_is_lost_is_told_as_a_doubt_and_the_next_visit_pays_no_second_time(
    fleet_database: SecretStr, tmp_path: Path
) -> None:
    async with (
        far_fleet_site(fleet_database, make_certificate(tmp_path / "ca.pem")) as there,
        tcp_proxy("127.0.0.1", there.fleet.ports[0]) as proxy,
    ):
        url = f"http://127.0.0.1:{proxy.port}"
        proxy.cuts_after = f'"{DRAW}"'.encode()
        lost = await visited(url, "y\n")
        again = await visited(url, "y\n")
        [task_id] = there.net.account().tasks
        assert there.net.account().spent_cents == 5
    assert lost.status == 1
    assert "; it may have been paid all the same → run this again, which" in lost.of_picture
    assert again.status == 0
    assert again.of_picture.endswith(f", task {task_id} {ALONE}")


@pytest.mark.parametrize("answer", ["n\n", "\n"])
async def test_who_does_not_agree_pays_nothing(
    fleet_database: SecretStr, tmp_path: Path, answer: str
) -> None:
    async with far_fleet_site(fleet_database, make_certificate(tmp_path / "ca.pem")) as there:
        seen = await visited(there.fleet.urls[0], answer)
        assert there.net.paid_requests() == 0
    assert (seen.status, seen.is_asked) == (0, True)
    assert seen.of_picture == f"· none was drawn, and nothing was paid {ALONE}"


async def test_without_a_terminal_or_a_key_nothing_is_paid_and_the_rest_is_told(
    fleet_database: SecretStr, tmp_path: Path
) -> None:
    async with far_fleet_site(fleet_database, make_certificate(tmp_path / "ca.pem")) as there:
        come = partial(finished, *visit(there.fleet.urls[0]), stdin=b"y\n")
        unseen = await anyio.to_thread.run_sync(partial(come, environment=MINE))
        keyless = await anyio.to_thread.run_sync(partial(come, environment=OPENED))
        assert there.net.paid_requests() == 0
    assert (unseen.returncode, keyless.returncode) == (2, 2)
    assert all("✓ an answer may be silent for 1 s" in run.stdout for run in (unseen, keyless))
    assert unseen.stderr == (
        "runapi-mcp: --pay asks at a terminal before it pays $0.05, and nothing was paid. "
        "Run it in one.\n"
    )
    assert keyless.stderr == "runapi-mcp: --pay needs a RunAPI API key. Set RUNAPI_API_KEY.\n"


async def test_a_key_that_is_refused_is_told_and_not_shown(
    fleet_database: SecretStr, tmp_path: Path
) -> None:
    refused = {**OPENED, "RUNAPI_API_KEY": "a-key-of-nobody"}
    async with far_fleet_site(fleet_database, make_certificate(tmp_path / "ca.pem")) as there:
        seen = await visited(there.fleet.urls[0], "y\n", refused)
    told = seen.of_picture
    assert (seen.status, seen.is_asked) == (1, True)
    assert "✗ a picture was not drawn: " in told
    assert "Nothing was paid." in told
    assert refused["RUNAPI_API_KEY"] not in told


async def test_in_a_sandbox_nobody_is_asked_and_the_key_stays_here(
    fleet_database: SecretStr,
) -> None:
    async with fleet_site(fleet_database) as there:
        seen = await visited(there.fleet.urls[0], "")
        assert not there.net.account().tasks
        assert there.net.paid_requests() == 1
    assert (seen.status, seen.is_asked) == (0, False)


def test_a_key_goes_nowhere_that_others_could_read_it() -> None:
    run = finished(*visit("http://mcp.example.com"), environment=MINE)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == (
        "runapi-mcp: http://mcp.example.com would carry your key unencrypted. Use https.\n"
    )
