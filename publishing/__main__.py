"""`python -m publishing`: the files of this repository that are made from the program.

`--check` writes nothing, and fails where a file is out of date.
"""

import argparse
import sys
from pathlib import Path

from publishing import generated, unexpected


def main() -> int:
    """Write what is out of date, or with `--check` only name it; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m publishing", description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=Path(), help="the repository")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it is stale")
    arguments = parser.parse_args()
    root, check = arguments.root, arguments.check
    stale = [
        (path, text)
        for path, text in generated(root)
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        print(f"{'out of date' if check else 'written'}: {path.relative_to(root)}")
    leftovers = list(unexpected(root))
    for path in leftovers:
        print(f"no longer made: {path.relative_to(root)}")
    if check and (stale or leftovers):
        print(
            "Run `python -m publishing`, commit what it writes, remove the rest.", file=sys.stderr
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
