"""`runapi-mcp` and `runapi-mcp serve`: the server, over stdio or HTTP."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from runapi_mcp.base.errors import NotConfigured
from runapi_mcp.cli.event_loop import run_interruptible
from runapi_mcp.cli.fleet_database import open_database
from runapi_mcp.cli.log_lines import log_to_stderr
from runapi_mcp.cli.own_name import as_typed
from runapi_mcp.cli.watching import Watch, parse_metrics_address

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server

    from runapi_mcp.base.settings import Settings
    from runapi_mcp.cli.fleet_parts import FleetParts
    from runapi_mcp.front.serving import Begun
    from runapi_mcp.orders.shared_state import SharedState
    from runapi_mcp.postgres.pool import PostgresPool
    from runapi_mcp.server import Keys

logger = logging.getLogger(__name__)

_HOST = "127.0.0.1"
_PORT = 8765
_DRAIN_SECONDS = 60

_HINT = (
    "runapi-mcp speaks MCP on stdin and stdout: a coding agent starts it. "
    "To see it draw, run `runapi-mcp demo`; `runapi-mcp --help` lists the rest."
)
_ONE_CALLER = (
    "A caller is a key: people behind one shared key are one caller, who see, join and spend "
    "together."
)


@click.command("serve")
@click.option("--http", is_flag=True, help="Serve HTTP instead of stdio: /mcp, /sse, /healthz.")
@click.option("--host", help=f"Address to listen on; {_HOST} without it.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help=f"Port, or 0 for a free one; {_PORT} without it."
)
@click.option("--allow-host", multiple=True, metavar="NAME", help="Also answer to this host name.")
@click.option(
    "--trusted-proxy",
    multiple=True,
    metavar="ADDRESS",
    help="Believe this proxy's X-Forwarded-For; an address or a network.",
)
@click.option(
    "--root-path", metavar="PATH", help="What stands before /mcp where clients find it: /flux."
)
@click.option(
    "--drain-seconds",
    type=click.IntRange(0, 3600),
    help=f"One of several: how long leaving may take after SIGTERM; {_DRAIN_SECONDS} without it.",
)
@click.option("--share-key", is_flag=True, help="Requests without a key use this server's own.")
@click.option(
    "--metrics", metavar="HOST:PORT", help="Tell Prometheus how it goes, at /metrics on this port."
)
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), help="How the log looks; text without it."
)
@click.option("--sandbox", is_flag=True, help="Practise without a key: same tools, nothing paid.")
@click.pass_obj
def command(  # noqa: PLR0913 - an option each, and the conversation
    begun: Begun | None,
    *,
    http: bool,
    host: str | None,
    port: int | None,
    allow_host: Sequence[str],
    trusted_proxy: Sequence[str],
    root_path: str | None,
    drain_seconds: int | None,
    share_key: bool,
    metrics: str | None,
    log_format: str | None,
    sandbox: bool,
) -> None:
    """Serve the Flux 2 tools to a host.

    Over HTTP each request brings its own RunAPI key as Authorization: Bearer KEY.
    """
    for_http = (
        *(host, port is not None, allow_host, trusted_proxy, root_path),
        *(drain_seconds is not None, share_key, metrics, log_format),
    )
    if http:
        if log_format == "json":
            _log_json()
        watch = Watch(parse_metrics_address(metrics) if metrics else None)
        address = (host or _HOST, _PORT if port is None else port)
        names = (allow_host, trusted_proxy, root_path or "")
        serve = partial(_serve_http, *address, *names, drain_seconds)
        run_interruptible(partial(serve, watch=watch, share_key=share_key, sandbox=sandbox))
    elif any(for_http):
        raise NotConfigured(
            "--host, --port, --allow-host, --trusted-proxy, --root-path, --drain-seconds, "
            "--share-key, --metrics and --log-format are for HTTP.",
            "Add --http.",
        )
    else:
        over_stdio(begun, sandbox=sandbox)


def over_stdio(begun: Begun | None, *, sandbox: bool) -> None:
    """Serve a host, from where another has begun to."""
    if begun is None and sys.stdin.isatty():
        click.echo(as_typed(_HINT), err=True)
    run_interruptible(partial(_serve_stdio, begun, sandbox=sandbox))


async def _serve_stdio(begun: Begun | None, *, sandbox: bool) -> None:
    from runapi_mcp.transports.stdio import serve_stdio

    loaded = load_settings(sandbox=sandbox)
    async with (
        open_database(loaded) as pool,
        _server(loaded, Watch(), pool, share_key=False) as (server, shared),
    ):
        await serve_stdio(server, shared.background, begun)


async def _serve_http(  # noqa: PLR0913 - an option each
    host: str,
    port: int,
    allowed_hosts: Sequence[str],
    trusted_proxies: Sequence[str],
    root_path: str,
    drain_seconds: int | None,
    *,
    watch: Watch,
    share_key: bool,
    sandbox: bool,
) -> None:
    from runapi_mcp.cli.fleet_parts import fleet_parts_of
    from runapi_mcp.transports.deployment import Deployment
    from runapi_mcp.transports.drain import Drain
    from runapi_mcp.transports.http import bind, parse_networks, parse_root_path, serve_http
    from runapi_mcp.transports.http_app import http_app

    networks, prefix = parse_networks(trusted_proxies), parse_root_path(root_path)
    loaded = load_settings(sandbox=sandbox)
    is_one_of_several = loaded.uses_database
    drain_seconds = _drain_seconds(drain_seconds, is_one_of_several=is_one_of_several)
    sock = bind(host, port, allowed_hosts)
    address, number = sock.getsockname()[:2]
    name = f"[{address}]" if ":" in address else address

    def announce() -> None:
        sse = "one of several, without SSE" if is_one_of_several else f"SSE: {prefix}/sse"
        more = "" if allowed_hosts else "; other names: --allow-host"
        click.echo(f"runapi-mcp serves http://{name}:{number}{prefix}/mcp ({sse}{more})", err=True)
        if share_key or is_one_of_several:
            click.echo(_ONE_CALLER, err=True)

    async with (
        open_database(loaded) as pool,
        fleet_parts_of(loaded, pool) as parts,
        _server(loaded, watch, pool, parts, share_key=share_key, is_far=True) as (server, shared),
        shared.background.running(),
    ):
        drain = Drain(drain_seconds, shared.waits.end, lambda: not shared.payments.is_idle)
        app = http_app(
            server,
            allowed_hosts,
            loaded.http,
            needs_key=not share_key and not loaded.sandbox,
            deployment=Deployment(
                keeps_sessions=not is_one_of_several,
                root_path=prefix,
                before_checks=parts.before_checks,
                more_routes=parts.probe_routes,
                is_ready=lambda: drain.is_ready,
            ),
        )
        await serve_http(app, sock, announce, drain, loaded.http, networks)


def _drain_seconds(given: int | None, *, is_one_of_several: bool) -> int:
    """
    Raises:
        NotConfigured: nobody else could serve meanwhile.
    """
    if is_one_of_several:
        return _DRAIN_SECONDS if given is None else given
    if given:
        raise NotConfigured(
            "--drain-seconds is for servers that share a database: another one serves meanwhile.",
            "Set RUNAPI_DATABASE_URL, or leave it out.",
        )
    return 0


def _log_json() -> None:
    from runapi_mcp.cli.json_log_lines import JsonFormatter

    log_to_stderr(formatter=JsonFormatter)


def load_settings(*, sandbox: bool) -> Settings:
    """The settings of this process; what a person should hear of them is logged."""
    from runapi_mcp.base import settings

    loaded = settings.load(sandbox=sandbox)
    keys = (loaded.key, loaded.runflow.key) if loaded.runflow else (loaded.key,)
    log_to_stderr([*loaded.fleet.hidden_words(), *(key.reveal() for key in keys if key.secret)])
    for warning in loaded.warnings:
        logger.warning("%s", warning)
    return loaded


@asynccontextmanager
async def _server(
    loaded: Settings,
    watch: Watch,
    pool: PostgresPool | None,
    parts: FleetParts | None = None,
    *,
    share_key: bool,
    is_far: bool = False,
) -> AsyncGenerator[tuple[Server[Any], SharedState]]:
    """The server as the settings want it, on RunAPI or on a sandbox of its own.

    The background of its state is to run while it serves. `parts` are what it is to others, and
    `is_far` tells that callers may be elsewhere.
    """
    from runapi_mcp.base import settings
    from runapi_mcp.cli.composition import (
        ledger_of,
        offered_variants,
        others_of,
        rate_limits_of,
        service_of,
        shared_state_of,
    )
    from runapi_mcp.login import pending_logins
    from runapi_mcp.providers.runapi import RunAPI
    from runapi_mcp.server import create_server
    from runapi_mcp.tools import offered

    if is_far and not share_key and not loaded.sandbox:
        # What this server's own key pays for is not for those who bring theirs.
        loaded = loaded._replace(runflow=None)
    base_url, keys = _address_and_keys(loaded, share_key=share_key)
    make_rate_limit = (parts and parts.make_rate_limit) or rate_limits_of(loaded)
    async with (
        aclosing(ledger_of(loaded, pool)) as ledger,
        aclosing(
            RunAPI(
                base_url,
                make_rate_limit=watch.rate_limits(make_rate_limit),
                caps=loaded.waiting,
            )
        ) as upstream,
        others_of(loaded, base_url) as others,
        pending_logins(upstream, partial(settings.key_now, base_url)) as logins,
    ):
        wakeups, kept = (parts.wakeups, parts.kept) if parts else (None, None)
        shared = shared_state_of(loaded, watch.ledger(ledger), others, wakeups)
        service = service_of(loaded, watch.upstream(upstream), shared, keys, logins, others, kept)
        variants = offered_variants(loaded, others)
        saves = loaded.pictures.are_saved(is_local=not is_far)
        server = create_server(service, variants, saves=saves)
        watch.server(server, [tool.name for tool in offered(variants)])
        async with watch.running(ledger, pool):
            yield server, shared


def _address_and_keys(loaded: Settings, *, share_key: bool) -> tuple[str, Keys]:
    """A new sandbox has its own key for everybody."""
    from runapi_mcp.base.settings import key_now
    from runapi_mcp.cli.composition import address_and_key
    from runapi_mcp.server import Keys

    base_url, key = address_and_key(loaded)
    if loaded.sandbox:
        return base_url, Keys(key, "own")
    http = "brought or own" if share_key else "brought"
    return base_url, Keys(key, http, partial(key_now, base_url))
