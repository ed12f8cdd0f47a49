"""A bucket of S3, or of what speaks its protocol, through obstore."""

from __future__ import annotations

from collections.abc import Generator, Sequence
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

_TIMEOUT: Final = timedelta(seconds=20)
_ADVICE: Final = "Whoever runs this server looks at RUNAPI_PICTURES and the AWS_ variables."


class ObstoreBucket:
    """Credentials, region and endpoint are the `AWS_*` variables', as of any program for S3."""

    def __init__(self, store: S3Store | MemoryStore | str) -> None:
        """A store, or the `s3://bucket/prefix` of one, which is opened when it is needed."""
        self._given = store

    def names(self, folder: str) -> Sequence[str]:
        with _explained():
            listed = obstore.list(self._store, prefix=folder, return_arrow=False)  # pyright: ignore[reportUnknownMemberType] - of its overloads for Arrow
            return [meta["path"].rpartition("/")[2] for chunk in listed for meta in chunk]

    def read(self, key: str, most_bytes: int) -> bytes:
        with _explained():
            got = obstore.get(self._store, key)
            # Whoever may write into the bucket could have put anything there.
            if got.meta["size"] > most_bytes:
                return obstore.get_range(self._store, key, start=0, length=most_bytes).to_bytes()
            return got.bytes().to_bytes()

    def create(self, key: str, content: bytes | Path, media_type: str) -> bool:
        try:
            with _explained():
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
        with _explained():
            return obstore.sign(store, "GET", key, timedelta(seconds=ADDRESS_SECONDS))

    @cached_property
    def _store(self) -> S3Store | MemoryStore:
        if not isinstance(self._given, str):
            return self._given
        from obstore.store import S3Store

        with _explained():
            return S3Store.from_url(
                self._given,
                # Over https all the same, unless the endpoint that is set begins with http:.
                client_options={"timeout": _TIMEOUT, "allow_http": True},
                retry_config={"max_retries": 2, "retry_timeout": _TIMEOUT},
            )


class _Taken(Exception):
    """There is an object of this key."""


@contextmanager
def _explained() -> Generator[None]:
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
        raise BucketUnusable("The bucket, or an object of it, is not there.", _ADVICE) from error
    except (exceptions.BaseError, OSError) as error:
        raise BucketUnusable("The bucket cannot be used just now.", _ADVICE) from error
