"""A server that speaks S3's protocol on this machine, and a bucket on it."""

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import obstore
from moto.server import ThreadedMotoServer
from obstore.store import MemoryStore, S3Store


@dataclass(frozen=True, slots=True)
class S3Server:
    url: str
    bucket: str

    @property
    def environment(self) -> Mapping[str, str]:
        """What sends any program for S3 here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "an-id-of-the-tests",
            "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-tests",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
        }


def keys_in(store: MemoryStore | S3Store) -> list[str]:
    listed = obstore.list(store, return_arrow=False)  # pyright: ignore[reportUnknownMemberType] - of its overloads for Arrow
    return sorted(meta["path"] for chunk in listed for meta in chunk)


@contextmanager
def s3_server(bucket: str = "pictures-of-the-tests") -> Generator[S3Server]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        httpx.put(f"{url}/{bucket}").raise_for_status()
        yield S3Server(url, bucket)
    finally:
        server.stop()
