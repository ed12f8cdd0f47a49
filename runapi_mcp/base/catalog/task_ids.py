"""Task ids: canonical UUIDs, and nothing else ever becomes part of an address."""

import re
from typing import Final

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


def canonical(text: str) -> str | None:
    """The task id in lower case, or None for what is not one."""
    stripped = text.strip()
    return stripped.lower() if _UUID.fullmatch(stripped) else None
