"""Pictures as the rest of the program sees them: what is wanted of a task, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio

from runapi_mcp.base.catalog.vendors import RUNAPI, Vendor
from runapi_mcp.base.printable import printable_path
from runapi_mcp.images.naming import SetMember

if TYPE_CHECKING:
    from runapi_mcp.images.inspection import ImageInfo, Preview


LARGEST_PREVIEWS_BYTES: Final = 100_000
"""All that one answer has. As base64 they leave it a third of its 200 kB for words and links."""
LARGEST_IMAGE_BYTES: Final = 50_000_000
YOUNG_PICTURE_SECONDS: Final = 600
"""So long after its task was made, an image that is not at its address may still come there."""


@dataclass(frozen=True, slots=True)
class SavedPicture:
    """Where a picture was saved, as the ledger has it."""

    path: Path
    levels: int
    """How many folders are between it and the folder that its name counts from."""
    sha256: str
    """Empty where an earlier version saved it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the pictures of a set are saved."""

    folder: Path
    name: str
    """What the set is called there: relative, without a number or suffix."""
    has_sidecars: bool = True
    """Whether a JSON stays beside each picture."""


@dataclass(frozen=True, slots=True)
class WantedPicture:
    """One image of a finished task."""

    url: str
    about: Mapping[str, object]
    """What the JSON beside it says, its `task_id` among it, besides what the image itself tells."""
    number: int = 1
    """Which of its set it is."""
    saved: SavedPicture | None = None
    """Where it was saved before; None where it was not, or nobody knows."""
    original: SavedPicture | None = None
    """Where it was kept as it came, if what was saved was made of it."""
    age_seconds: float | None = None
    """How long ago its task was made; None where nobody knows."""
    vendor: Vendor = RUNAPI

    @property
    def is_young(self) -> bool:
        return self.age_seconds is not None and self.age_seconds < YOUNG_PICTURE_SECONDS

    @property
    def is_expired(self) -> bool:
        return self.age_seconds is not None and self.age_seconds > self.vendor.image_seconds


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """Images of one call, which are a set, and how they are wanted."""

    wanted: tuple[WantedPicture, ...]
    set_id: str
    """The same whenever one of the set is fetched, and of no other set."""
    set_size: int
    """How many images the set has, wanted now or not."""
    place: Place | None
    """Where they are to be saved; None for nowhere."""
    preview_px: int
    """How large a preview may be; 0 for none."""
    caller: str
    """Whose they are: of each caller, one picture at a time is looked at."""
    fetch_by: float
    """When fetching should be over, on the event loop's clock."""
    suffix: str = ""
    """Of the format that they are saved in; empty for as they come."""
    originals: Place | None = None
    """Where those are kept as they came that are saved in another format."""
    kept_name: str = ""
    """What the set is called in the bucket; empty where it is not to be kept there."""

    @property
    def keeps_sidecars(self) -> bool:
        return self.place is not None and self.place.has_sidecars

    @property
    def preview_bytes(self) -> int:
        """How large each preview may be: one answer has them all."""
        return LARGEST_PREVIEWS_BYTES // len(self.wanted)

    def left_seconds(self) -> float:
        return max(0.0, self.fetch_by - anyio.current_time())

    def late(self, wanted: WantedPicture) -> Picture:
        return self.missing(Picture(wanted.url), "It did not arrive in time.")

    def missing(self, picture: Picture, reason: str) -> Picture:
        """The picture, which could not be fetched or kept, with why that is."""
        if self.place or self.kept_name:
            return replace(picture, not_saved=reason)
        return replace(picture, no_preview=reason if self.preview_px else "")

    def member(self, wanted: WantedPicture) -> SetMember:
        return SetMember(self.set_id, wanted.number, self.set_size)


@dataclass(frozen=True, slots=True)
class Picture:
    """One image, as far as it could be taken home."""

    url: str
    """Empty where nobody should go to it."""
    path: Path | None = None
    info: ImageInfo | None = None
    not_saved: str | None = None
    """Why it is not on the disk, though it was to be."""
    sha256: str = ""
    """Of the file at `path`."""
    no_preview: str = ""
    """Why it has no preview, where looking at it does not tell and one was wanted."""
    original: SavedPicture | None = None
    """As it came, where another format was to be made of it."""
    note: str = ""
    """What else is to be said of it."""
    is_far: bool = False
    """Whether `path` is on another machine than the caller's."""
    is_kept: bool = False
    """Whether `url` is a link of our own, which lasts."""

    def after(self, earlier: Picture) -> Picture:
        """Itself; where it is not on the disk, with what is to be said of an earlier file of it."""
        if self.is_home or not earlier.not_saved:
            return self
        reasons = filter(None, (earlier.not_saved, self.not_saved))
        return replace(self, not_saved=" ".join(reasons))

    @property
    def is_home(self) -> bool:
        """Whether it need not be fetched any more."""
        return self.path is not None or self.is_kept

    @property
    def place(self) -> str:
        """Where it is, as text; empty where it is not."""
        return printable_path(self.path) if self.path else ""

    @property
    def why_no_preview(self) -> str:
        """Empty where it has one, none was wanted, or `not_saved` says it."""
        return self.no_preview or (self.info.no_preview if self.info else "")

    @property
    def original_place(self) -> str:
        """Where it is as it came, if the one at `place` is another."""
        kept = self.original
        return printable_path(kept.path) if kept and kept.path != self.path else ""

    @property
    def preview(self) -> Preview | None:
        return self.info.preview if self.info else None
