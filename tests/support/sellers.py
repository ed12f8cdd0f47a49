"""Who sells in a test: its tool, its key, its part of the sandbox."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from runapi_mcp.base.catalog import VARIANTS, Variant
from runapi_mcp.base.catalog.runflow_variants import RUNFLOW_VARIANTS
from runapi_mcp.base.catalog.vendors import RUNAPI, RUNFLOW, Vendor
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import Key
from runapi_mcp.providers.port import Provider
from runapi_mcp.providers.runflow import Runflow
from runapi_mcp.sandbox.accounts import Account
from runapi_mcp.sandbox.app import Sandbox
from runapi_mcp.sandbox.faults import Faults
from runapi_mcp.sandbox.runflow import RUNFLOW_PREFIX


@dataclass(frozen=True, slots=True, eq=False)
class Seller:
    """`part_of` is its part of a sandbox: with `accounts`, and with `faults` to be injected."""

    vendor: Vendor
    tool: str
    key: str
    prefix: str
    """Where its part of the sandbox begins."""
    part_of: Callable[[Sandbox], Any]  # Any: the two parts share no class, only these two names
    reference_of: Callable[[Mapping[str, str], bytes], str | None]
    """The key that the headers or the body of a create name it by; None of any other request."""
    task_of: Callable[[Sandbox, str], str | None]
    """The task that the sandbox made under a key."""
    variants: Sequence[Variant]
    """What a server knows that has its key."""
    others: Callable[[httpx.AsyncBaseTransport, str], Sequence[Provider]]
    """Who sells beside RunAPI, over this network, where the sandbox has this address."""
    sizes: Mapping[str, Mapping[str, str]]
    """How its tool is asked for a cheap size and for a dear one."""

    def __repr__(self) -> str:
        return self.vendor.name

    def account(self, sandbox: Sandbox, key: str | None = None) -> Account[Any]:
        """The account of a key, or of the tests' own."""
        return self.part_of(sandbox).accounts.of(key or self.key)

    def faults(self, sandbox: Sandbox) -> Faults:
        return self.part_of(sandbox).faults


def _nobody(wire: httpx.AsyncBaseTransport, base_url: str) -> Sequence[Provider]:
    return ()


def _runflow(wire: httpx.AsyncBaseTransport, base_url: str) -> Sequence[Provider]:
    key = Key(SecretStr(RUNFLOW_SELLER.key))
    return (Runflow(f"{base_url}{RUNFLOW_PREFIX}", key, wire),)


def _run_of(sandbox: Sandbox, reference: str) -> str | None:
    runs = RUNFLOW_SELLER.account(sandbox).tasks.values()
    return next((run.id for run in runs if run.client_ref == reference), None)


def _idempotency_key(headers: Mapping[str, str], _: bytes) -> str | None:
    return headers.get("idempotency-key")


def _client_ref(_: Mapping[str, str], body: bytes) -> str | None:
    return json.loads(body).get("client_ref") if b'"client_ref"' in body else None


RUNAPI_SELLER: Final = Seller(
    vendor=RUNAPI,
    tool="flux_2_pro_text_to_image",
    key="sandbox-key-of-the-tests",
    prefix="",
    part_of=lambda sandbox: sandbox,
    reference_of=_idempotency_key,
    variants=VARIANTS,
    others=_nobody,
    task_of=lambda sandbox, key: sandbox.idempotency_keys.task_of(RUNAPI_SELLER.key, key),
    sizes={"1k": {"output_resolution": "1k"}, "2k": {"output_resolution": "2k"}},
)
RUNFLOW_SELLER: Final = Seller(
    vendor=RUNFLOW,
    tool="runflow_flex_text_to_image",
    key="rf_live_sandbox_of_the_tests",
    prefix=RUNFLOW_PREFIX,
    part_of=lambda sandbox: sandbox.runflow,
    reference_of=_client_ref,
    variants=(*VARIANTS, *RUNFLOW_VARIANTS),
    others=_runflow,
    task_of=_run_of,
    sizes={"1k": {}, "2k": {"image_size": "1920x1080"}},
)
SELLERS: Final = (RUNAPI_SELLER, RUNFLOW_SELLER)
