"""What a person types to start this very program again."""

import sys
from typing import Final

_COMMAND: Final = "`runapi-mcp "


def typed(words: str) -> str:
    """These words behind the program's name, as it was started now."""
    from runapi_mcp.setup.install.start_command import Program, typed_command

    return f"{typed_command(Program.current(), sys.argv[0])} {words}"


def as_typed(sentence: str) -> str:
    """The sentence, its commands of this program such as a person can type them."""
    return sentence.replace(_COMMAND, f"`{typed('')}") if _COMMAND in sentence else sentence
