"""`runapi-mcp demo`: the README's first command, as a person runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from runapi_mcp.setup.install.start_command import Program, typed_command
from tests.support.processes import LIMIT_SECONDS, run_alone


def demo(
    home: Path, *arguments: str, draw_seconds: str = "0", **environment: str
) -> subprocess.CompletedProcess[str]:
    places = {"HOME": str(home), "TMPDIR": str(home), "PATH": "/usr/bin:/bin"}
    practice = {"RUNAPI_SANDBOX_DRAW_SECONDS": draw_seconds}
    return run_alone(("demo", *arguments), {**places, **practice, **environment})


def test_the_demo_draws_a_picture_and_remixes_it(tmp_path: Path) -> None:
    ran = demo(tmp_path, "a red fox in the snow", "--variant", "flex", "--ratio", "16:9")
    paths = [Path(found) for found in re.findall(r"✓ (/.*\.png)", ran.stdout)]
    (folder,) = {path.parent for path in paths}
    assert (folder.parent, folder.name[:12]) == (tmp_path, "runapi-demo-")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-red-fox-in-the-snow-[0-9a-f]{4}\.png", paths[0].name)
    for path in paths:
        with Image.open(path) as image:
            assert image.size == (1360, 768)
    assert "→ flux_2_flex_text_to_image  a red fox in the snow" in ran.stdout
    assert "→ flux_2_flex_remix_image  the same scene on a violet night" in ran.stdout
    assert ran.stdout.count("price $0.14, in pretend money") == 2
    assert len(re.findall(r"task [0-9a-f-]{36}", ran.stdout)) == 2
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_draft_is_remixed_with_the_default_tier(tmp_path: Path) -> None:
    ran = demo(tmp_path, "--variant", "klein")
    assert "→ flux_2_klein_text_to_image" in ran.stdout
    assert "→ flux_2_pro_remix_image" in ran.stdout
    assert re.findall(r"price \$(\S+),", ran.stdout) == ["0.03", "0.05"]
    assert (ran.returncode, ran.stderr) == (0, "")


def test_the_folder_is_mine_whatever_the_prompt_says(tmp_path: Path) -> None:
    folder = tmp_path / "some where"
    ran = demo(tmp_path, "a / ..\\fox", "--no-remix", "--output", str(folder))
    assert ran.returncode == 0
    assert len(list(folder.glob("*-fox-*.png"))) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a fox [[fail: no foxes]]"], 'says: "no foxes"'),
        (["x"], "prompt must be text of 3-5000 characters, not 'x'."),
        (["a fox", "--remix", "x"], "prompt must be text of 3-5000 characters, not 'x'."),
        (["a fox", "--ratio", "7"], "--ratio must be one of 1:1,"),
        (["a fox", "--variant", "max", "--resolution", "2k"], "--resolution must be 1k"),
        (["a fox", "--variant", "klein", "--resolution", "2k"], "leave out --resolution"),
        (
            ["a fox", "--output", "/dev/null/pictures"],
            "The picture was not saved in /dev/null/pictures",
        ),
    ],
)
def test_what_goes_wrong_is_said_without_a_traceback(
    arguments: list[str], sentence: str, tmp_path: Path
) -> None:
    ran = demo(tmp_path, *arguments)
    assert sentence in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.returncode == 2


def test_its_arguments_are_checked_before_a_server_starts(tmp_path: Path) -> None:
    assert demo(tmp_path, "a fox", "--remix", "x", draw_seconds="never").stdout == ""


def test_pictures_go_where_the_users_own_go(tmp_path: Path) -> None:
    ran = demo(tmp_path, "a fox", "--no-remix", RUNAPI_OUTPUT_DIR=str(tmp_path / "mine"))
    assert f"✓ {tmp_path}/mine/" in ran.stdout


def test_at_the_end_it_says_what_a_stand_in_is_and_what_to_type_next(tmp_path: Path) -> None:
    typed = typed_command(Program(sys.executable, Path(sys.prefix), {}), "__main__.py")
    assert demo(tmp_path, "a fox", "--no-remix", PATH="").stdout.endswith(
        "\nThe sandbox stands in for RunAPI: its pictures are stand-ins. For real ones:\n"
        f"  {typed} login\n  {typed} install\n"
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-16"])
def test_every_output_encoding_is_written(encoding: str, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "teal").save(picture := tmp_path / "łis.png")
    stage = (
        "import sys; from pathlib import Path; from runapi_mcp.cli.demo_view import Stage; "
        "stage = Stage(); stage.ready(1, ['a tool'])\nwith stage.calling('a tool', 'łis'): pass\n"
        "stage.picture(Path(sys.argv[1]), {'task_id': 'one', 'cost_cents': 5}); stage.close()"
    )
    ran = subprocess.run(  # noqa: S603 - this very program
        [sys.executable, "-c", stage, str(picture)],
        env={"PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=LIMIT_SECONDS,
        check=True,
    )
    assert ran.stderr == b""
    printed = ran.stdout.decode(encoding)
    mark, arrow, name = ("✓", "→", "łis") if encoding == "utf-16" else ("ok", "->", "?is")
    assert f"{mark} the server started in 1.0 s" in printed
    assert f"{arrow} a tool  {name}" in printed
    assert f"{mark} {tmp_path}/{name}.png" in printed
    assert "price $0.05, in pretend money" in printed


def test_a_picture_that_takes_long_is_waited_for(tmp_path: Path) -> None:
    ran = demo(tmp_path, "a fox [[takes 1s]]", "--no-remix")
    assert ran.stdout.count("✓ /") == 1


def test_a_server_that_cannot_start_is_said_with_its_reason(tmp_path: Path) -> None:
    ran = demo(tmp_path, "a fox", draw_seconds="soon")
    assert "RUNAPI_SANDBOX_DRAW_SECONDS is not a number of seconds." in ran.stderr
    assert "The server ended the session" in ran.stderr
    assert "Traceback" not in ran.stderr
