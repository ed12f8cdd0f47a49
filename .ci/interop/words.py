"""What is said to whoever reads the log."""

import re

TAIL_LINES = 30


def tail(text: str) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return "\n".join(plain.strip().splitlines()[-TAIL_LINES:])


def indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def say(text: str) -> None:
    print(text.rstrip(), flush=True)
