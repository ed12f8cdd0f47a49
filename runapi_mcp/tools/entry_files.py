"""The images of an entry of the ledger: where they were saved, how long their vendor has them."""

from itertools import zip_longest
from pathlib import Path

from runapi_mcp.base.catalog.vendors import Vendor
from runapi_mcp.images.folders import name_of
from runapi_mcp.images.picture import SavedPicture
from runapi_mcp.orders.ledger import Entry
from runapi_mcp.tools.facts import utc


def saved_pictures(entry: Entry) -> list[SavedPicture | None]:
    """Where the images of a task were saved, in their order; None for one that was not."""
    return [
        SavedPicture(Path(file), _levels(entry, file), sha256) if file else None
        for file, sha256 in zip_longest(entry.files, entry.file_hashes, fillvalue="")
    ]


def kept_originals(entry: Entry) -> list[SavedPicture | None]:
    """Where the images of a task were kept as they came; None for one that was saved so."""
    return [
        SavedPicture(Path(file), 0, sha256) if file else None for file, sha256 in entry.originals
    ]


def expiry_of(entry: Entry | None, vendor: Vendor, made_at: float | None = None) -> str | None:
    """Until when the vendor has the images, about; None when nobody knows how old they are."""
    made_at = entry.drawn_since if entry else made_at
    return utc(made_at + vendor.image_seconds) if made_at else None


def _levels(entry: Entry, file: str) -> int:
    """How many folders the name of a file has; none where it was only kept as it came."""
    is_original = any(file == kept for kept, _ in entry.originals)
    return 0 if is_original else name_of(entry.save_as or "").count("/")
