"""The addresses of the paid part of the contract: one for each action of a service."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from runapi_mcp.base.catalog import Action, Variant


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where tasks of one service and action are made and read, and the variants it sells."""

    service: str
    action: Action
    variants: tuple[Variant, ...]

    @property
    def path(self) -> str:
        return f"/api/v1/{self.service}/{self.action}"


def endpoints_of(variants: Iterable[Variant]) -> tuple[Endpoint, ...]:
    sold: defaultdict[tuple[str, Action], list[Variant]] = defaultdict(list)
    for variant in variants:
        sold[variant.service, variant.action].append(variant)
    return tuple(Endpoint(*at, tuple(those)) for at, those in sold.items())
