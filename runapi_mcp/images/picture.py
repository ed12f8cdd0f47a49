"""Pictures as the rest of the program sees them: what is wanted of a task, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from runapi_mcp.base.printable import printable_path

if TYPE_CHECKING:
    from runapi_mcp.images.inspection import ImageInfo, Preview


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """The images of a finished task, and how they are wanted."""

    urls: tuple[str, ...]
    saved: tuple[str, ...]
    """Where each was saved before; "" for one that was not. Shorter, where nobody knows."""
    folder: Path | None
    """Where they are to be saved; None for nowhere."""
    name: str
    """What they are called there: relative, without a suffix."""
    about: Mapping[str, object]
    """What the JSON beside each says, besides what is found out from the image."""
    preview_px: int
    """How large a preview may be; 0 for none."""
    fetch_by: float
    """When fetching should be over, on the event loop's clock."""

    def left_seconds(self) -> float:
        return max(0.0, self.fetch_by - anyio.current_time())

    def late(self, url: str) -> Picture:
        return Picture(url, not_saved="It did not arrive in time." if self.folder else None)

    def name_of(self, url: str) -> str:
        number = self.urls.index(url) + 1
        return self.name if len(self.urls) == 1 else f"{self.name}-{number}"

    def saved_at(self, url: str) -> Path | None:
        index = self.urls.index(url)
        path = self.saved[index] if index < len(self.saved) else ""
        return Path(path) if path else None


@dataclass(frozen=True, slots=True)
class Picture:
    """One image, as far as it could be taken home."""

    url: str
    path: Path | None = None
    info: ImageInfo | None = None
    not_saved: str | None = None
    """Why it is not on the disk, though it was to be."""
    is_far: bool = False
    """Whether `path` is on another machine than the caller's."""

    def after(self, earlier: Picture) -> Picture:
        """Itself; where it is not on the disk, with what is to be said of an earlier file of it."""
        if self.path or not earlier.not_saved:
            return self
        reasons = filter(None, (earlier.not_saved, self.not_saved))
        return replace(self, not_saved=" ".join(reasons))

    @property
    def place(self) -> str:
        """Where it is, as text; empty where it is not."""
        return printable_path(self.path) if self.path else ""

    @property
    def preview(self) -> Preview | None:
        return self.info.preview if self.info else None
