"""A bucket of S3, or of what speaks its protocol, through obstore."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore import exceptions

from runapi_mcp.images.bucket import ADDRESS_SECONDS, BucketUnusable

if TYPE_CHECKING:
    from obstore.store import MemoryStore, S3Store

LEFT_ALONE_SECONDS: Final = 30.0
"""So long a bucket that did not answer is not asked: calls would each wait for it, and in vain."""
_TIMEOUT: Final = timedelta(seconds=10)
_SILENT: Final = "The bucket cannot be used just now."
_ADVICE: Final = "Whoever runs this server looks at RUNAPI_PICTURES and the AWS_ variables."


class ObstoreBucket:
    """Credentials, region and endpoint are the `AWS_*` variables', as of any program for S3."""

    def __init__(
        self, store: S3Store | MemoryStore | str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """A store, or the `s3://bucket/prefix` of one, which is opened when it is needed."""
        self._given = store
        self._clock = clock
        self._asked_again_at = -math.inf

    def names(self, folder: str) -> Sequence[str]:
        with self._explained():
            listed = obstore.list(self._store, prefix=folder, return_arrow=False)  # pyright: ignore[reportUnknownMemberType] - of its overloads for Arrow
            return [meta["path"].rpartition("/")[2] for chunk in listed for meta in chunk]

    def read(self, key: str, most_bytes: int) -> bytes:
        with self._explained():
            got = obstore.get(self._store, key)
            # Whoever may write into the bucket could have put anything there.
            if got.meta["size"] > most_bytes:
                return obstore.get_range(self._store, key, start=0, length=most_bytes).to_bytes()
            return got.bytes().to_bytes()

    def create(self, key: str, content: bytes | Path, media_type: str) -> bool:
        try:
            with self._explained():
                attributes = {"Content-Type": media_type}
                # In one part: what is put in several has no condition.
                obstore.put(
                    self._store,
                    key,
                    content,
                    attributes=attributes,
                    mode="create",
                    use_multipart=False,
                )
        except _Taken:
            return False
        return True

    def address(self, key: str) -> str:
        from obstore.store import MemoryStore

        store = self._store
        if isinstance(store, MemoryStore):
            return f"memory:///{key}"
        with self._explained():
            return obstore.sign(store, "GET", key, timedelta(seconds=ADDRESS_SECONDS))

    @cached_property
    def _store(self) -> S3Store | MemoryStore:
        if not isinstance(self._given, str):
            return self._given
        from obstore.store import S3Store

        with self._explained():
            return S3Store.from_url(
                self._given,
                # Over https all the same, unless the endpoint that is set begins with http:.
                client_options={"timeout": _TIMEOUT, "allow_http": True},
                retry_config={"max_retries": 2, "retry_timeout": _TIMEOUT},
            )

    @contextmanager
    def _explained(self) -> Generator[None]:
        if self._clock() < self._asked_again_at:
            raise BucketUnusable(_SILENT, _ADVICE)
        # What the store says itself names keys, addresses and accounts: it is left out.
        try:
            yield
        except exceptions.AlreadyExistsError as error:
            raise _Taken from error
        except (
            PermissionError,
            exceptions.PermissionDeniedError,
            exceptions.UnauthenticatedError,
        ) as error:
            raise BucketUnusable("The bucket refuses this server.", _ADVICE) from error
        except FileNotFoundError as error:
            raise BucketUnusable("The bucket, or an object of it, is gone.", _ADVICE) from error
        except (exceptions.BaseError, OSError) as error:
            self._asked_again_at = self._clock() + LEFT_ALONE_SECONDS
            raise BucketUnusable(_SILENT, _ADVICE) from error


class _Taken(Exception):
    """There is an object of this key."""
