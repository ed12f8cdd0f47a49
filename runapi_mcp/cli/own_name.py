"""What a person types to start this very program again."""

import sys


def typed(words: str) -> str:
    """These words behind the program's name, as it was started now."""
    from runapi_mcp.setup.install.start_command import Program, typed_command

    return f"{typed_command(Program.current(), sys.argv[0])} {words}"
