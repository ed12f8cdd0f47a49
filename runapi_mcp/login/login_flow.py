"""One login: from the address a person opens to the key in the config file."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

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
from runapi_mcp.base.printable import on_one_line
from runapi_mcp.base.settings import KEY_PAGE, Key, KeyFile
from runapi_mcp.base.sockets import is_loopback
from runapi_mcp.login import pages
from runapi_mcp.login.attempt import Attempt, this_machine
from runapi_mcp.login.listener import Callback, Listener, listening
from runapi_mcp.login.pages import Page
from runapi_mcp.providers.port import IssuedKey, LoginGrant, Upstream

LONGEST_REASON: Final = 200
_NO_KEY: Final = "RunAPI gave no key for this login"
_AGAIN: Final = "Nothing was saved. Log in again."


class NotLoggedIn(NotConfigured):
    """A login that ended without a key."""


class Denied(NotLoggedIn):
    """A login that a person denied."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A key that works is in the config file."""

    email: str | None
    balance_cents: float


class Login:
    """A login that waits for a person. `address` and `display_code` are for them to see."""

    def __init__(self, upstream: Upstream, key_file: KeyFile, listener: Listener) -> None:
        self.hostname = this_machine()
        self.port = listener.port
        self._attempt = listener.attempt
        self._upstream = upstream
        self._key_file = key_file
        self._listener = listener
        self.display_code = self._attempt.display_code
        self.over = False
        """Whether it takes no answer any more, although its last page may still be on its way."""
        self.address = self._attempt.address(upstream.base_url, listener.port, self.hostname)

    async def finished(self, seconds: float) -> LoggedIn:
        """Who is logged in, once the person has approved and the key is saved.

        Raises:
            Failure: the login came to nothing; the browser, if it was there, has shown why.
        """
        end = await self._shown_end(seconds)
        if isinstance(end, Failure):
            raise end
        return end

    async def _shown_end(self, seconds: float) -> LoggedIn | Failure:
        async with anyio.create_task_group() as group:
            group.start_soon(self._listener.serve)
            end = await self._end(seconds)
            self.over = True
            await self._listener.end(self._page(end))
            group.cancel_scope.cancel()
            return end
        raise AssertionError("the end leaves the block or an error does")

    async def _end(self, seconds: float) -> LoggedIn | Failure:
        try:
            granted = await self._granted(await self._callback(seconds))
            balance_cents = await verified(self._upstream, granted.key)
            await saved(self._key_file, granted.key)
        except Failure as failure:
            return failure
        return LoggedIn(granted.email, balance_cents)

    async def _callback(self, seconds: float) -> Callback:
        try:
            with anyio.fail_after(seconds):
                return await self._listener.callback()
        except TimeoutError as error:
            happened = f"Nobody approved the login within {seconds / 60:.0f} minutes."
            raise NotLoggedIn(happened, _AGAIN) from error

    async def _granted(self, callback: Callback) -> IssuedKey:
        if callback.error == "access_denied":
            raise Denied("The login was denied in the browser.", "Nothing was saved.")
        if callback.error:
            reason = _short(callback.description or callback.error)
            raise NotLoggedIn(f"RunAPI ended the login ({reason}).", _AGAIN)
        grant = LoginGrant(callback.code, self._attempt.verifier, self.port, self.hostname)
        try:
            granted = await self._upstream.exchange(grant)
        except ProviderFailure as failure:
            raise NotLoggedIn(f"{_NO_KEY}: {_why(failure)}.", _AGAIN) from failure
        if granted.key.secret is None:
            raise NotLoggedIn("What RunAPI gave for this login is no API key.", _AGAIN)
        return granted

    def _page(self, end: LoggedIn | Failure) -> Page:
        match end:
            case LoggedIn():
                return pages.logged_in(self.hostname, end.email)
            case Denied():
                return pages.denied()
            case _:
                return pages.failed(end)


@asynccontextmanager
async def opened(upstream: Upstream, key_file: KeyFile) -> AsyncGenerator[Login]:
    """A login that can begin: its address is known and answers once `finished` is called.

    Raises:
        NotConfigured: no key could be saved, or it would travel unprotected.
    """
    base_url = upstream.base_url
    if not base_url.startswith("https://") and not is_loopback(base_url):
        raise NotConfigured(
            f"No key is fetched from {base_url}: it is neither https nor this machine.",
            "Set RUNAPI_BASE_URL to an https address, or unset it.",
        )
    await anyio.to_thread.run_sync(key_file.require_usable)
    parts = urlsplit(base_url)
    async with listening(Attempt.new(), f"{parts.scheme}://{parts.netloc}") as listener:
        yield Login(upstream, key_file, listener)


async def verified(upstream: Upstream, key: Key) -> float:
    """The balance that the key opens, in US cents.

    Raises:
        NotLoggedIn: RunAPI does not accept the key, or could not be asked.
    """
    try:
        return (await upstream.provider(key).balance()).balance_cents
    except KeyRejected as failure:
        advice = f"Nothing was saved. Keys are at {KEY_PAGE}."
        raise NotLoggedIn(failure.happened, advice) from failure
    except ProviderFailure as failure:
        raise NotLoggedIn(failure.happened, f"Nothing was saved. {failure.advice}") from failure


async def saved(key_file: KeyFile, key: Key) -> None:
    """Nothing, once the key is in the file.

    Raises:
        NotConfigured: it could not be written.
    """
    if key.secret is not None:
        await anyio.to_thread.run_sync(key_file.save, key.secret)


def _why(failure: ProviderFailure) -> str:
    """RunAPI's words, unless they would be about an API key that nobody has yet."""
    if isinstance(failure, RequestRefused | RateLimited | ProviderDown):
        return failure.happened.rstrip(".")
    return f"HTTP {failure.answer.status}"


def _short(text: str) -> str:
    return " ".join(on_one_line(text).split())[:LONGEST_REASON].rstrip(".")
