"""A person's yes to one purchase at one price, so that it cannot be forged or used twice.

The question carries the purchase's idempotency key and price, sealed with the caller's own API key;
the answer must bring them back. No process has to remember the question.
"""

import math
from dataclasses import replace

from runapi_mcp.orders.purchase import Purchase, new_key
from runapi_mcp.providers.port import Provider

_UNKNOWN = "unknown"


def question_for(provider: Provider, purchase: Purchase) -> str:
    """What a yes to this purchase has to bring back: a key that was never used, and the price."""
    key, cents = new_key(), purchase.total.cents
    price = _UNKNOWN if cents is None else repr(float(cents))
    seal = provider.seal(f"{purchase.fingerprint} {key} {price}")
    return f"{key} {price} {seal}"


def approve(provider: Provider, purchase: Purchase, answer: str | None) -> Purchase:
    """The purchase, agreed to and under the key of the question, if the answer is a yes to it."""
    key, _, rest = (answer or "").partition(" ")
    price, _, seal = rest.partition(" ")
    if seal != provider.seal(f"{purchase.fingerprint} {key} {price}"):
        return purchase
    cents, most = purchase.total.cents, math.inf if price == _UNKNOWN else float(price)
    affordable = most == math.inf if cents is None else cents <= most
    return replace(purchase, key=key, is_agreed=True) if affordable else purchase
