"""Pictures go to the user's folder, or the project's by a name, as hosts start the server."""

import os
import sys
from functools import partial
from pathlib import Path

import anyio.to_thread
import pytest
from mcp import Client, MCPError, StdioServerParameters

from runapi_mcp.images.folders import Folders
from tests.support.ledgers import answers
from tests.support.pictures import DRAW, FOX, files_in, path_of, previews
from tests.support.processes import QUICK, draw, finished, host, network, program, stdio_server
from tests.support.world import KEY, facts, said, world

pytestmark = pytest.mark.anyio
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="owners are not asked for there")
IN_REAL_TIME = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@pytest.mark.parametrize(
    ("repository", "started_in", "folder"),
    [
        ("home/code/shop", "home/code/shop", "home/code/shop"),
        ("home/code/shop", "home/code/shop/src/deep", "home/code/shop"),
        ("home/code/shop", "home/code", "home/Pictures/runapi"),
        ("home", "home/code/shop", "home/Pictures/runapi"),
        ("home", "home", "home/Pictures/runapi"),
        (".", "home/code/shop", "home/Pictures/runapi"),
        (".", ".", "home/Pictures/runapi"),
        ("srv/shop", "srv/shop/src", "srv/shop"),
        (None, "home/code/shop", "home/Pictures/runapi"),
    ],
)
async def test_a_name_means_a_place_in_the_project_the_server_was_started_in(
    repository: str | None,
    started_in: str,
    folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for made in ("home", started_in, *([f"{repository}/.git"] if repository else [])):
        (tmp_path / made).mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / started_in)
    async with world(folders=Folders()) as w:
        named = await w.call(DRAW, {**FOX, "save_as": "assets/fox"})
        unnamed = await w.call(DRAW, FOX)
    assert path_of(named) == tmp_path / folder / "assets/fox.png"
    assert path_of(unnamed).parent == tmp_path / "home/Pictures/runapi"


@pytest.mark.parametrize("mark", [".git", ".hg", ".jj", ".svn"])
async def test_a_project_is_what_is_under_version_control(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A worktree's .git is a file.
    (tmp_path / mark).touch()
    monkeypatch.chdir(tmp_path)
    async with world(folders=Folders()) as w:
        assert path_of(await w.call(DRAW, {**FOX, "save_as": "fox"})).parent == tmp_path


async def test_the_users_own_folder_comes_before_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shop/.git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "shop")
    async with world(folders=Folders(tmp_path / "pictures")) as w:
        path = path_of(await w.call(DRAW, {**FOX, "save_as": "fox"}))
    assert path == tmp_path / "pictures/fox.png"


async def test_a_server_whose_folder_was_removed_under_it_saves_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    async with world(folders=Folders()) as w:
        path = path_of(await w.call(DRAW, {**FOX, "save_as": "fox"}))
    assert path == Path.home() / "Pictures/runapi/fox.png"


@IN_REAL_TIME
async def test_as_a_host_starts_it_in_a_project(tmp_path: Path) -> None:
    (tmp_path / "shop/.git").mkdir(parents=True)
    async with network() as net:
        environment = {**net.environment(), "HOME": str(tmp_path), "RUNAPI_SAVE": "on"}
        started = replace_environment(stdio_server(net), tmp_path / "shop", environment)
        async with Client(started) as client:
            named = await client.call_tool(DRAW, {"prompt": QUICK, "save_as": "img/fox"})
            unnamed = await draw(client)
            assert path_of(named) == tmp_path / "shop/img/fox.png"
            assert path_of(unnamed).parent == tmp_path / "Pictures/runapi"
        [first, _] = net.account().tasks
        images = [path for _, path in net.asked if path.startswith("/images/")]
        async with Client(started) as client:
            found = await client.call_tool("get_task", {"task_id": first})
            assert path_of(found) == path_of(named)
        assert [path for _, path in net.asked if path.startswith("/images/")] == images


def replace_environment(
    server: StdioServerParameters, cwd: Path, environment: dict[str, str]
) -> StdioServerParameters:
    return server.model_copy(update={"cwd": cwd, "env": environment})


@IN_REAL_TIME
@pytest.mark.parametrize(
    ("path", "save"), [("/mcp", None), ("/mcp", "on"), ("/mcp", "off"), ("/sse", None)]
)
async def test_over_http_pictures_are_saved_only_where_the_operator_says_so(
    path: str, save: str | None, tmp_path: Path
) -> None:
    command = ("serve", "--http", "--port", "0")
    settings = {"RUNAPI_OUTPUT_DIR": str(tmp_path), **({"RUNAPI_SAVE": save} if save else {})}
    async with (
        network() as net,
        program(*command, environment={**net.environment(), **settings}) as running,
    ):
        url = (await running.stderr.holding("runapi-mcp serves ")).split()[2]
        async with host(url.removesuffix("/mcp"), path, "auto", KEY) as client:
            result = await draw(client)
            paid = net.paid_requests()
            named = await client.call_tool(DRAW, {"prompt": QUICK, "save_as": "fox"})
            tools = {tool.name for tool in (await client.list_tools()).tools}
            with pytest.raises(MCPError, match="There is no tool 'convert_image'"):
                await client.call_tool("convert_image", {"source": "a.png", "save_as": "b.png"})
    assert "get_task" in tools
    assert "convert_image" not in tools
    assert len(previews(result)) == 1
    if save == "on":
        assert path_of(result).parent == tmp_path
        assert path_of(named) == tmp_path / "fox.png"
    else:
        assert {"image_paths", "not_saved"}.isdisjoint(facts(result))
        assert len(facts(result)["image_urls"]) == 1
        assert said(named).startswith("save_as cannot be honoured")
        assert (net.paid_requests(), files_in(tmp_path)) == (paid, [])


@IN_REAL_TIME
async def test_in_a_terminal_a_task_is_saved_and_its_path_told(tmp_path: Path) -> None:
    async with network() as net:
        environment = {
            **net.environment(),
            "RUNAPI_OUTPUT_DIR": str(tmp_path / "pictures"),
            "RUNAPI_LEDGER": str(tmp_path / "ledger.sqlite3"),
        }
        started = stdio_server(net).model_copy(update={"env": environment})
        async with Client(started) as client:
            lost = await client.call_tool(
                DRAW, {"prompt": QUICK, "wait_seconds": 0, "save_as": "fox"}
            )
        for _ in range(2):
            told = await anyio.to_thread.run_sync(
                partial(finished, "tasks", facts(lost)["task_id"], environment=environment)
            )
            assert told.stdout.startswith(f"image_paths:\n- {tmp_path}/pictures/fox.png\n")
        assert files_in(tmp_path / "pictures") == ["fox.png", "fox.png.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows users otherwise")
@pytest.mark.usefixtures("without_a_home")
async def test_a_user_without_a_home_pays_only_where_there_is_a_place(tmp_path: Path) -> None:
    async with world(folders=Folders()) as w:
        refused = await w.call(DRAW, {"prompt": "a fox"})
        assert said(refused) == (
            "There is no folder for pictures: this user has no home. Set RUNAPI_OUTPUT_DIR to an "
            "absolute path, or RUNAPI_SAVE=off."
        )
        assert w.wire.paths("POST") == []
    async with world(folders=Folders(tmp_path)) as w:
        drawn = await w.call(DRAW, {"prompt": "a fox"})
        assert path_of(drawn).parent == tmp_path
        async with world(folders=Folders(), sandbox=w.sandbox) as other:
            got = await other.call("get_task", {"task_id": facts(drawn)["task_id"]})
            assert facts(got)["image_urls"]
        missing = {"prompt": "a fox", "source_image_urls": ["~/fox.png"]}
        refused = await w.call("flux_2_pro_remix_image", missing)
        assert "~/fox.png" in said(refused)


@IN_REAL_TIME
@pytest.mark.skipif(sys.platform != "linux", reason="only there a locale limits names")
async def test_a_name_that_the_locale_cannot_write_is_refused_before_it_is_paid(
    tmp_path: Path,
) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    async with network() as net:
        environment = net.environment() | plain | {"RUNAPI_OUTPUT_DIR": str(tmp_path / "é")}
        async with program(environment=environment) as running:
            refused, drawn = await answers(
                running,
                (DRAW, {"prompt": QUICK, "save_as": "füchse"}),
                (DRAW, {"prompt": f"füchse {QUICK}", "save_as": "fuchs"}),
            )
        assert refused == (
            "save_as cannot be honoured: file names are ascii here. Use letters of ASCII; or let "
            "the user set PYTHONUTF8=1. This call paid nothing."
        )
        assert "not_saved" not in drawn
        assert (tmp_path / "é/fuchs.png").exists()
        assert net.paid_requests() == 1


def _owner_of(path: Path) -> int:
    """Whose the path is, who is not root: else root's rules could not be told from a user's."""
    if os.getuid() == 0:
        os.chown(path, 1_000, -1)
    return path.lstat().st_uid


@POSIX
@pytest.mark.parametrize(
    ("user", "sudo", "is_own"),
    [
        ("owner", None, True),
        ("another", None, False),
        ("another", "owner", False),
        ("root", None, False),
        ("root", "owner", True),
        ("root", "another", False),
        ("root", "nobody", False),
    ],
)
@pytest.mark.parametrize("foreign", ["project", "project/.git"])
async def test_a_repository_is_a_project_by_gits_rule_of_whose_it_is(
    foreign: str,
    user: str,
    sudo: str | None,
    is_own: bool,  # noqa: FBT001 - a case
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = tmp_path / "project"
    for folder in ("project/.git", "project/src"):
        (tmp_path / folder).mkdir(parents=True)
    owner = _owner_of(tmp_path / foreign)
    if is_own:
        owner = max(map(_owner_of, (project, project / ".git")))
    numbers = {"owner": owner, "another": owner + 1, "root": 0, "nobody": ""}
    monkeypatch.setattr(os, "geteuid", lambda: numbers[user])
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(project / "src")
    if sudo is not None:
        monkeypatch.setenv("SUDO_UID", str(numbers[sudo]))
    async with world(folders=Folders()) as w:
        named = await w.call(DRAW, {**FOX, "save_as": "assets/fox"})
        unnamed = await w.call(DRAW, FOX)
    usual = tmp_path / "home/Pictures/runapi"
    assert path_of(named) == (project if is_own else usual) / "assets/fox.png"
    assert path_of(unnamed).parent == usual
    why = f"because {project} is the repository of another user."
    assert (why in facts(named)["notice"]) == (not is_own)
    assert why not in facts(unnamed)["notice"]
