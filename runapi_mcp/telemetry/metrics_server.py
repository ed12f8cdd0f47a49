"""`/metrics` on a port of its own, for Prometheus; not for callers, who never see that port."""

import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import anyio
import anyio.to_thread
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runapi_mcp import __version__
from runapi_mcp.base.measures import listening
from runapi_mcp.base.web_server import WebServer
from runapi_mcp.telemetry.instruments import SCOPE, instruments

REFRESH_SECONDS: Final = 2.0
"""So long a scrape waits at most for what has to be asked first."""

Refresh = Callable[[], Awaitable[None]]
"""Sets the gauges of what is only known by asking."""


@asynccontextmanager
async def serving_metrics(sock: socket.socket, refresh: Refresh) -> AsyncGenerator[None]:
    """Measure all that this process does meanwhile, and tell whoever asks on the socket."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    reader = PrometheusMetricReader(scope_info_enabled=False, registry=registry)
    resource = Resource({SERVICE_NAME: "runapi-mcp", SERVICE_VERSION: __version__})
    # Not the process's own provider, which another exporter may have.
    provider = MeterProvider([reader], resource, shutdown_on_exit=False)
    web_server = _BesideAnother(metrics_app(registry, refresh))
    errors: list[Exception] = []
    with listening(instruments(provider.get_meter(*SCOPE))):
        async with anyio.create_task_group() as group:
            group.start_soon(web_server.serve, [sock])
            try:
                yield
            except Exception as error:  # noqa: BLE001 - out of the group it would come as a group
                errors.append(error)
            finally:
                web_server.should_exit = True
    provider.shutdown()
    for error in errors:
        raise error


def metrics_app(registry: CollectorRegistry, refresh: Refresh) -> Starlette:
    async def tell(_: Request) -> Response:
        with anyio.move_on_after(REFRESH_SECONDS):
            await refresh()
        content = await anyio.to_thread.run_sync(generate_latest, registry)
        return Response(content, media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/metrics", tell)])


class _BesideAnother(WebServer):
    """One that leaves signals to the server that it stands beside, and ends with it."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
