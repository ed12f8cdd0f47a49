"""How long things are kept."""

from typing import Final

DAY_SECONDS: Final = 86_400
