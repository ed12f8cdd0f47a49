"""Asks Codex which servers it reaches, and prints its answer.

Usage: codex_status.py COMMAND..., the command that starts Codex's app-server.
"""

from __future__ import annotations

import json
import subprocess
import sys

ASKING = 1
TALK: tuple[dict[str, object], ...] = (
    {"id": 0, "method": "initialize", "params": {"clientInfo": {"name": "checks", "version": "1"}}},
    {"method": "initialized"},
    {"id": ASKING, "method": "mcpServerStatus/list", "params": {}},
)


def main() -> int:
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as codex:
        if codex.stdin is None or codex.stdout is None:
            raise AssertionError("both are pipes")
        # The app-server ends with its input, so that stays open until it has answered.
        codex.stdin.write(b"".join(json.dumps(message).encode() + b"\n" for message in TALK))
        codex.stdin.flush()
        answer = next((line for line in codex.stdout if json.loads(line).get("id") == ASKING), b"")
        codex.kill()
    print(answer.decode())
    return 0 if answer else 1


if __name__ == "__main__":
    sys.exit(main())
