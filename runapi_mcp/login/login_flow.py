"""One login: from the address a person opens to the key in the config file."""

import base64
import hashlib
import platform
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import urlencode, urlsplit

import anyio
import anyio.to_thread

from runapi_mcp.base.errors import (
    Failure,
    KeyRejected,
    NotConfigured,
    ProviderDown,
    ProviderFailure,
    RateLimited,
    RequestRefused,
)
from runapi_mcp.base.redaction import quote
from runapi_mcp.base.secret import SecretStr
from runapi_mcp.base.settings import KEY_PAGE, Key
from runapi_mcp.base.settings.key_file import KeyFile
from runapi_mcp.base.urls import is_loopback
from runapi_mcp.login import pages
from runapi_mcp.login.listener import CallbackListener, LoginCallback, open_listener
from runapi_mcp.login.pages import Page
from runapi_mcp.providers.port import IssuedKey, LoginGrant, Upstream

SECRET_BYTES: Final = 32
LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without those that are taken for one another."""
LONGEST_HOSTNAME: Final = 64
LONGEST_REASON: Final = 200
_NO_KEY: Final = "RunAPI gave no key for this login"
_AGAIN: Final = "Nothing was saved. Log in again."


@dataclass(frozen=True, slots=True)
class Attempt:
    """What only this attempt knows. Its address tells the state and the challenge, no more."""

    state: str = field(repr=False)
    verifier: str = field(repr=False)
    display_code: str

    @classmethod
    def new(cls) -> Self:
        state, verifier = (secrets.token_urlsafe(SECRET_BYTES) for _ in range(2))
        letters = [secrets.choice(LETTERS) for _ in range(8)]
        return cls(state, verifier, f"{''.join(letters[:4])}-{''.join(letters[4:])}")

    def address(self, base_url: str, redirect_port: int, hostname: str) -> str:
        """Where a person approves it."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        query = {
            "state": self.state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "redirect_port": redirect_port,
            "display_code": self.display_code,
            "hostname": hostname,
        }
        return f"{base_url}/cli/authorize?{urlencode(query)}"


def machine_name() -> str:
    """This machine's name, as a header can carry it."""
    name = "".join(letter for letter in platform.node() if " " <= letter <= "~")
    return name.strip()[:LONGEST_HOSTNAME] or "this machine"


class NotLoggedIn(NotConfigured):
    """A login that ended without a key."""


class Denied(NotLoggedIn):
    """A login that a person denied."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A key that works is in the config file."""

    email: str | None
    balance_cents: float


class KeyKeeper:
    """Saves a key of an upstream, where it will be sent to no other address."""

    def __init__(self, upstream: Upstream, key_file: KeyFile, kept_url: str | None) -> None:
        self._upstream = upstream
        self._key_file = key_file
        self._kept_url = kept_url
        """The address that is kept with it, because a person named it; None for none."""

    def require_effect(self) -> None:
        """Nothing, where a key that is saved can be used: asked before a person is bothered.

        Raises:
            NotConfigured: it could not be saved, or would not be sent to this address.
        """
        self._key_file.require_usable()
        base_url = self._upstream.base_url
        if not self._kept_url and not self._key_file.is_for(base_url):
            raise NotConfigured(
                f"A login at {base_url} would have no effect: a saved key is not sent to an "
                "address that only the environment names.",
                f"If you trust it, run `runapi-mcp login --base-url {base_url}`, which keeps both "
                "together; else unset RUNAPI_BASE_URL.",
            )

    async def keep(self, key: Key) -> float:
        """Save a key that works; returns the balance that it opens, in US cents.

        Raises:
            NotLoggedIn: RunAPI does not accept the key, or could not be asked.
            NotConfigured: it could not be written.
        """
        try:
            balance = await self._upstream.provider(key).balance()
        except KeyRejected as failure:
            advice = f"Nothing was saved. Keys are at {KEY_PAGE}."
            raise NotLoggedIn(failure.happened, advice) from failure
        except ProviderFailure as failure:
            raise NotLoggedIn(failure.happened, f"Nothing was saved. {failure.advice}") from failure
        if key.secret is not None:
            await anyio.to_thread.run_sync(self._save, key.secret)
        return balance.balance_cents

    def _save(self, key: SecretStr) -> None:
        # An address that stands there is another key's.
        follows = self._key_file.names_another(self._upstream.base_url)
        self._key_file.save(key, self._upstream.base_url if follows else self._kept_url)


class Login:
    """A login that waits for a person. `address` and `display_code` are for them to see."""

    def __init__(
        self, upstream: Upstream, keeper: KeyKeeper, attempt: Attempt, listener: CallbackListener
    ) -> None:
        self._upstream = upstream
        self._keeper = keeper
        self._listener = listener
        self._attempt = attempt
        self.hostname = machine_name()
        self.port = listener.port
        self.display_code = attempt.display_code
        self.address = attempt.address(upstream.base_url, self.port, self.hostname)
        self.over = False
        """Whether it takes no answer any more, although its last page may still be on its way."""

    async def complete(self, seconds: float) -> LoggedIn:
        """Who is logged in, once the person has approved and the key is saved.

        Raises:
            Failure: the login came to nothing; the browser, if it was there, has shown why.
        """
        end = await self._serve(seconds)
        if isinstance(end, Failure):
            raise end
        return end

    async def _serve(self, seconds: float) -> LoggedIn | Failure:
        async with anyio.create_task_group() as group:
            group.start_soon(self._listener.serve)
            end = await self._log_in(seconds)
            self.over = True
            await self._listener.show_end(self._page(end))
            group.cancel_scope.cancel()
            return end
        raise AssertionError("the end leaves the block or an error does")

    async def _log_in(self, seconds: float) -> LoggedIn | Failure:
        try:
            issued = await self._exchange(await self._wait_for_callback(seconds))
            balance_cents = await self._keeper.keep(issued.key)
        except Failure as failure:
            return failure
        return LoggedIn(issued.email, balance_cents)

    async def _wait_for_callback(self, seconds: float) -> LoginCallback:
        try:
            with anyio.fail_after(seconds):
                return await self._listener.wait_for_callback()
        except TimeoutError as error:
            happened = f"Nobody approved the login within {seconds / 60:.0f} minutes."
            raise NotLoggedIn(happened, _AGAIN) from error

    async def _exchange(self, callback: LoginCallback) -> IssuedKey:
        if callback.error == "access_denied":
            raise Denied("The login was denied in the browser.", "Nothing was saved.")
        if callback.error:
            reason = quote(callback.description or callback.error, LONGEST_REASON)
            raise NotLoggedIn(f"RunAPI ended the login (RunAPI says: {reason}).", _AGAIN)
        grant = LoginGrant(callback.code, self._attempt.verifier, self.port, self.hostname)
        try:
            issued = await self._upstream.exchange(grant)
        except ProviderFailure as failure:
            raise NotLoggedIn(f"{_NO_KEY}: {_reason(failure)}.", _AGAIN) from failure
        if issued.key.secret is None:
            raise NotLoggedIn("What RunAPI gave for this login is no API key.", _AGAIN)
        return issued

    def _page(self, end: LoggedIn | Failure) -> Page:
        match end:
            case LoggedIn():
                return pages.success_page(self.hostname, end.email)
            case Denied():
                return pages.DENIED
            case _:
                return pages.failure_page(end)


@asynccontextmanager
async def open_login(
    upstream: Upstream, key_file: KeyFile, kept_url: str | None = None
) -> AsyncGenerator[Login]:
    """A login that can begin: its address is known and answers once `complete` is called.

    Raises:
        NotConfigured: no key could be saved or used, or it would travel unprotected.
    """
    base_url, keeper = upstream.base_url, KeyKeeper(upstream, key_file, kept_url)
    if not base_url.startswith("https://") and not is_loopback(base_url):
        raise NotConfigured(
            f"No key is fetched from {base_url}: it is neither https nor this machine.",
            "Set RUNAPI_BASE_URL to an https address, or unset it.",
        )
    await anyio.to_thread.run_sync(keeper.require_effect)
    parts, attempt = urlsplit(base_url), Attempt.new()
    async with open_listener(attempt.state, f"{parts.scheme}://{parts.netloc}") as listener:
        yield Login(upstream, keeper, attempt, listener)


def _reason(failure: ProviderFailure) -> str:
    """RunAPI's words, unless they would be about an API key that nobody has yet."""
    if isinstance(failure, RequestRefused | RateLimited | ProviderDown):
        return failure.happened.rstrip(".")
    return f"HTTP {failure.answer.status}"
