"""What a client would send its model: the facts, images that are images, no address of a file."""

from __future__ import annotations

import base64
import binascii
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checks import Verdict, json_result
from PIL import Image
from words import tail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from programs import Run

    Report = dict[str, Any]  # Any: the JSON of another program
    Json = dict[str, "Json"] | list["Json"] | str | float | None

TOOLS = {"flux_2_pro_text_to_image", "flux_2_pro_remix_image", "get_task", "check_pricing"}
FACTS = ("status: completed", "task_id: ", "cost_cents: 5 ($0.05)")
REFUSAL = "'n' is not a parameter"
SAVED = re.compile(r"^- (/.+\.png)$", re.MULTILINE)
PICTURES = 2
EXPECTED = (*[FACTS] * PICTURES, (REFUSAL,))
"""What stands in each answer."""
DATA_URL = re.compile(r"data:image/(?:jpeg|png|webp);base64,(.+)")
IMAGES = {"data": re.compile(r"([^:]+)"), "url": DATA_URL, "image_url": DATA_URL}
"""The keys that MCP and the models' APIs have an image under."""
BASE64 = re.compile(r"[A-Za-z0-9+/]{200}")
FILE_ADDRESS = re.compile(r"\bfile:/", re.IGNORECASE)


def judge(run: Run) -> Verdict:
    """Passes a talk whose pictures were saved, and whose model would get what its API takes."""
    report = json_result(run.stdout)
    unsaved = [
        f"no saved picture in: {answer}"
        for answer in report.get("answers", [])[:PICTURES]
        if not any(Path(path).is_file() for path in SAVED.findall(answer))
    ]
    return verdict(run, report, unsaved)


def judge_far(run: Run) -> Verdict:
    """The same over HTTP, where nothing is saved for the caller."""
    return verdict(run, json_result(run.stdout), [])


def verdict(run: Run, report: Report, found: list[str]) -> Verdict:
    problems = [*found, *faults(report)] if report else ["it reported nothing"]
    return Verdict(
        passed=run.returncode == 0 and not problems,
        note=f"tools: {len(report.get('tools', []))}",
        details="\n".join([*problems, tail(run.stderr)]),
    )


def faults(report: Report) -> Iterator[str]:
    """What is wrong with a report of clients/conversation.py."""
    if missing := TOOLS - set(report["tools"]):
        yield f"missing tools: {missing}"
    if len(report["answers"]) != len(EXPECTED):
        yield f"{len(report['answers'])} answers, not {len(EXPECTED)}"
    for answer, facts in zip(report["answers"], EXPECTED, strict=False):
        yield from (f"no {fact!r} in: {answer}" for fact in facts if fact not in answer)
    images = 0
    for key, text in strings_of(report["sent"]):
        if image := IMAGES[key].fullmatch(text) if key in IMAGES else None:
            images += opens(image[1])
        elif BASE64.search(text) or FILE_ADDRESS.search(text):
            yield f"base64, or the address of a file, as {key!r}: {text[:200]}"
    if images != PICTURES:
        yield f"{images} images that open, not {PICTURES}"


def strings_of(value: Json, key: str = "") -> Iterator[tuple[str, str]]:
    """Each string of some JSON, with the key that it stands under."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, part in value.items():
            yield from strings_of(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from strings_of(part, key)


def opens(image: str) -> bool:
    try:
        with Image.open(io.BytesIO(base64.b64decode(image, validate=True))) as opened:
            opened.load()
    except (binascii.Error, OSError):
        return False
    return True
