"""A sandbox that servers cannot tell from RunAPI: it has a name, and is not on their machine."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import SocketAttribute, SocketStream

from runapi_mcp.base.sockets import listen
from tests.support.certificates import FAR_RUNAPI, Certificate
from tests.support.forward_proxy import ForwardProxy
from tests.support.processes import Network, served_on


@asynccontextmanager
async def far_runapi(net: Network, certificate: Certificate) -> AsyncGenerator[Mapping[str, str]]:
    """What sends a server there: by its name, over TLS, and through the company's proxy."""
    with listen("127.0.0.1", 0) as sock:
        async with (
            served_on(sock, net, certificate.path),
            _forwarding(sock.getsockname()[1]) as port,
        ):
            yield {
                "RUNAPI_BASE_URL": f"https://{FAR_RUNAPI}",
                "HTTPS_PROXY": f"http://127.0.0.1:{port}",
                "SSL_CERT_FILE": str(certificate.path),
            }


@asynccontextmanager
async def _forwarding(target: int) -> AsyncGenerator[int]:
    """The port of a proxy to another one."""
    proxy = ForwardProxy(target)

    async def serve(stream: SocketStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.EndOfStream):
            async with stream:
                await proxy(stream)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = int(listener.extra(SocketAttribute.local_port))  # noqa: S610 - not Django's
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        try:
            yield port
        finally:
            group.cancel_scope.cancel()
