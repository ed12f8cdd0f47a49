"""What every client is made to do, and what is printed of it. For the environment of any client."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Call = tuple[str, dict[str, object]]

SOURCE = re.compile(r"^(?:- (/.+)|task_id: (\S+))$", re.MULTILINE)


def next_call(answers: Sequence[str]) -> Call | None:
    """Draw, remix what was drawn, ask for what no tool has; None after the third answer."""
    # Identical calls of two processes would share a picture.
    prompt = f"fox number {os.getpid()} [[takes 0s]]"
    found = SOURCE.search(answers[0]) if answers else None
    source = (found[1] or found[2]) if found else ""
    calls: list[Call] = [
        ("flux_2_pro_text_to_image", {"prompt": prompt}),
        ("flux_2_pro_remix_image", {"prompt": prompt, "source_image_urls": [source]}),
        ("flux_2_pro_text_to_image", {"prompt": prompt, "n": 2}),
    ]
    return calls[len(answers)] if len(answers) < len(calls) else None


def report(tools: Sequence[str], answers: Sequence[str], sent: object) -> None:
    """Prints the tools' names, the text of each answer, and all that would reach a model."""
    json.dump({"tools": tools, "answers": answers, "sent": sent}, sys.stdout)
