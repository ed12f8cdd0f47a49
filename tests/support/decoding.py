"""The decoders of the tests: one pool a process, with a deadline that no busy machine breaks."""

from typing import Final

from runapi_mcp.images.workers import Workers

WORKERS: Final = Workers(deadline_seconds=300)
