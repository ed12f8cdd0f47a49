"""The fast way in: what is asked most often loads least."""

import gc
import sys

from runapi_mcp import __version__


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:
        print(f"runapi-mcp {__version__}")
        return
    # Collecting during imports only costs time: nothing they make goes away. Serving re-enables it.
    gc.disable()
    from runapi_mcp.cli.main import run

    run()


if __name__ == "__main__":
    main()
