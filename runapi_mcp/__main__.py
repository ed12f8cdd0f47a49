"""The fast way in: what is asked most often loads least."""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING, Final

from runapi_mcp import __version__

if TYPE_CHECKING:
    from runapi_mcp.front.serving import Begun

_SERVING: Final[tuple[list[str], ...]] = ([], ["serve"], ["--sandbox"], ["serve", "--sandbox"])


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:
        print(f"runapi-mcp {__version__}")
        return
    # Collecting during imports only costs time: nothing they make goes away. Serving re-enables it.
    gc.disable()
    begun = None
    from runapi_mcp.base.identity import COMPLETION

    if sys.argv[1:] in _SERVING and COMPLETION not in os.environ:
        is_over, begun = _begin()
        if is_over:
            return
    from runapi_mcp.cli.main import run

    run(begun)


def _begin() -> tuple[bool, Begun | None]:
    """Whether a whole session was served without the SDK; else what it is to go on with."""
    from runapi_mcp.front.pipes import Ended
    from runapi_mcp.front.serving import serve

    try:
        return False, serve(sandbox="--sandbox" in sys.argv)
    except Ended:
        return True, None
    except Exception as error:  # noqa: BLE001 - the last place where it can be told
        from runapi_mcp.cli.crashes import EXIT_STATUS, tell_crash

        tell_crash(error)
        sys.exit(EXIT_STATUS)


if __name__ == "__main__":
    main()
