"""HTTP/1.1 to one host over connections that stay open, as a transport for httpx.

Not httpx's own, which costs a look at a task six times as much: before and after each request its
pool asks the kernel about every connection that it has. Here only the one that is taken is asked,
and it is the one used last. How many requests are under way is the caller's affair.
"""

import selectors
import ssl
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import anyio
import h11
import httpx
from anyio.abc import ByteStream, SocketAttribute

RESTING_SECONDS: Final = 5.0
"""A connection that rests longer may be about to be closed at the other end."""
_CONNECT_SECONDS: Final = 5.0
_MOST_BYTES: Final = 65_536
_LARGEST_HEAD_BYTES: Final = 100_000
# Where there is one, because select itself takes no number above 1,023.
_Selector: Final = getattr(selectors, "PollSelector", selectors.SelectSelector)


@dataclass(slots=True, eq=False)
class _Link:
    """A connection, and where its conversation stands."""

    stream: ByteStream
    http: h11.Connection = field(
        default_factory=lambda: h11.Connection(
            h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD_BYTES
        )
    )
    rests_since: float = 0.0

    async def send(self, request: httpx.Request) -> None:
        head = h11.Request(
            method=request.method,
            target=request.url.raw_path,
            headers=request.headers.raw,
        )
        events = [head, h11.Data(await request.aread()), h11.EndOfMessage()]
        # At once, so that a small request is one packet.
        await self.stream.send(b"".join(self.http.send(event) or b"" for event in events))

    async def next_event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                assert not isinstance(event, type) or event is h11.PAUSED  # noqa: S101 - the rest
                return event
            self.http.receive_data(await self._receive())

    async def _receive(self) -> bytes:
        try:
            return await self.stream.receive(_MOST_BYTES)
        except anyio.EndOfStream:
            return b""

    def may_be_used_again(self) -> bool:
        """Whether its answer is over, and all that came; then it is ready for the next request."""
        is_over = self.http.our_state is h11.DONE and self.http.their_state is h11.DONE
        if not is_over or self.http.trailing_data[0]:
            return False
        self.http.start_next_cycle()
        return True

    def is_silent(self) -> bool:
        """Whether the other end has neither closed it nor said anything unasked."""
        with _Selector() as selector:
            raw_socket = self.stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - no SQL
            selector.register(raw_socket, selectors.EVENT_READ)
            return not selector.select(0)

    async def close(self) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(self.stream)


class KeepAliveTransport(httpx.AsyncBaseTransport):
    def __init__(self, base_url: httpx.URL, trust: ssl.SSLContext | None) -> None:
        """`trust` proves who answers; None for plain http."""
        self._host = base_url.host
        self._port = base_url.port or (443 if trust else 80)
        self._trust = trust
        self._resting: list[_Link] = []
        """The one used last at the end."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        link = await self._take_resting() or await self._connect()
        try:
            response = await self._exchange(link, request)
        except BaseException:
            await link.close()
            raise
        return httpx.Response(
            response.status_code,
            headers=response.headers.raw_items(),
            stream=_Body(self, link),
        )

    async def aclose(self) -> None:
        while self._resting:
            await self._resting.pop().close()

    async def give_back(self, link: _Link) -> None:
        """An answer is over, or nobody wants the rest of it."""
        if not link.may_be_used_again():
            await link.close()
            return
        link.rests_since = anyio.current_time()
        self._resting.append(link)
        await self._close_old()

    async def _take_resting(self) -> _Link | None:
        while self._resting:
            link = self._resting.pop()
            if anyio.current_time() - link.rests_since < RESTING_SECONDS and link.is_silent():
                return link
            await link.close()
        return None

    async def _close_old(self) -> None:
        """So that a crowd that has gone leaves no connections behind."""
        oldest = self._resting[0]
        if anyio.current_time() - oldest.rests_since >= RESTING_SECONDS:
            del self._resting[0]
            await oldest.close()

    async def _connect(self) -> _Link:
        try:
            with anyio.fail_after(_CONNECT_SECONDS):
                stream = await anyio.connect_tcp(
                    self._host,
                    self._port,
                    tls=self._trust is not None,
                    ssl_context=self._trust,
                    # What is framed by HTTP needs no end of TLS, and many a server sends none.
                    tls_standard_compatible=False,
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout("no connection in time") from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        return _Link(stream)

    async def _exchange(self, link: _Link, request: httpx.Request) -> h11.Response:
        with _as_httpx(), _even_if_refused_early():
            await link.send(request)
        with _as_httpx():
            while True:
                event = await link.next_event()
                if isinstance(event, h11.Response):
                    return event
                if not isinstance(event, h11.InformationalResponse):
                    raise httpx.RemoteProtocolError("no answer came")


class _Body(httpx.AsyncByteStream):
    def __init__(self, transport: KeepAliveTransport, link: _Link) -> None:
        self._transport = transport
        self._link: _Link | None = link

    async def __aiter__(self) -> AsyncIterator[bytes]:
        link = self._link
        assert link is not None  # noqa: S101 - nobody reads what is closed
        with _as_httpx():
            while isinstance(event := await link.next_event(), h11.Data):
                yield bytes(event.data)

    async def aclose(self) -> None:
        if self._link is not None:
            link, self._link = self._link, None
            await self._transport.give_back(link)


@contextmanager
def _as_httpx() -> Generator[None]:
    """What breaks, in httpx's words."""
    try:
        yield
    except (h11.RemoteProtocolError, h11.LocalProtocolError) as error:
        raise httpx.RemoteProtocolError(str(error)) from error
    except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
        raise httpx.ReadError(str(error) or "the connection broke") from error


@contextmanager
def _even_if_refused_early() -> Generator[None]:
    """A server may answer, and close, before it has read all of a request."""
    with suppress(OSError, anyio.BrokenResourceError):
        yield
