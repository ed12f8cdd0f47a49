"""What pictures need of an object store, where servers share no disk. All of it blocks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from runapi_mcp.base.errors import Failure

ADDRESS_SECONDS: Final = 600
"""How long an address of the bucket works: long enough to be followed, not to be passed around."""


class BucketUnusable(Failure):
    """It cannot be reached, or lets this server not do what it wants."""


class Bucket(Protocol):
    """Objects by their keys, such as `owner/set/fox.png`.

    Every method may raise `BucketUnusable`.
    """

    def names(self, folder: str) -> Sequence[str]:
        """The last parts of the keys in a folder."""
        ...

    def read(self, key: str, most_bytes: int) -> bytes:
        """All of an object, or its beginning."""
        ...

    def create(self, key: str, content: bytes | Path, media_type: str) -> bool:
        """Whether the object is new; where there is one of this key, that one stays as it is."""
        ...

    def address(self, key: str) -> str:
        """Where anybody gets the object for a while, without this server."""
        ...
