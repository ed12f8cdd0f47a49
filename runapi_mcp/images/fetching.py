"""Fetching a finished picture. Its address needs no key, and none is sent."""

import httpx

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
        async with (
            httpx.AsyncClient(timeout=FETCH_SECONDS, trust_env=not is_loopback(url)) as client,
            client.stream("GET", url) as response,
        ):
            response.raise_for_status()
            return await _bounded(response)
    except httpx.HTTPError as error:
        raise NotFetched(
            f"The picture could not be fetched: {error}.", f"Open it in a browser: {url}"
        ) from error


async def _bounded(response: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > LARGEST_BYTES:
            raise NotFetched(
                f"The picture has more than {LARGEST_BYTES} bytes.",
                f"Open it in a browser: {response.url}",
            )
    return bytes(content)
