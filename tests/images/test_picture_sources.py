"""What is said of a source that is a link, and of pictures that lie on another machine."""

import sys
from pathlib import Path

import pytest

from tests.support.photos import NOT_ALLOWED, REMIX, asking, photo, remixing, seed_of, sources_of
from tests.support.pictures import DRAW, FOX, path_of
from tests.support.processes import draw, host, network, program
from tests.support.world import KEY, facts, said

pytestmark = pytest.mark.anyio
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such links")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The server is started in a project."""
    (tmp_path / "project/.git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@POSIX
@pytest.mark.parametrize("target", ["secrets/there.png", "secrets/none.png"])
async def test_a_relative_link_that_leads_outside_is_not_said_to_be_missing(
    target: str, project: Path, tmp_path: Path
) -> None:
    photo(tmp_path / "secrets/there.png")
    (project / "out.png").symlink_to(tmp_path / target)
    async with remixing(tmp_path) as w:
        for name in ("out.png", str(project / "out.png")):
            refused = said(await w.call(REMIX, asking(name)))
            assert refused.startswith(f"{name} {NOT_ALLOWED}")


@POSIX
async def test_what_lies_in_the_output_folder_is_found_behind_such_a_link(
    project: Path, tmp_path: Path
) -> None:
    (project / "out.png").symlink_to("/etc/hostname")
    photo(tmp_path / "pictures/out.png", seed=90)
    async with remixing(tmp_path) as w:
        await w.call(REMIX, asking("out.png"))
        assert [seed_of(each) for each in await sources_of(w)] == [90]


async def test_a_relative_path_to_nothing_is_missing(tmp_path: Path) -> None:
    async with remixing(tmp_path) as w:
        refused = said(await w.call(REMIX, asking("none.png")))
        assert refused.startswith("none.png cannot be read: No such file or directory.")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_over_http_what_can_be_done_with_a_saved_picture_is_what_is_told(
    tmp_path: Path,
) -> None:
    settings = {"RUNAPI_OUTPUT_DIR": str(tmp_path), "RUNAPI_SAVE": "on"}
    async with (
        network() as net,
        program(
            "serve", "--http", "--port", "0", environment={**net.environment(), **settings}
        ) as running,
    ):
        url = (await running.stderr.holding("runapi-mcp serves ")).split()[2]
        async with host(url.removesuffix("/mcp"), "/mcp", "auto", KEY) as client:
            drawn = await draw(client)
            told = facts(drawn)
            refused = await client.call_tool(REMIX, asking(path_of(drawn)))
            for source in (told["task_id"], told["image_urls"][0]):
                assert not (await client.call_tool(REMIX, asking(source))).is_error
    assert refused.is_error
    assert told["next"] == (
        "The path is on the server: give the user the URL, which expires. To change the image, "
        "give its task_id or URL as source_image_urls to a remix tool."
    )


async def test_on_this_machine_the_path_is_told(tmp_path: Path) -> None:
    async with remixing(tmp_path, saves=True) as w:
        drawn = await w.call(DRAW, FOX)
        assert facts(drawn)["next"].startswith("Tell the user the path.")
        assert not (await w.call(REMIX, asking(path_of(drawn)))).is_error
