"""`runapi-mcp demo`: the README's first command, as a person runs it."""

import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.support.processes import run_alone


def demo(home: Path, *arguments: str, draw_seconds: str = "0") -> subprocess.CompletedProcess[str]:
    environment = {
        "HOME": str(home),
        "RUNAPI_SANDBOX_DRAW_SECONDS": draw_seconds,
        "PATH": "/usr/bin:/bin",
    }
    return run_alone(("demo", *arguments), environment)


def test_the_demo_draws_a_picture_and_remixes_it(tmp_path: Path) -> None:
    ran = demo(tmp_path, "a red fox in the snow", "--variant", "flex", "--ratio", "16:9")
    paths = [Path(found) for found in re.findall(r"✓ (/.*\.png)", ran.stdout)]
    assert [path.parent for path in paths] == [tmp_path / "Pictures" / "runapi"] * 2
    assert re.fullmatch(r"\d{4}-\d\d-\d\d-red-fox-in-the-snow-[0-9a-f]{4}\.png", paths[0].name)
    for path in paths:
        with Image.open(path) as image:
            assert image.size == (1360, 768)
    assert "→ flux_2_flex_text_to_image  a red fox in the snow" in ran.stdout
    assert "→ flux_2_flex_remix_image  the same scene on a violet night" in ran.stdout
    assert ran.stdout.count("price $0.14, in sandbox money") == 2
    assert len(re.findall(r"task [0-9a-f-]{36}", ran.stdout)) == 2
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_draft_is_remixed_with_the_default_tier(tmp_path: Path) -> None:
    ran = demo(tmp_path, "--variant", "klein")
    assert "→ flux_2_klein_text_to_image" in ran.stdout
    assert "→ flux_2_pro_remix_image" in ran.stdout
    assert re.findall(r"price \$(\S+),", ran.stdout) == ["0.03", "0.05"]
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_picture_never_lands_on_another_and_the_folder_is_mine(tmp_path: Path) -> None:
    folder = tmp_path / "some where"
    for _ in range(2):
        ran = demo(tmp_path, "a / ..\\fox", "--no-remix", "--output", str(folder))
        assert ran.returncode == 0
    assert len(list(folder.glob("*-fox-*.png"))) == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["a fox [[fail: no foxes]]"], 'says: "no foxes"'),
        (["x"], "prompt must be text of 3-5000 characters, not 'x'."),
        (["a fox", "--variant", "max", "--resolution", "2k"], "output_resolution must be 1k"),
        (["a fox", "--variant", "klein", "--resolution", "2k"], "is not for this tool"),
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


def test_a_picture_that_takes_long_is_waited_for(tmp_path: Path) -> None:
    ran = demo(tmp_path, "a fox [[takes 1s]]", "--no-remix")
    assert ran.stdout.count("✓ /") == 1


def test_a_server_that_cannot_start_is_said_with_its_reason(tmp_path: Path) -> None:
    ran = demo(tmp_path, "a fox", draw_seconds="soon")
    assert "RUNAPI_SANDBOX_DRAW_SECONDS is not a number of seconds." in ran.stderr
    assert "The server ended the session" in ran.stderr
    assert "Traceback" not in ran.stderr
