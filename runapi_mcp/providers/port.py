"""What the program needs of whoever sells pictures: all above is written against this."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from runapi_mcp.base.catalog import Variant
from runapi_mcp.base.catalog.balance import Balance
from runapi_mcp.base.catalog.price import Price
from runapi_mcp.base.catalog.task import Task
from runapi_mcp.base.catalog.vendors import Vendor
from runapi_mcp.base.settings import Key

CREATE_SECONDS: Final = 40.0
"""How long a create may take with all its repeats, where the caller has no shorter time."""

PricedCall = tuple[Variant, str | None]
"""A variant at an output resolution, or with none."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that the provider holds. `expires_at` is ISO 8601, where it says so."""

    url: str
    expires_at: str | None


Find = Callable[[str], Awaitable[Task | None]]
"""Finds the task that was created under a key; None says that a complete list is without it.

Raises:
    ProviderFailure: the list could not be read, or not be read to its end.
"""


class Provider(Protocol):
    """Whoever sells pictures, as one caller sees them. Money is in US cents."""

    @property
    def vendor(self) -> Vendor: ...

    @property
    def has_key(self) -> bool: ...

    @property
    def caller_id(self) -> str:
        """Who pays, without telling the key: the same for the same key at the same provider.

        Raises:
            KeyMissing: there is no key.
        """
        ...

    def require_key(self) -> None:
        """
        Raises:
            KeyMissing: there is no key to pay with; it says how to get and set one.
        """
        ...

    def seal(self, text: str) -> str:
        """A signature of the text that only who has the caller's key can make."""
        ...

    async def prices(self, calls: Sequence[PricedCall]) -> Sequence[Price]:
        """The exact price of each call: live, else from the snapshot, else unknown.

        Needs no key, never fails, and takes four seconds at most.
        """
        ...

    def has_prices(self, calls: Sequence[PricedCall]) -> bool:
        """Whether `prices` tells them at once, from memory."""
        ...

    async def check(self, variant: Variant, arguments: Mapping[str, object]) -> None:
        """Return where nothing that the vendor publishes is against a call.

        Nothing is sent for it that pays, and it takes four seconds at most.

        Raises:
            Refused: the vendor does not sell that.
        """
        ...

    def request_body(self, variant: Variant, arguments: Mapping[str, object]) -> str:
        """The very text that a create sends: the same for the same arguments in the same order."""
        ...

    async def create(
        self,
        variant: Variant,
        body: str,
        idempotency_key: str,
        total_seconds: float = CREATE_SECONDS,
        *,
        before_send: Callable[[], Awaitable[None]] | None = None,
        in_doubt: bool = False,
    ) -> Task:
        """A new task, paid once however often the request has to be repeated.

        Where the vendor knows no idempotency keys, it is sent once, with the key as the caller's
        own reference.

        An attempt is seen through although the caller leaves meanwhile, and so is a doubt.
        `before_send` is awaited before each attempt, right before bytes can leave; what it raises
        ends the create. `in_doubt` says that the key may have been used for this very task before.

        Raises:
            ProviderFailure: no task is known; `in_doubt` says whether there may be one.
        """
        ...

    @property
    def find(self) -> Find | None:
        """Finds what was created under a key, where a create must not be repeated.

        None where the vendor charges a create once however often it is sent under its key.
        """
        ...

    async def read(
        self,
        task_id: str,
        variant: Variant | None = None,
        urgency: Callable[[], float] | None = None,
    ) -> Task:
        """The task now. A failed read is not repeated: whoever follows a task asks again anyway.

        `urgency` tells from 0 to 1 how much it matters to go before the caller's other reads.

        Raises:
            TaskNotFound: this caller has no such task.
            ProviderFailure: it could not be read.
        """
        ...

    async def upload(self, name: str, content: bytes, media_type: str) -> UploadedFile:
        """Local bytes, where the provider can read them for about an hour.

        Raises:
            ProviderFailure: they did not get there; nothing was paid.
        """
        ...

    async def balance(self) -> Balance:
        """
        Raises:
            ProviderFailure: the key was rejected, or the account could not be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class LoginGrant:
    """What a browser brought back from a login, and the verifier that proves the login ours."""

    code: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_port: int
    hostname: str


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key that a login gave, and whose it is as far as that is told."""

    key: Key
    email: str | None


class Upstream(Protocol):
    """Whoever sells pictures, before it is known who calls."""

    @property
    def base_url(self) -> str:
        """Where it is reached, without a slash at the end."""
        ...

    def provider(self, key: Key) -> Provider: ...

    async def exchange(self, grant: LoginGrant) -> IssuedKey:
        """The key of a login that a person approved; a grant works once.

        Raises:
            ProviderFailure: it was refused, failed or could not be reached.
        """
        ...

    async def aclose(self) -> None: ...
