"""Fetching a finished picture. Its address needs no key, and none is sent."""

import anyio
import httpx

from runapi_mcp.api import bodies
from runapi_mcp.errors import Failure
from runapi_mcp.sockets import is_loopback

FETCH_SECONDS = 60.0
LARGEST_BYTES = 50_000_000


class NotFetched(Failure):
    """A picture that could not be read from its address."""


async def fetch(url: str) -> bytes:
    """The bytes at the address.

    Raises:
        NotFetched: no answer, an error, or more than any picture has.
    """
    try:
        # A proxy from the environment would be asked for the sandbox's pictures.
        with anyio.fail_after(FETCH_SECONDS):
            async with (
                httpx.AsyncClient(timeout=FETCH_SECONDS, trust_env=not is_loopback(url)) as client,
                client.stream("GET", url) as response,
            ):
                response.raise_for_status()
                return await bodies.read(response.aiter_bytes(), LARGEST_BYTES)
    except (httpx.HTTPError, TimeoutError, bodies.TooLarge) as error:
        raise NotFetched(
            f"The picture could not be fetched: {error or type(error).__name__}.",
            f"Open it in a browser: {url}",
        ) from error
    raise AssertionError("the picture is returned or an error raised")
