"""What is said of a request that pays when nobody knows whether its vendor has taken it."""

from typing import Final

from runapi_mcp.base.catalog.vendors import Vendor, vendor_named
from runapi_mcp.base.errors import ProviderFailure
from runapi_mcp.orders.ledger import Entry

_ASKED_AGAIN: Final = "The same call asks again, under the same key."
_SAME_CALL_ASKS: Final = (
    "Call again with the same arguments: that asks under the same idempotency key, so nothing is "
    "charged twice."
)
_LOOKED_FOR: Final = (
    "Call again with the same arguments in two minutes: that looks for it at {vendor} by its "
    "reference, and pays anew only once it is certain that it was not made."
)


class OutOfSight(ProviderFailure):
    """A doubt that is a day old, and that its vendor's list could not settle meanwhile."""

    in_doubt = True


def in_doubt(entry: Entry, happened: str) -> ProviderFailure:
    vendor = vendor_named(entry.vendor)
    advice = _ASKED_AGAIN if vendor.repeats_safely else doubt_advice(vendor)
    failure = ProviderFailure(happened, advice)
    failure.in_doubt = True
    return failure


def not_answered_yet(entry: Entry) -> str:
    return f"{vendor_named(entry.vendor).title} has not answered yet."


def doubt_advice(vendor: Vendor) -> str:
    """What to do about a doubt, and why that is not charged twice."""
    return _SAME_CALL_ASKS if vendor.repeats_safely else _LOOKED_FOR.format(vendor=vendor.title)


def given_up_words(vendor: Vendor, moment: str) -> str:
    """What the answer says of a call in doubt in whose place another was paid."""
    return (
        f"The identical call of {moment} may have been charged as well: {vendor.title} never "
        "answered it, and its list could not tell for a day."
    )
