"""What this server is called wherever it introduces itself."""

from typing import Final

TITLE: Final = "Flux 2 on RunAPI"
DESCRIPTION: Final = (
    "Draw and edit images with Flux 2 through RunAPI: checked calls, visible prices."
)
"""At most 100 characters, as registries and server cards have it."""
OWNER: Final = "runapi-mcp"
REPOSITORY: Final = f"https://github.com/{OWNER}/runapi-mcp"
ISSUES: Final = f"{REPOSITORY}/issues"
COMPLETION: Final = "_RUNAPI_MCP_COMPLETE"
"""The variable by which a shell asks for completions."""
REGISTRY_NAME: Final = f"io.github.{OWNER}/runapi-mcp"
"""The reverse-DNS name that the MCP Registry knows it by."""
