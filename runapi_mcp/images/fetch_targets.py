"""What a fetch that failed is told as."""

import httpx

from runapi_mcp.base.errors import Failure
from runapi_mcp.outbound.targets import Barred, BrokenOff, Unreached, quotable_host


class NotFetched(Failure):
    """An image that could not be read from its address."""


class AddressRefused(NotFetched):
    """An image at an address that nobody should go to: nobody is told it either."""


class NotThereYet(NotFetched):
    """An image that another try may find."""


class NotAtItsAddress(NotThereYet):
    """An image that is not where it should be: not yet, or not any more."""


def fetch_failure(
    url: httpx.URL, reason: str, advice: str, kind: type[NotFetched] = NotFetched
) -> NotFetched:
    """The failure of a URL that was gone to, in vain."""
    place = quotable_host(url) or "its address"
    return kind(f"The image could not be fetched from {place}: {reason}.", advice)


def to_not_fetched(failure: Unreached) -> NotFetched:
    """The same failure, said of an image."""
    place = f" from {failure.host}" if failure.host else ""
    if isinstance(failure, Barred):
        happened = f"No image is fetched{place}: {failure.reason}."
        return AddressRefused(happened, failure.advice)
    kind = NotThereYet if isinstance(failure, BrokenOff) else NotFetched
    return kind(f"The image could not be fetched{place}: {failure.reason}.", failure.advice)
