"""How long RunAPI keeps things. Source: its documentation, which says "about 7 days" of images."""

from typing import Final

DAY_SECONDS: Final = 86_400
IMAGE_SECONDS: Final = 7 * DAY_SECONDS
"""When an image's address expires, counted from its task."""
SURE_IMAGE_SECONDS: Final = 6 * DAY_SECONDS
"""How long it can be relied on."""
