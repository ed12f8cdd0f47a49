"""Whether somebody looks on while this program serves, and what then stands around its parts."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from runapi_mcp.base.errors import NotConfigured

if TYPE_CHECKING:
    import socket

    from mcp.server.lowlevel import Server

    from runapi_mcp.orders.ledger import Ledger
    from runapi_mcp.postgres.pool import PostgresPool
    from runapi_mcp.providers.port import Upstream
    from runapi_mcp.providers.rate_limit import RateLimit


class MetricsAddress(NamedTuple):
    host: str
    port: int


def parse_metrics_address(text: str) -> MetricsAddress:
    """
    Raises:
        NotConfigured: it is no HOST:PORT.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise NotConfigured(
            f"--metrics {text!r} is not an address.",
            "Write host and port, as 127.0.0.1:9464 or [::1]:9464.",
        )
    return MetricsAddress(host.removeprefix("[").removesuffix("]"), int(port))


class Watch:
    """Nobody looks on, unless an OpenTelemetry SDK was set up around this program, or `metrics`
    names where to tell them."""

    def __init__(self, metrics: MetricsAddress | None = None) -> None:
        self._metrics = metrics
        self._is_on = metrics is not None or "opentelemetry.sdk" in sys.modules

    def ledger(self, ledger: Ledger) -> Ledger:
        if not self._is_on:
            return ledger
        from runapi_mcp.telemetry.observed_ledger import ObservedLedger

        return ObservedLedger(ledger)

    def upstream(self, upstream: Upstream) -> Upstream:
        if not self._is_on:
            return upstream
        from runapi_mcp.telemetry.observed_upstream import ObservedUpstream

        return ObservedUpstream(upstream)

    def rate_limits(
        self, make_rate_limit: Callable[[str], RateLimit] | None
    ) -> Callable[[str], RateLimit] | None:
        if not self._is_on:
            return make_rate_limit
        from runapi_mcp.providers.rate_limit import OwnRateLimit
        from runapi_mcp.telemetry.observed_turns import ObservedTurns

        def make(caller_id: str) -> RateLimit:
            return ObservedTurns(make_rate_limit(caller_id) if make_rate_limit else OwnRateLimit())

        return make

    def server(self, server: Server[Any], tool_names: Collection[str]) -> None:
        if self._is_on:
            from runapi_mcp.telemetry.operations import measuring, operation_measure

            # Before all others: what these refuse is an answer too.
            server.middleware.insert(0, measuring(operation_measure(tool_names)))

    @asynccontextmanager
    async def running(
        self, ledger: Ledger, pool: PostgresPool | None = None
    ) -> AsyncGenerator[None]:
        """To be entered around serving, with the ledger itself."""
        async with AsyncExitStack() as stack:
            if self._is_on:
                _enter_spans(stack)
            if self._metrics is not None:
                await stack.enter_async_context(_metrics_at(self._metrics, ledger, pool))
            yield


def _enter_spans(stack: AsyncExitStack) -> None:
    from opentelemetry import metrics

    from runapi_mcp.base.measures import listening
    from runapi_mcp.base.stages import observed
    from runapi_mcp.telemetry.instruments import SCOPE, instruments
    from runapi_mcp.telemetry.spans import observed_stage

    stack.enter_context(observed(observed_stage))
    # Of the API: where no SDK was set up, this tells nobody.
    stack.enter_context(listening(instruments(metrics.get_meter(*SCOPE))))


def _metrics_at(
    address: MetricsAddress, ledger: Ledger, pool: PostgresPool | None
) -> AbstractAsyncContextManager[None]:
    try:
        from runapi_mcp.telemetry.metrics_server import serving_metrics
    except ImportError as error:
        raise NotConfigured(
            "--metrics needs packages that are not installed.",
            "Install them: pip install 'runapi-mcp[metrics]'.",
        ) from error
    from runapi_mcp.telemetry.asked_gauges import AskedGauges, KeepsCounters
    from runapi_mcp.telemetry.observed_ledger import ObservedLedger

    counters = ledger if isinstance(ledger, KeepsCounters) else None
    gauges = AskedGauges(ObservedLedger(ledger), counters, pool)
    sock = _listen(address)
    click.echo(f"runapi-mcp tells Prometheus at {_url(sock)}", err=True)
    return serving_metrics(sock, gauges.refresh)


def _listen(address: MetricsAddress) -> socket.socket:
    from runapi_mcp.base.sockets import listen

    try:
        return listen(*address)
    except NotConfigured as failure:
        advice = "Choose another port for --metrics; 0 takes a free one."
        raise NotConfigured(failure.happened, advice) from failure


def _url(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"
