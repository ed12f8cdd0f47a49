"""Who sells to one caller: RunAPI, and whom else this server has a key of."""

from collections.abc import Iterator, Sequence

from runapi_mcp.base.catalog.vendors import RUNAPI, Vendor, vendor_named
from runapi_mcp.base.errors import KeyMissing
from runapi_mcp.providers.port import Provider


class Sellers:
    def __init__(self, runapi: Provider, others: Sequence[Provider] = ()) -> None:
        """`others` have keys; RunAPI may have none."""
        self.runapi = runapi
        self._others = {other.vendor.name: other for other in others}

    @property
    def has_key(self) -> bool:
        """Whether the caller can pay anybody."""
        return self.runapi.has_key or bool(self._others)

    @property
    def caller_id(self) -> str:
        """Whose the orders are, at whomever: by the key of RunAPI, where there is one.

        Raises:
            KeyMissing: there is no key at all.
        """
        return next(iter(self.paid), self.runapi).caller_id

    @property
    def paid(self) -> Iterator[Provider]:
        """Those that there is a key of."""
        if self.runapi.has_key:
            yield self.runapi
        yield from self._others.values()

    def sells(self, vendor: str) -> bool:
        """Whether this caller can order from the vendor of a name, once there is a key."""
        return vendor == RUNAPI.name or vendor in self._others

    def of(self, vendor: str) -> Provider:
        """The one of a name; RunAPI also without a key.

        Raises:
            KeyMissing: this caller has no key there.
        """
        if vendor == RUNAPI.name:
            return self.runapi
        if vendor not in self._others:
            raise _no_key(vendor_named(vendor))
        return self._others[vendor]


def _no_key(vendor: Vendor) -> KeyMissing:
    return KeyMissing(
        f"There is no API key of {vendor.title} for this call.",
        f"Set {vendor.key_name} in the server's environment. Over HTTP it pays only with "
        "--share-key, for requests without a key of their own.",
    )
